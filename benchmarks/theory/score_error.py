r"""Error of the kernel score against noise and number of rows.

    python benchmarks/theory/score_error.py

Data are products of d mixtures of three normals, whose noisy score is known. The error
is :math:`E \|\hat s_t(x) - s_t(x)\|^2` over fresh noisy rows, in the heat clock (noise
variance t). Zhang et al. (2024, theorem 3.5) bound it by a multiple of
:math:`n^{-1} t^{-(d+2)/2} (t^{d/2} + 1)`: slopes -(d+2)/2 in t and -1 in n for small t.
"""

import numpy as np
from experiment import arguments, curve, repeat, select, slope, table, with_error, write
from matplotlib import pyplot as plt
from scipy.special import softmax

from skdiffusion import KernelScoreDensity

MEANS, SCALES = np.array([-1.2, 0.0, 1.4]), np.array([0.35, 0.3, 0.4])
WEIGHTS = np.array([0.3, 0.3, 0.4])
DIMENSIONS = (1, 2, 3)
SMALL_T = np.geomspace(0.004, 0.06, 8)
LARGE_T = np.geomspace(1.0, 1000.0, 7)
N_ROWS = (500, 1000, 2000, 4000, 8000)
N_CURVE, T_CURVE, N_FRESH = 8000, 0.03, 2000
THRESHOLDS = ("none", "max", "soft", "hard")


def draw(n, d, random_state):
    """Rows of the product of mixtures."""
    component = random_state.choice(3, size=(n, d), p=WEIGHTS)
    return MEANS[component] + SCALES[component] * random_state.standard_normal((n, d))


def score(x, t):
    """Exact score of the rows plus normal noise of variance t, column by column."""
    variance = SCALES**2 + t
    residual = x[..., None] - MEANS
    exponent = np.log(WEIGHTS) - 0.5 * np.log(variance) - residual**2 / (2 * variance)
    return -(softmax(exponent, axis=-1) * residual / variance).sum(axis=-1)


def measure(*, d, n, t, threshold, seed):
    """Error of one kernel score on fresh noisy rows."""
    rng = np.random.RandomState(seed)
    X = draw(n, d, rng)
    fresh = draw(N_FRESH, d, rng) + np.sqrt(t) * rng.standard_normal((N_FRESH, d))
    density = KernelScoreDensity(
        bandwidth=np.sqrt(t) / X.std(axis=0), threshold=threshold
    )
    error = density.fit(X).log_density_gradient(fresh) - score(fresh, t)
    return {"error": (error**2).sum(axis=1).mean()}


def settings():
    """Every combination that is measured."""
    for d in DIMENSIONS:
        for t in (*SMALL_T, *LARGE_T):
            for threshold in THRESHOLDS:
                yield {"d": d, "n": N_CURVE, "t": t, "threshold": threshold}
        for n in N_ROWS:
            yield {"d": d, "n": n, "t": T_CURVE, "threshold": "none"}


def summary(records, path):
    """Table of slopes."""
    small = [r for r in records if r["t"] in SMALL_T and r["n"] == N_CURVE]
    large = [r for r in records if r["t"] >= 10]
    rows = []
    for d in DIMENSIONS:
        plain = select(small, d=d, threshold="none")
        in_n = select(records, d=d, t=T_CURVE, threshold="none")
        cut = [
            slope(select(small, d=d, threshold=name), "t", "error")
            for name in THRESHOLDS[1:]
        ]
        rows.append(
            [
                d,
                f"{-(d + 2) / 2}",
                with_error(*slope(plain, "t", "error")),
                with_error(*slope(in_n, "n", "error")),
                with_error(*slope(select(large, d=d, threshold="none"), "t", "error")),
                *(with_error(*s) for s in cut),
            ]
        )
    header = ["d", "-(d+2)/2", "slope in t", "slope in n", "slope in t, t >= 10"]
    table([*header, *(f"slope in t, {name}" for name in THRESHOLDS[1:])], rows, path)


def picture(records, path):
    """Error against noise, a panel for each number of columns."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True)
    for ax, d in zip(axes, DIMENSIONS, strict=True):
        rows = select(records, d=d, n=N_CURVE)
        for name in THRESHOLDS:
            t, mean, _ = curve(select(rows, threshold=name), "t", "error")
            ax.plot(t, mean, marker="o", ms=3, label=f"threshold {name}")
        t, mean, _ = curve(select(rows, threshold="none"), "t", "error")
        for window, power, text in (
            (t <= 0.06, -(d + 2) / 2, f"slope {-(d + 2) / 2:g}"),
            (t >= 10, -2, "slope -2"),
        ):
            anchor = np.flatnonzero(window)[0]
            line = 2.5 * mean[anchor] * (t[window] / t[anchor]) ** power
            ax.plot(t[window], line, "k--", lw=1)
            ax.annotate(text, (t[window][1], 1.6 * line[1]))
        ax.set(xscale="log", yscale="log", xlabel="noise variance t", title=f"d = {d}")
    axes[0].set_ylabel(f"mean squared error of the score, n = {N_CURVE}")
    axes[0].legend(fontsize=8, loc="lower left")
    figure.suptitle(
        "Error of the kernel score: thresholds help at the least noise and cost at more"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    options = arguments(__doc__, n_seeds=10)
    records = repeat(settings(), options.n_seeds, measure)
    write(records, options.output / "score_error.csv")
    summary(records, options.output / "score_error.md")
    picture(records, options.output / "score_error.png")

r"""Total variation error against the number of rows.

    python benchmarks/theory/total_variation.py

Two experiments. First, a mixture of well separated normals in two columns, a density
without lower bound, at the bandwidths :math:`c\, n^{-1/(2 \beta + d)}`: the total
variation should fall like :math:`n^{-\beta/(2 \beta + d)} = n^{-1/3}` (Zhang et al.
2024, theorem 3.8, with beta = 2). Second, a chain of D columns, where the factors have
d = 2 columns whatever D: one kernel estimate of all columns against the product of
conditional estimates (Kwon et al. 2026). The constant c is chosen once for each
estimator and D, on rows of its own.
"""

import networkx as nx
import numpy as np
from experiment import arguments, curve, repeat, select, slope, table, with_error, write
from matplotlib import pyplot as plt
from scipy.special import logsumexp

from skdiffusion import KernelScoreDensity
from skdiffusion.bandwidths import theory_bandwidth
from skdiffusion.datasets import make_separated_mixture
from skdiffusion.metrics import paired_difference, total_variation

N_ROWS = (500, 1000, 2000, 4000, 8000, 16000)
N_FRESH = 5000
BANDWIDTHS = (0.1, 0.3, 1.0, "loo")
CONSTANTS = (0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0)
DIMENSIONS = (2, 4, 8, 16)
TUNING_SEED, TUNING_ROWS = 1000, 4000


def chain(n, n_features, seed):
    """Rows and exact log-density of x_{j+1} = 1.2 sin(1.6 x_j) + 0.45 noise.

    Smoother than `skdiffusion.datasets.make_nonlinear_chain`, so that the slopes are
    near their limits at these n.
    """
    rng = np.random.RandomState(seed)
    X = np.empty((n, n_features))
    X[:, 0] = rng.choice([-1, 1], n) + 0.4 * rng.standard_normal(n)
    for j in range(1, n_features):
        X[:, j] = 1.2 * np.sin(1.6 * X[:, j - 1]) + 0.45 * rng.standard_normal(n)

    def log_density(X):
        modes = -0.5 * ((X[:, :1] - [-1, 1]) / 0.4) ** 2
        first = logsumexp(modes, axis=1) - np.log(2 * 0.4 * np.sqrt(2 * np.pi))
        steps = (X[:, 1:] - 1.2 * np.sin(1.6 * X[:, :-1])) / 0.45
        constant = np.log(0.45 * np.sqrt(2 * np.pi))
        return first + (-0.5 * steps**2 - constant).sum(axis=1)

    return X, log_density


def mixture(n, n_features, seed):
    """Rows and exact log-density of well separated normals."""
    made = make_separated_mixture(n, n_features, random_state=seed)
    return made.data, made.log_density


def errors(make, n, n_features, graph, bandwidth, seed):
    """Total variation and Kullback-Leibler divergence on fresh rows."""
    X, log_density = make(n, n_features, seed)
    fresh, _ = make(N_FRESH, n_features, 10_000 + seed)
    found = KernelScoreDensity(graph, bandwidth=bandwidth).fit(X).score_samples(fresh)
    exact = log_density(fresh)
    return {
        "tv": total_variation(exact, found),
        "kl": paired_difference(exact, found).mean,
    }


def measure(*, law, D, estimator, c, n, seed):
    """Errors of one kernel estimate."""
    make = {"mixture": mixture, "chain": chain}[law]
    graph = (
        nx.path_graph(D, create_using=nx.DiGraph) if estimator == "factorized" else None
    )
    d = 2 if estimator == "factorized" else D
    bandwidth = "loo" if c == "loo" else c * theory_bandwidth(n, 2, d)
    return errors(make, n, D, graph, bandwidth, seed)


def best_constant(D, estimator):
    """Constant with the least total variation at 4000 rows of another seed."""
    setting = {"law": "chain", "D": D, "estimator": estimator, "n": TUNING_ROWS}
    found = [measure(**setting, c=c, seed=TUNING_SEED)["tv"] for c in CONSTANTS]
    return CONSTANTS[int(np.argmin(found))]


def settings():
    """Every combination that is measured."""
    for n in (*N_ROWS, 32_000):
        for c in BANDWIDTHS:
            yield {"law": "mixture", "D": 2, "estimator": "full", "c": c, "n": n}
    for D in DIMENSIONS:
        for estimator in ("full", "factorized"):
            c = best_constant(D, estimator)
            for n in N_ROWS:
                yield {"law": "chain", "D": D, "estimator": estimator, "c": c, "n": n}


def summary_mixture(records, path):
    """Table of slopes on the mixture."""
    rows = []
    for c in BANDWIDTHS:
        found = select(records, law="mixture", c=c)
        n, tv, error = curve(found, "n", "tv")
        late = [r for r in found if r["n"] >= 4000]
        slopes = [with_error(*slope(r, "n", "tv")) for r in (found, late)]
        rows.append([c, *slopes, f"{tv[0]:.3f}", f"{tv[-1]:.3f} ({error[-1]:.3f})"])
    header = ["c", "slope, all n", "slope, n >= 4000", "TV at 500", "TV at 32,000"]
    table(header, rows, path)


def summary_chain(records, path):
    """Table of slopes on the chain."""
    rows = []
    for D in DIMENSIONS:
        for estimator, d in (("full", D), ("factorized", 2)):
            found = select(records, law="chain", D=D, estimator=estimator)
            _, tv, error = curve(found, "n", "tv")
            _, kl, _ = curve(found, "n", "kl")
            theory, measured = -2 / (4 + d), with_error(*slope(found, "n", "tv"))
            last = f"{tv[-1]:.3f} ({error[-1]:.3f})"
            rows.append(
                [
                    D,
                    estimator,
                    found[0]["c"],
                    f"{theory:.2f}",
                    measured,
                    last,
                    f"{kl[-1]:.3f}",
                ]
            )
    header = [
        "D",
        "estimator",
        "c",
        "theory",
        "slope of TV",
        "TV at 16,000",
        "KL at 16,000",
    ]
    table(header, rows, path)


def picture_mixture(records, path):
    """Total variation against n, a line for each bandwidth."""
    figure, ax = plt.subplots(figsize=(5.5, 4.2))
    for c in BANDWIDTHS:
        label = "leave-one-out bandwidth" if c == "loo" else f"h = {c:g} n^(-1/6)"
        n, tv, error = curve(select(records, law="mixture", c=c), "n", "tv")
        ax.errorbar(n, tv, error, marker="o", ms=3, label=label)
    ax.plot(n, 0.7 * tv[0] * (n / n[0]) ** (-1 / 3), "k--", lw=1, label="slope -1/3")
    ax.set(xscale="log", yscale="log", xlabel="training rows n", ylabel="total variation")
    ax.set_title(
        "Well separated normals: the rate of theory\nneeds no lower bound on the density",
        fontsize=10,
    )
    ax.legend(fontsize=8, loc="lower left")
    ax.set_ylim(0.015, 1)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def picture_chain(records, path):
    """Total variation against n, a panel for each estimator."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True)
    for ax, estimator in zip(axes, ("full", "factorized"), strict=True):
        for D in DIMENSIONS:
            found = select(records, law="chain", D=D, estimator=estimator)
            n, tv, error = curve(found, "n", "tv")
            label = f"D = {D}\nslope {slope(found, 'n', 'tv')[0]:.2f}"
            ax.errorbar(n, tv, error, marker="o", ms=3)
            ax.annotate(label, (1.15 * n[-1], tv[-1]), va="center", fontsize=9)
        ax.plot(n, 0.03 * (n / n[-1]) ** (-1 / 3), "k--", lw=1)
        ax.annotate("slope -1/3", (n[0], 0.06))
        ax.set(xscale="log", yscale="log", xlabel="training rows n")
        ax.set(xlim=(400, 55_000), ylim=(0.025, 1.3))
    axes[0].set(title="one kernel estimate of all columns", ylabel="total variation")
    axes[1].set_title("product over the factors of the chain")
    figure.suptitle("A chain of D columns: only the factorized estimate keeps its rate")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    options = arguments(__doc__, n_seeds=5)
    records = repeat(settings(), options.n_seeds, measure)
    write(records, options.output / "total_variation.csv")
    summary_mixture(records, options.output / "separated_mixture.md")
    summary_chain(records, options.output / "chain.md")
    picture_mixture(records, options.output / "separated_mixture.png")
    picture_chain(records, options.output / "chain.png")

"""Joint diffusion along a graph against completion, conditionals and no graph.

    python benchmarks/theory/joint_diffusion.py --n-seeds 3

Divergence from the truth per column: lattices, whose completions have ever larger
factors, and chains of more and more columns. Then, with 500 rows of a chain of 32
columns, what sharing weights gains. The normaliser of the lattice of 36 columns is out
of reach; its figures are divergences plus an unknown constant, the same for all
estimators. Results already in the CSV file are not computed again.
"""

import itertools

import matplotlib.pyplot as plt
from experiment import DENOISED, arguments, curve, over_seeds, run_missing, select, table
from wide_lattice import MAX_EXACT_SIDE, make_wide_lattice

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.datasets import make_lattice, make_nonlinear_chain
from skdiffusion.metrics import paired_difference

N_FRESH = 1000
FIELDS = ["experiment", "n_columns", "n_samples", "estimator", "seed", "kl", "error"]
SHARED = "joint, shared"
ESTIMATORS = {
    "joint": {"diffusion": "joint"},
    SHARED: {"diffusion": "joint", "share_weights": True},
    "conditional": {"diffusion": "conditional"},
    "conditional, shared": {"diffusion": "conditional", "share_weights": True},
    "no graph, joint": {"diffusion": "joint", "graph": None},
}
WITH_GRAPH = ("joint", SHARED, "conditional", "conditional, shared")
UNKNOWN = ("lattice", 36)
PLAIN = ("joint", "conditional", "no graph, joint")
SETTINGS = [
    *itertools.product(["lattice"], [16, 9, 4], [2000], [*PLAIN, SHARED]),
    *itertools.product(["lattice"], [36], [2000], ["joint", "conditional", SHARED]),
    *itertools.product(["chain"], [4, 8, 16], [2000], ["joint", "conditional"]),
    *itertools.product(["chain"], [4, 8], [2000], ["no graph, joint"]),
    *itertools.product(["chain"], [32], [2000], ["joint", "conditional"]),
    *itertools.product(["chain"], [4, 8, 16], [8000], ["joint", "conditional"]),
    *itertools.product(["sharing"], [32], [500], WITH_GRAPH),
]


def draw(experiment, n_columns, n_samples, seed):
    """Rows, exact log-density and graph."""
    if experiment == "lattice":
        side = round(n_columns**0.5)
        size = {"n_rows": side, "n_columns": side}
        if side > MAX_EXACT_SIDE:
            return make_wide_lattice(n_samples, side, seed)
        return make_lattice(n_samples, **size, random_state=seed)
    return make_nonlinear_chain(n_samples, n_features=n_columns, random_state=seed)


def measure(experiment, n_columns, n_samples, estimator, seed):
    """Divergence per column of one fit, and the standard error of its estimate."""
    train = draw(experiment, n_columns, n_samples, seed)
    fresh = draw(experiment, n_columns, N_FRESH, 10_000 + seed).data
    options = {"graph": train.graph, "random_state": seed, **DENOISED}
    options |= ESTIMATORS[estimator]
    density = FactorizedDiffusionDensity(**options).fit(train.data)
    kl = paired_difference(train.log_density(fresh), density.score_samples(fresh))
    return kl.mean / n_columns, kl.standard_error / n_columns


def plot(records, folder):
    """Divergence per column against the number of columns, with 2000 rows."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for ax, experiment in zip(axes, ("lattice", "chain"), strict=True):
        ticks = set()
        for name in (*PLAIN, SHARED):
            chosen = select(
                records, experiment=experiment, estimator=name, n_samples=2000
            )
            # the divergence of the wide lattice has an unknown constant
            known = [r for r in chosen if (experiment, r["n_columns"]) != UNKNOWN]
            if not known:
                continue
            columns, means, errors = curve(known, "n_columns", "kl")
            ax.errorbar(columns, means, 2 * errors, fmt="o-", capsize=3, label=name)
            ticks.update(columns)
        ax.set(xlabel="columns", title=experiment, yscale="log")
        ax.set_xticks(sorted(ticks))
    axes[0].set_ylabel("divergence per column (nats)")
    axes[0].legend(frameon=False)
    figure.suptitle("Divergence per column with and without the graph (2000 rows)")
    figure.tight_layout()
    figure.savefig(folder / "joint_diffusion.png", dpi=150)


def tabulate(records, folder):
    """Divergence per column of all experiments."""
    sizes = sorted({(r["experiment"], r["n_columns"], r["n_samples"]) for r in records})
    rows = []
    for experiment, n_columns, n_samples in sizes:
        same = {"experiment": experiment, "n_columns": n_columns, "n_samples": n_samples}
        cells = [over_seeds(select(records, **same, estimator=e)) for e in ESTIMATORS]
        rows.append([experiment, n_columns, n_samples, *cells])
    table(["family", "columns", "rows", *ESTIMATORS], rows, folder / "joint_diffusion.md")


def main():
    """Measure, draw and tabulate."""
    options = arguments(__doc__.splitlines()[0], n_seeds=3)
    path = options.output / "joint_diffusion.csv"
    records = run_missing(path, FIELDS, SETTINGS, options.n_seeds, measure)
    plot(records, options.output)
    tabulate(records, options.output)


if __name__ == "__main__":
    main()

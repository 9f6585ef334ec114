"""Joint diffusion along a graph against completion, conditionals and no graph.

    python benchmarks/theory/joint_diffusion.py --n-seeds 3

Divergence from the truth per column, n = 2000 rows: lattices, whose completions have
ever larger factors, and chains of more and more columns. Then, with 500 rows of a chain
of 32 columns, what sharing weights gains. Results already in the CSV file are not
computed again.
"""

import csv
import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from experiment import arguments, select, table

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.datasets import make_lattice, make_nonlinear_chain
from skdiffusion.metrics import paired_difference

N_FRESH = 1000
FIELDS = ["experiment", "n_columns", "n_samples", "estimator", "seed", "kl", "error"]
ESTIMATORS = {
    "joint": {"diffusion": "joint"},
    "joint, shared": {"diffusion": "joint", "share_weights": True},
    "conditional": {"diffusion": "conditional"},
    "conditional, shared": {"diffusion": "conditional", "share_weights": True},
    "no graph, joint": {"diffusion": "joint", "graph": None},
}
PLAIN = ("joint", "conditional", "no graph, joint")
SETTINGS = [
    *itertools.product(["lattice"], [4, 9, 16], [2000], [*PLAIN, "joint, shared"]),
    *itertools.product(
        ["sharing"], [32], [500], [n for n in ESTIMATORS if "no" not in n]
    ),
    *itertools.product(["chain"], [4, 8, 16], [2000], PLAIN),
]


def draw(experiment, n_columns, n_samples, seed):
    """Rows, exact log-density and graph."""
    if experiment == "lattice":
        side = round(n_columns**0.5)
        size = {"n_rows": side, "n_columns": side}
        return make_lattice(n_samples, **size, random_state=seed)
    return make_nonlinear_chain(n_samples, n_features=n_columns, random_state=seed)


def measure(experiment, n_columns, n_samples, estimator, seed):
    """Divergence per column of one fit, and the standard error of its estimate."""
    train = draw(experiment, n_columns, n_samples, seed)
    fresh = draw(experiment, n_columns, N_FRESH, 10_000 + seed).data
    options = {"graph": train.graph, "random_state": seed, **ESTIMATORS[estimator]}
    density = FactorizedDiffusionDensity(**options).fit(train.data)
    kl = paired_difference(train.log_density(fresh), density.score_samples(fresh))
    return kl.mean / n_columns, kl.standard_error / n_columns


def read(path: Path):
    """Records of the CSV file so far."""
    if not path.exists():
        return []
    with path.open() as file:
        kinds = {"n_columns": int, "n_samples": int, "seed": int, "kl": float}
        return [
            {k: kinds.get(k, str)(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def run(path: Path, n_seeds):
    """Measure what is missing; write each record as it comes."""
    known = {tuple(r[k] for k in FIELDS[:5]) for r in read(path)}
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow(FIELDS)
        for seed, setting in itertools.product(range(n_seeds), SETTINGS):
            if (*setting, seed) in known:
                continue
            kl, error = measure(*setting, seed)
            writer.writerow([*setting, seed, f"{kl:.5f}", f"{error:.5f}"])
            file.flush()
            print(*setting, seed, f"{kl:.4f} ({error:.4f})", flush=True)
    return read(path)


def over_seeds(records):
    """Mean over the seeds, with its standard error if there are several."""
    values = [r["kl"] for r in records]
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else ""
    return f"{np.mean(values):.3f} ({np.std(values, ddof=1) / len(values) ** 0.5:.3f})"


def main():
    """Measure, tabulate and draw."""
    options = arguments(__doc__.splitlines()[0], n_seeds=3)
    records = run(options.output / "joint_diffusion.csv", options.n_seeds)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for ax, experiment in zip(axes, ("lattice", "chain"), strict=True):
        for name in PLAIN:
            chosen = select(records, experiment=experiment, estimator=name)
            columns = sorted({r["n_columns"] for r in chosen})
            means = [
                np.mean([r["kl"] for r in select(chosen, n_columns=d)]) for d in columns
            ]
            ax.plot(columns, means, "o-", label=name)
        ax.set(xlabel="columns", title=experiment, yscale="log")
        ax.set_xticks(sorted({n for e, n, *_ in SETTINGS if e == experiment}))
    axes[0].set_ylabel("divergence per column (nats)")
    axes[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(options.output / "joint_diffusion.png", dpi=150)
    sizes = sorted({(r["experiment"], r["n_columns"], r["n_samples"]) for r in records})
    rows = []
    for experiment, n_columns, n_samples in sizes:
        same = {"experiment": experiment, "n_columns": n_columns}
        cells = [over_seeds(select(records, **same, estimator=e)) for e in ESTIMATORS]
        rows.append([experiment, n_columns, n_samples, *cells])
    header = ["family", "columns", "rows", *ESTIMATORS]
    table(header, rows, options.output / "joint_diffusion.md")


if __name__ == "__main__":
    main()

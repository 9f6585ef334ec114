"""What a wrong graph costs: an edge too few, and edges too many.

    python benchmarks/theory/wrong_graph.py --n-seeds 3

Divergence from the truth on a nonlinear chain of four columns. Without its middle edge no
estimate can come closer than the mutual information of the two columns, which is
estimated with the exact densities; needless edges only slow the estimate down.
"""

import itertools

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from experiment import DENOISED, arguments, curve, over_seeds, run_missing, select, table
from scipy.special import logsumexp

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.datasets import make_nonlinear_chain
from skdiffusion.metrics import paired_difference

N_COLUMNS, N_FRESH = 4, 4000
GRAPHS = {
    "true": nx.path_graph(N_COLUMNS),
    "middle edge deleted": nx.Graph([(0, 1), (2, 3)]),
    "two edges added": nx.Graph([(0, 1), (1, 2), (2, 3), (0, 2), (1, 3)]),
}
FIELDS = ["graph", "n_samples", "seed", "kl", "error"]
SIZES = [500, 2000, 8000]
SETTINGS = list(itertools.product(GRAPHS, SIZES))


def measure(graph, n_samples, seed):
    """Divergence of one fit, and the standard error of its estimate."""
    train = make_nonlinear_chain(n_samples, N_COLUMNS, random_state=seed)
    fresh = make_nonlinear_chain(N_FRESH, N_COLUMNS, random_state=10_000 + seed).data
    density = FactorizedDiffusionDensity(GRAPHS[graph], random_state=seed, **DENOISED)
    density.fit(train.data)
    kl = paired_difference(train.log_density(fresh), density.score_samples(fresh))
    return kl.mean, kl.standard_error


def mutual_information(n_draws=4000):
    """Mutual information of columns 1 and 2, by Monte Carlo, in nats."""
    pair, triple = (make_nonlinear_chain(1, k).log_density for k in (2, 3))
    first, second = (
        make_nonlinear_chain(n_draws, 3, random_state=seed).data for seed in (1, 2)
    )

    def log_conditional(rows):
        return triple(rows) - pair(rows[:, :2])

    terms = []
    for row in first:
        swapped = np.column_stack([second[:, :2], np.full(n_draws, row[2])])
        log_marginal = logsumexp(log_conditional(swapped)) - np.log(n_draws)
        terms.append(log_conditional(row[None])[0] - log_marginal)
    return np.mean(terms), np.std(terms) / len(terms) ** 0.5


def main():
    """Measure, tabulate and draw."""
    options = arguments(__doc__.splitlines()[0], n_seeds=3)
    path = options.output / "wrong_graph.csv"
    records = run_missing(path, FIELDS, SETTINGS, options.n_seeds, measure)
    floor, error = mutual_information()
    figure, ax = plt.subplots(figsize=(5, 3.6))
    for graph in GRAPHS:
        _, means, _ = curve(select(records, graph=graph), "n_samples", "kl")
        ax.loglog(SIZES, means, "o-", label=graph)
    ax.axhline(floor, color="0.5", linestyle="--", label="information of the edge")
    ax.set(xlabel="rows", ylabel="divergence from the truth (nats)")
    ax.set_title("A missing edge sets a floor, added edges cost rows", fontsize=10)
    ax.set_xticks(SIZES, SIZES)
    ax.minorticks_off()
    ax.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(options.output / "wrong_graph.png", dpi=150)
    rows = [
        [graph, *(over_seeds(select(records, graph=graph, n_samples=n)) for n in SIZES)]
        for graph in GRAPHS
    ]
    information = f"{floor:.3f} ({error:.3f})"
    rows.append(["information of the deleted edge", *(information for _ in SIZES)])
    header = ["graph", *(f"n = {n}" for n in SIZES)]
    table(header, rows, options.output / "wrong_graph.md")


if __name__ == "__main__":
    main()

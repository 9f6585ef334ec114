"""Lattices too wide for their normaliser: rows by Gibbs sampling.

The law is that of `skdiffusion.datasets.make_lattice`. Every row is the end of a Markov
chain of its own, so rows are independent.
"""

import networkx as nx
import numpy as np
from sklearn.utils import Bunch

from skdiffusion.datasets._lattice import LIMIT, MAX_COLUMNS, pair_energy, site_energy

MAX_EXACT_SIDE = MAX_COLUMNS
N_SWEEPS = 100
CELLS = np.linspace(-LIMIT, LIMIT, 121)


def make_wide_lattice(n_samples, side, seed) -> Bunch:
    """Rows of a square lattice, its graph and its log-density without a constant."""
    random = np.random.default_rng(seed)
    grid = nx.grid_2d_graph(side, side)
    graph = nx.convert_node_labels_to_integers(grid, ordering="sorted")
    X = random.choice(CELLS, size=(n_samples, side * side), p=_site_law())
    for _ in range(N_SWEEPS):
        for i in range(X.shape[1]):
            X[:, i] = _redraw(X[:, list(graph[i])], random)

    def log_density(X):
        pairs = (pair_energy(X[:, i], X[:, j]) for i, j in graph.edges)
        return site_energy(X).sum(axis=1) + sum(pairs)

    return Bunch(data=X, graph=graph, log_density=log_density)


def _site_law():
    """Law of a site without neighbours on the cells."""
    weights = np.exp(site_energy(CELLS))
    return weights / weights.sum()


def _redraw(neighbours, random):
    """New values of a site given its neighbours, uniform within cells."""
    energy = site_energy(CELLS) + sum(
        pair_energy(neighbours[:, [k]], CELLS) for k in range(neighbours.shape[1])
    )
    cumulative = np.exp(energy - energy.max(axis=1, keepdims=True)).cumsum(axis=1)
    threshold = random.random((len(neighbours), 1)) * cumulative[:, -1:]
    cell = (cumulative < threshold).sum(axis=1)
    width = CELLS[1] - CELLS[0]
    return np.clip(CELLS[cell] + width * (random.random(len(cell)) - 0.5), -LIMIT, LIMIT)

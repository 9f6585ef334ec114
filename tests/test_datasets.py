"""Generators: their log-densities integrate to one and describe their draws."""

import inspect

import networkx as nx
import numpy as np
import pytest

from skdiffusion import datasets

GENERATORS = {name: getattr(datasets, name) for name in datasets.__all__}


def two_columns(name, n=10, seed=0):
    generator = GENERATORS[name]
    shape = {"n_rows": 1, "n_columns": 2} if name == "make_lattice" else {"n_features": 2}
    return generator(n, **shape, random_state=seed)


def quadrature(name):
    """Points and weights of a fine grid on the plane of two columns."""
    low, high = {
        "make_bounded_chain": (0, 1),
        "make_heavy_tails": (-300, 300),
        "make_lattice": (-3, 3),
        "make_separated_mixture": (-6, 22),
    }.get(name, (-8, 8))
    u, w = np.polynomial.legendre.leggauss(1200)
    # nodes crowd at the middle, where the densities are sharp
    stretch = 3 if name == "make_heavy_tails" else 1
    x = 0.5 * (high - low) * u**stretch + 0.5 * (high + low)
    w = 0.5 * (high - low) * w * stretch * u ** (stretch - 1)
    points = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    return points, np.outer(w, w).ravel()


@pytest.mark.parametrize("name", GENERATORS)
def test_density_integrates_to_one(name):
    points, weights = quadrature(name)
    density = np.exp(two_columns(name).log_density(points))
    assert weights @ density == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("name", GENERATORS)
def test_draws_follow_the_density(name):
    """Mean log-density and means of bounded functions of draws match integrals."""
    points, weights = quadrature(name)
    bunch = two_columns(name, 40_000)
    log_density = bunch.log_density(points)
    mass = weights * np.exp(log_density)
    functions = [
        lambda x, lp: np.maximum(lp, -60),
        lambda x, lp: np.tanh(x[:, 0]),
        lambda x, lp: np.sin(x[:, 0] - 2 * x[:, 1]),
        lambda x, lp: np.cos(3 * x[:, 1]),
    ]
    for function in functions:
        expected = mass @ function(points, log_density)
        found = function(bunch.data, bunch.log_density(bunch.data))
        error = found.std() / np.sqrt(len(found))
        assert abs(found.mean() - expected) < 4 * error + 2e-3


def test_normaliser_of_a_lattice_agrees_with_the_plain_sum():
    """Catches a missing neighbour in the transfer matrices."""
    lattice = datasets.make_lattice(5, n_rows=2, n_columns=3, random_state=0)
    u, w = np.polynomial.legendre.leggauss(13)
    X = 3 * np.stack(np.meshgrid(*[u] * 6, indexing="ij"), axis=-1).reshape(-1, 6)
    weights = np.prod(np.stack(np.meshgrid(*[3 * w] * 6, indexing="ij"), -1), axis=-1)
    total = weights.ravel() @ np.exp(lattice.log_density(X))
    assert total == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", GENERATORS)
def test_same_seed_same_rows_and_graph_on_all_columns(name):
    first, second = (
        GENERATORS[name](20, random_state=1),
        GENERATORS[name](20, random_state=1),
    )
    np.testing.assert_array_equal(first.data, second.data)
    assert sorted(first.graph) == list(range(first.data.shape[1]))
    assert np.isfinite(first.log_density(first.data)).all()


def test_every_column_of_two_parents_has_two():
    graph = datasets.make_two_parents(2, n_features=6, random_state=0).graph
    assert nx.is_directed_acyclic_graph(graph)
    assert [graph.in_degree(j) for j in range(6)] == [0, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("name", GENERATORS)
def test_rows_are_asked_for_by_a_positive_number(name):
    with pytest.raises(ValueError, match="n_samples must be at least 1"):
        GENERATORS[name](0)
    assert "random_state" in inspect.signature(GENERATORS[name]).parameters

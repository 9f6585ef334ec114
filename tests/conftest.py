from contextlib import contextmanager

import networkx as nx
import numpy as np
import pytest
import torch

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.datasets import make_nonlinear_chain
from skdiffusion.networks import ConditionalNetwork


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def with_threads():
    """A context in which torch has so many threads."""

    @contextmanager
    def context(n_threads):
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    return context


@pytest.fixture(scope="session")
def chain():
    """Three columns of a bimodal chain."""
    return make_nonlinear_chain(400, n_features=3, random_state=0)


@pytest.fixture(scope="session")
def fitted(chain):
    """A short fit with the graph of the chain; tests must not change it."""
    estimator = FactorizedDiffusionDensity(chain.graph, max_iter=300, random_state=0)
    return estimator.fit(chain.data)


@pytest.fixture
def network(generator):
    """Conditional network with random weights on every layer, in float64."""
    graph = {0: (), 1: (0,), 2: (0, 1), 3: (2,)}
    made = ConditionalNetwork(list(graph), graph.values(), t_min=0.03, hidden_size=8)
    made.initialize(generator).double()
    for name in ("w_out", "b_out", "b_inner", "b_outer", "b_first", "coef"):
        values = getattr(made, name).data
        values.copy_(0.3 * torch.randn(values.shape, generator=generator))
    mask = made.context_index.unsqueeze(-1) >= 0
    made.coef.mul_(mask)
    made.scale.copy_(torch.tensor([1.0, 0.5, 2.0, 0.1]))
    for name, limit in (("own_low", -4.0), ("own_high", 4.0)):
        getattr(made, name).fill_(limit)
    made.context_low.fill_(-3.0)
    made.context_high.fill_(3.0)
    return made.eval().requires_grad_(False)


def random_graph(n_nodes, p, seed):
    """Undirected random graph whose nodes are all columns."""
    return nx.gnp_random_graph(n_nodes, p, seed=seed)


def standard_normal(n, d, seed=0):
    return np.random.RandomState(seed).standard_normal((n, d))

"""The joint network: divergence, locality, its Gaussian start, shared weights."""

import math

import networkx as nx
import numpy as np
import pytest
import torch
from conftest import random_graph
from torch.distributions import MultivariateNormal

from skdiffusion.denoisers import Denoiser
from skdiffusion.flow import Path, in_order, log_density, log_density_of_own, sample
from skdiffusion.graphs import Block, factorize
from skdiffusion.networks import JointNetwork, from_state, initial_networks
from skdiffusion.training import Rows, velocity_loss
from skdiffusion.whitening import regress_alike

T = torch.tensor(0.35, dtype=torch.float64)


def with_random_weights(network, generator):
    """Random weights on every layer, double precision, ranges that level off."""
    network.double().initialize(generator)
    for parameter in network.parameters():
        parameter.data += 0.2 * torch.randn(
            parameter.shape, generator=generator, dtype=torch.float64
        )
    for end, limit in (("low", -2.0), ("high", 2.0)):
        getattr(network, f"own_{end}").fill_(limit)
        getattr(network, f"context_{end}").fill_(limit)
    network.tie_weights()
    return network.eval().requires_grad_(False)


def joint_network(graph, generator, context=(), **options):
    columns = [j for j in graph if j not in context]
    options = {"t_min": 0.03, "hidden_size": 8, **options}
    network = JointNetwork(columns, context, list(nx.find_cliques(graph)), **options)
    return with_random_weights(network, generator)


def jacobian(network, r, t, code):
    return torch.autograd.functional.jacobian(
        lambda x: network.velocity(x[None], t, code)[0], r
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n_rounds", [1, 2])
def test_divergence_is_the_dense_trace(seed, n_rounds, generator):
    """Catches columns of one colour within reach of each other, lost bias or gate."""
    graph = random_graph(9, 0.2, seed)
    network = joint_network(graph, generator, context=(3, 4), n_rounds=n_rounds)
    z = 2 * torch.randn(3, 9, generator=generator).double()
    r, code = network.to_own(z)[0], network.encode(z)
    v, divergence = network.velocity_and_divergence(r, T, code)
    torch.testing.assert_close(v, network.velocity(r, T, code))
    for i in range(3):
        dense = jacobian(network, r[i], T, code[i : i + 1])
        torch.testing.assert_close(divergence[i], dense.diagonal())


def test_divergence_of_the_contract_is_the_carried_one(generator):
    """The generic divergence of `Denoiser` uses the same colours."""
    network = joint_network(nx.path_graph(7), generator, n_rounds=2)
    r = torch.randn(4, 7, generator=generator).double()
    code = network.encode(r)
    expected = Denoiser.velocity_and_divergence(network, r, T, code)
    found = network.velocity_and_divergence(r, T, code)
    # the Gaussian part is that of independent columns here, so colours serve it too
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_divergence_of_the_gaussian_part_is_dense(generator):
    """Colours do not serve correlated columns; catches a Gaussian part inside them."""
    network = joint_network(nx.path_graph(6), generator, n_rounds=1)
    factor = torch.randn(6, 6, generator=generator).double()
    type(network.gaussian).__init__(
        network.gaussian, range(6), torch.zeros(6).double(), factor @ factor.T / 6
    )
    r = torch.randn(1, 6, generator=generator).double()
    code = network.encode(r)
    _, divergence = network.velocity_and_divergence(r, T, code)
    dense = jacobian(network, r[0], T, code).diagonal()
    torch.testing.assert_close(divergence[0], dense)


def test_velocity_reads_columns_within_the_rounds_only(generator):
    network = joint_network(nx.path_graph(8), generator, n_rounds=3)
    r = torch.randn(1, 8, generator=generator).double()
    dense = jacobian(network, r[0], T, network.encode(r))
    distance = (torch.arange(8)[:, None] - torch.arange(8)).abs()
    assert (dense[distance > 3] == 0).all()
    assert (dense[distance == 3] != 0).all()


def test_chain_needs_one_colour_more_than_rounds(generator):
    network = joint_network(nx.path_graph(40), generator, n_rounds=4)
    assert len(network.colours) == 5


def test_context_blocks_the_way(generator):
    """Columns on both sides of a clean column share a colour."""
    network = joint_network(nx.path_graph(5), generator, context=(2,), n_rounds=4)
    assert len(network.colours) == 2


def test_time_for_each_row_is_the_time_for_all(generator):
    network = joint_network(nx.cycle_graph(5), generator)
    r = torch.randn(4, 5, generator=generator).double()
    code = network.encode(r)
    one = network.velocity(r, T, code)
    torch.testing.assert_close(network.velocity(r, T.expand(4), code), one)


def test_rows_do_not_influence_each_other(generator):
    network = joint_network(nx.cycle_graph(5), generator)
    r = torch.randn(6, 5, generator=generator).double()
    together = network.velocity_and_divergence(r, T, network.encode(r))
    for i in range(6):
        alone = network.velocity_and_divergence(r[i : i + 1], T, network.encode(r[:1]))
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a[0], b[i], rtol=1e-12, atol=1e-13)


@pytest.fixture
def gaussian_table():
    """Rows of a Gaussian Markov random field on a 4-cycle with a tail."""
    graph = nx.cycle_graph(4)
    graph.add_edge(3, 4)
    precision = np.eye(5) + 0.4 * nx.to_numpy_array(graph, nodelist=range(5))
    Z = np.random.RandomState(0).multivariate_normal(
        np.ones(5), np.linalg.inv(precision), size=4000
    )
    return graph, Z


def test_training_starts_at_the_linear_gaussian_network(gaussian_table, generator):
    """Catches a wrong covariance, mean, effect of the context or noise floor."""
    graph, Z = gaussian_table
    factorization = factorize(graph, 5, diffusion="auto", max_factor_size=2)
    networks = initial_networks(
        factorization,
        Z,
        np.ones(len(Z)),
        generator,
        t_min=0.02,
        hidden_size=8,
        n_layers=1,
    )
    z = torch.tensor(Z[:50]).double()
    networks = [network.double().eval() for network in networks]
    found = log_density(networks, z, Path(0.02, 60)).detach().sum(1)
    law = MultivariateNormal(torch.tensor(Z.mean(0)), torch.tensor(np.cov(Z.T)))
    # the fit to 4000 rows is that of the graph, not of all covariances
    torch.testing.assert_close(found, law.log_prob(z), atol=0.05, rtol=0)


def test_gaussian_part_given_a_context_is_the_conditional_normal(generator):
    covariance = np.array([[1.0, 0.7, 0.3], [0.7, 1.2, -0.2], [0.3, -0.2, 0.8]])
    Z = np.random.RandomState(0).multivariate_normal(np.zeros(3), covariance, 20_000)
    network = JointNetwork((1, 2), (0,), [(0, 1, 2)], t_min=0.02, hidden_size=8)
    block = Block((1, 2), (0,), "joint", ((0, 1, 2),))
    families = list(block.families().items())
    ones = np.ones(len(Z))
    regressions = regress_alike(Z, ones, families, range(2), constant_scale=0.0)
    z = torch.tensor(Z)
    network.double().calibrate(families, regressions, z)
    with torch.no_grad():
        found = log_density_of_own(network.eval(), z[:20], Path(0.02, 60)).sum(1)
    sample_covariance = torch.tensor(np.cov(Z.T))
    joint = MultivariateNormal(torch.zeros(3).double(), sample_covariance)
    first = torch.distributions.Normal(0.0, sample_covariance[0, 0].sqrt())
    expected = joint.log_prob(z[:20]) - first.log_prob(z[:20, 0])
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)


def test_noise_and_samples_have_densities_related_by_the_map(generator):
    """A joint block, and one given a column of it: sample and density are one law."""
    first = joint_network(nx.cycle_graph(4), generator)
    tail = nx.Graph([(3, 4), (4, 5), (5, 3)])
    second = joint_network(tail, generator, context=(3,))
    second.gain += 0.3
    path = Path(0.03, 60)
    parts = in_order([second, first], [(0, 1, 2, 3), (4, 5)])
    noise = torch.randn(3, 6, generator=generator).double()
    to_row = lambda e: sample(parts, e[None], path)[0]
    maps = torch.stack([torch.autograd.functional.jacobian(to_row, e) for e in noise])
    rows = torch.stack([to_row(e) for e in noise])
    normal = (-0.5 * noise**2 - 0.5 * math.log(2 * math.pi)).sum(1)
    expected = normal - torch.linalg.slogdet(maps).logabsdet
    found = log_density([first, second], rows, path).sum(1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_state_round_trip_is_exact(generator):
    network = joint_network(nx.cycle_graph(5), generator, context=(2,)).float()
    again = from_state(network.to_state()).eval()
    z = torch.randn(3, 5, generator=generator)
    r, code = network.to_own(z)[0], network.encode(z)
    expected = network.velocity(r, T.float(), code)
    assert torch.equal(again.velocity(r, T.float(), again.encode(z)), expected)


def shared_network(graph, generator):
    cliques = list(nx.find_cliques(graph))
    return joint_network(
        graph, generator, column_kinds=[0] * len(graph), factor_kinds=[0] * len(cliques)
    )


def test_alike_parts_of_the_graph_behave_alike(generator):
    """Two copies of a triangle in one network. Catches weights that are not shared."""
    triangles = nx.disjoint_union(nx.complete_graph(3), nx.complete_graph(3))
    network = shared_network(triangles, generator)
    r = torch.randn(4, 3, generator=generator).double().repeat(1, 2)
    v = network.velocity(r, T, network.encode(r))
    torch.testing.assert_close(v[:, :3], v[:, 3:])


def test_gradient_of_shared_weights_is_that_of_the_common_weight(generator):
    """Catches gradients that are averaged, or of one copy only."""
    network = shared_network(nx.path_graph(4), generator).requires_grad_(True)
    z = torch.randn(20, 4, generator=generator).double()
    rows = Rows(z, torch.ones(20).double(), torch.zeros(20).double())

    def loss():
        return velocity_loss(network, rows, 0.03, torch.Generator().manual_seed(0)).sum()

    loss().backward()
    network.tie_gradients()
    for name in ("w_state", "w_middle_2"):
        weight = getattr(network, name)
        step = torch.zeros_like(weight)
        step[:, 1, 2] = 1e-6
        with torch.no_grad():
            weight += step
            above = loss()
            weight -= 2 * step
            below = loss()
            weight += step
        assert torch.equal(weight.grad[0], weight.grad[1])
        expected = (above - below).item() / 2e-6
        assert weight.grad[0, 1, 2].item() == pytest.approx(expected, rel=1e-4)


def test_dropout_acts_in_training_only_and_draws_from_its_generator(generator):
    network = joint_network(nx.path_graph(4), generator, dropout=0.5)
    r = torch.randn(3, 4, generator=generator).double()
    steady = network.velocity(r, T, network.encode(r))
    assert torch.equal(steady, network.velocity(r, T, network.encode(r)))
    network.train()
    state, found = torch.random.get_rng_state(), []
    for _ in range(2):
        network.noise = torch.Generator().manual_seed(3)
        found.append(network.velocity(r, T, network.encode(r)))
    assert torch.equal(*found)
    assert not torch.allclose(found[0], steady)
    assert torch.equal(state, torch.random.get_rng_state())


def test_velocity_is_bounded_far_away(generator):
    network = joint_network(nx.path_graph(4), generator)
    far = torch.full((1, 4), 1e9).double()
    v, divergence = network.velocity_and_divergence(far, T, network.encode(far))
    assert v.abs().max() < 100
    assert divergence.abs().max() < 1e-6


def test_single_column_works(generator):
    network = joint_network(nx.empty_graph(1), generator)
    r = torch.randn(3, 1, generator=generator).double()
    _, divergence = network.velocity_and_divergence(r, T, network.encode(r))
    dense = [jacobian(network, x, T, network.encode(r[:1]))[0, 0] for x in r]
    torch.testing.assert_close(divergence[:, 0], torch.stack(dense))

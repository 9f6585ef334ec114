"""The joint network: divergence, locality, where it starts, shared weights."""

import math
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch
from conftest import random_graph

from skdiffusion.denoisers import Denoiser
from skdiffusion.flow import Path, from_normal, in_order, log_density
from skdiffusion.graphs import factorize
from skdiffusion.members import Member
from skdiffusion.networks import JointNetwork, initial_networks, network_from_state
from skdiffusion.objectives import DENOISING, velocity_loss
from skdiffusion.records import Options, Rows

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


def test_the_score_of_a_block_is_that_of_all_its_columns(generator):
    """Catches a mean, which would shrink what counts as a gain with the columns."""
    network = joint_network(random_graph(4, 0.5, 0), generator)
    terms = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, -1.0]])
    assert network.part_scores(terms).tolist() == [[10.0], [-1.0]]


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
        dense = jacobian(network, r[i], T, network.encode(z[i : i + 1]))
        torch.testing.assert_close(divergence[i], dense.diagonal())


def test_divergence_of_the_contract_is_the_carried_one(generator):
    """The generic divergence of `Denoiser` uses the same colours."""
    network = joint_network(nx.path_graph(7), generator, n_rounds=2)
    r = torch.randn(4, 7, generator=generator).double()
    code = network.encode(r)
    expected = Denoiser.velocity_and_divergence(network, r, T, code)
    found = network.velocity_and_divergence(r, T, code)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


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


def test_training_starts_at_independent_normal_columns(generator):
    """A constant column is normal with the noise floor as its standard deviation."""
    graph = nx.path_graph(3)
    factorization = factorize(graph, 3, diffusion="joint")
    z = torch.randn(200, 3, generator=generator).double()
    z[:, 1] = 0
    options = {"t_min": 0.1, "hidden_size": 8, "n_layers": 1}
    (network,) = initial_networks(
        factorization, z.numpy(), np.ones(200), generator, **options
    )
    with torch.no_grad():
        found = log_density([network.double().eval()], z, Path(0.1, 60))
    floor = math.tan(0.1)
    scale = torch.tensor([math.hypot(1, floor), floor, math.hypot(1, floor)]).double()
    # a standard normal column is taken as it is, not as smoothed by the floor
    scale = torch.where(scale > 1, 1 / math.cos(0.1), scale)
    expected = torch.distributions.Normal(torch.zeros(3).double(), scale).log_prob(z)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_noise_and_samples_have_densities_related_by_the_map(generator):
    """A joint block, and one given a column of it: sample and density are one law."""
    first = joint_network(nx.cycle_graph(4), generator)
    tail = nx.Graph([(3, 4), (4, 5), (5, 3)])
    second = joint_network(tail, generator, context=(3,))
    path = Path(0.03, 60)
    parts = in_order([second, first], [(0, 1, 2, 3), (4, 5)])
    noise = torch.randn(3, 6, generator=generator).double()
    to_row = lambda e: from_normal(parts, e[None], path)[0]
    maps = torch.stack([torch.autograd.functional.jacobian(to_row, e) for e in noise])
    rows = torch.stack([to_row(e) for e in noise])
    normal = (-0.5 * noise**2 - 0.5 * math.log(2 * math.pi)).sum(1)
    expected = normal - torch.linalg.slogdet(maps).logabsdet
    found = log_density([first, second], rows, path).sum(1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_state_round_trip_is_exact(generator):
    network = joint_network(nx.cycle_graph(5), generator, context=(2,)).float()
    again = network_from_state(network.to_state()).eval()
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
        return velocity_loss(network, rows, torch.Generator().manual_seed(0)).sum()

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
    network = joint_network(nx.path_graph(4), generator)
    network.dropout = 0.5
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
    code = network.encode(r)
    v, divergence = network.velocity_and_divergence(r, T, code)
    torch.testing.assert_close(v, network.velocity(r, T, code))
    step = 1e-6 * torch.eye(4).double()
    ends = [[network.velocity(r + h * e, T, code) for e in step] for h in (1, -1)]
    slopes = [(a - b)[:, j] / 2e-6 for j, (a, b) in enumerate(zip(*ends, strict=True))]
    torch.testing.assert_close(divergence, torch.stack(slopes, 1), rtol=1e-5, atol=1e-7)
    assert torch.equal(state, torch.random.get_rng_state())


def test_ranges_are_those_of_the_rows_and_of_the_normal_end(generator):
    network = JointNetwork((0, 1), (2,), [(0, 1, 2)], t_min=0.03, hidden_size=8)
    z = torch.tensor([[-1.0, 9.0, 2.0], [0.5, -7.0, -3.0], [0.0, 0.0, 0.5]])
    network.calibrate(z)
    assert network.own_low.tolist() == [-4, -7]
    assert network.own_high.tolist() == [4, 9]
    assert (network.context_low.item(), network.context_high.item()) == (-3, 2)


def test_weight_decay_falls_with_the_rows(generator):
    network = joint_network(nx.path_graph(2), generator)
    assert [network.default_weight_decay(n) for n in (100, 1600, 3200)] == [0.5, 0.2, 0.1]
    alike = JointNetwork((0, 1), (), [(0, 1)], t_min=0.03, column_kinds=[0, 0])
    assert alike.default_weight_decay(1600) == 0.1
    z = torch.randn(1600, 2, generator=generator)
    rows = Rows(z, torch.ones(1600), torch.zeros(1600))
    options = Options(1e-3, None, None, 64, 1, 0, 0.2, 3, 0.0, 0)
    for given, expected in ((None, 0.2), (0.07, 0.07)):
        network = network.float().requires_grad_(True)
        given = replace(options, weight_decay=given)
        member = Member([network], rows, None, given, generator, DENOISING)
        assert member.optimizer.param_groups[0]["weight_decay"] == expected


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

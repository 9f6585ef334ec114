import copy

import pytest
import torch

from skdiffusion.denoisers import Denoiser
from skdiffusion.graphs import Block
from skdiffusion.networks import ConditionalNetwork, average
from skdiffusion.networks._carried import Affine, Silu
from skdiffusion.networks._conditional import bucket_by_context
from skdiffusion.networks._features import level_off
from skdiffusion.networks._trainable import Dropout

T = torch.tensor(0.35, dtype=torch.float64)


@pytest.fixture
def rows(generator):
    return 2 * torch.randn(6, 4, generator=generator).double()


def test_fused_pass_is_automatic_differentiation(network, rows):
    """Catches a wrong slope, a lost residual or bias, memory that keeps old values."""
    r, _ = network.to_own(rows)
    code = network.encode(rows)
    with torch.no_grad():
        fused = network.encode(rows)
        for t in (T, 2 * T):
            expected_v, expected = Denoiser.velocity_and_divergence(network, r, t, code)
            v, divergence = network.velocity_and_divergence(r, t, fused)
            torch.testing.assert_close(v, expected_v)
            torch.testing.assert_close(divergence, expected)
            torch.testing.assert_close(network.velocity(r, t, fused), expected_v)


def test_derivative_passes_through_the_levelling_off(network, rows):
    """Own inputs beyond the range of training; catches a slope of one there."""
    r, _ = network.to_own(rows)
    r = r + 4.5
    expected = Denoiser.velocity_and_divergence(network, r, T, network.encode(rows))
    with torch.no_grad():
        found = network.velocity_and_divergence(r, T, network.encode(rows))
    torch.testing.assert_close(found[1], expected[1])


def test_time_for_each_row_is_the_time_for_all(network, rows):
    """Training passes a time for each row, the flow one for all."""
    code = network.encode(rows)
    one = network.velocity(rows, T, code)
    torch.testing.assert_close(network.velocity(rows, T.expand(len(rows)), code), one)


def test_split_network_is_the_whole(generator):
    """More columns than are evaluated at once, and one alone in the last part."""
    contexts = [(j - 1,) if j else () for j in range(33)]
    whole = ConditionalNetwork(range(33), contexts, t_min=0.03, hidden_size=8)
    whole.initialize(generator).double().eval()
    whole.w_out.data.normal_(generator=generator)
    z = torch.randn(5, 33, generator=generator).double()
    parts = whole.split()
    assert [len(part.columns) for part in parts] == [16, 16, 1]
    expected = whole.velocity(z, T, whole.encode(z))
    found = [p.velocity(z[:, list(p.columns)], T, p.encode(z)) for p in parts]
    torch.testing.assert_close(torch.cat(found, dim=1), expected)


def test_jacobian_is_diagonal(network, rows):
    code = network.encode(rows[:1])
    jacobian = torch.autograd.functional.jacobian(
        lambda r: network.velocity(r[None], T, code)[0], rows[0]
    )
    assert torch.equal(jacobian, torch.diag(torch.diagonal(jacobian)))


def test_rows_do_not_influence_each_other(network, rows):
    together = network.velocity(rows, T, network.encode(rows))
    alone = torch.cat(
        [network.velocity(r[None], T, network.encode(r[None])) for r in rows]
    )
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-14)


def test_velocity_reads_its_context_only(network, rows):
    """Column 3 has context (2,), column 0 none. Catches padding that leaks."""
    before = network.velocity(rows, T, network.encode(rows))
    changed = rows.clone()
    changed[:, [0, 1, 3]] += 1
    after = network.velocity(rows, T, network.encode(changed))
    assert torch.equal(before[:, [0, 3]], after[:, [0, 3]])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_own_coordinates_come_back(network, rows):
    r, log_derivative = network.to_own(rows)
    torch.testing.assert_close(network.from_own(r, rows), rows)
    torch.testing.assert_close(
        log_derivative[0].exp() * network.scale, torch.ones(4).double()
    )


def test_selected_columns_behave_as_in_the_whole(network, rows):
    part = network.select((3, 1))
    r, _ = network.to_own(rows)
    part_r, _ = part.to_own(rows)
    torch.testing.assert_close(part_r, r[:, [3, 1]])
    with torch.no_grad():
        whole = network.velocity_and_divergence(r, T, network.encode(rows))
        selected = part.velocity_and_divergence(part_r, T, part.encode(rows))
    for a, b in zip(selected, whole, strict=True):
        torch.testing.assert_close(a, b[:, [3, 1]])


def test_state_round_trip_is_exact(network, rows):
    network = network.float()
    again = ConditionalNetwork.from_state(network.to_state()).eval()
    z = rows.float()
    code = network.encode(z)
    assert torch.equal(
        network.velocity(z, T.float(), code), again.velocity(z, T.float(), code)
    )


def test_training_starts_at_zero_velocity(generator, rows):
    network = ConditionalNetwork([0, 1], [(), (0,)], t_min=0.03).initialize(generator)
    z = rows[:, :2].float()
    assert (network.velocity(z, T.float(), network.encode(z)) == 0).all()


def test_velocity_is_bounded_far_away(network):
    far = torch.full((1, 4), 1e9).double()
    with torch.no_grad():
        v, divergence = network.velocity_and_divergence(far, T, network.encode(far))
    assert v.abs().max() < 100
    assert divergence.abs().max() < 1e-6


def test_level_off_is_the_identity_inside_and_bounded_outside():
    low, high = torch.tensor(-2.0), torch.tensor(3.0)
    x = torch.tensor([-1e6, -2.0, 0.5, 3.0, 1e6])
    expected = torch.tensor([-3.0, -2.0, 0.5, 3.0, 4.0])
    torch.testing.assert_close(level_off(x, low, high), expected)


def test_one_hub_does_not_pad_all_columns():
    blocks = [Block((j,), (j - 1,)) for j in range(1, 9)]
    hub = Block((100,), tuple(range(90)))
    assert bucket_by_context([*blocks, hub], hidden_size=64) == [blocks, [hub]]


def test_wide_tables_are_cut_into_networks_of_bounded_size():
    blocks = [Block((j,), ()) for j in range(150)]
    buckets = bucket_by_context(blocks, hidden_size=64)
    assert [len(bucket) for bucket in buckets] == [64, 64, 22]
    assert [block for bucket in buckets for block in bucket] == blocks


def test_inactive_column_keeps_zero_velocity(network, rows):
    network.active[2] = 0
    with torch.no_grad():
        v, divergence = network.velocity_and_divergence(rows, T, network.encode(rows))
    assert (v[:, 2] == 0).all()
    assert (divergence[:, 2] == 0).all()
    assert network.engines()[(2,)] == "linear Gaussian"


def test_dropout_acts_in_training_only(network, rows):
    network.dropout = 0.5
    code = network.encode(rows)
    steady = network.velocity(rows, T, code)
    assert torch.equal(steady, network.velocity(rows, T, code))
    network.train()
    dropped = network.velocity(rows, T, network.encode(rows))
    assert not torch.allclose(steady, dropped)
    again = network.velocity(rows, T, network.encode(rows))
    assert not torch.allclose(dropped, again)


def test_what_is_dropped_stays_dropped_along_a_path(network, rows):
    """Catches units dropped anew at each evaluation, or from values only."""
    network.train().dropout = 0.5
    code = network.encode(rows)
    v, divergence = network.velocity_and_divergence(rows, T, code)
    torch.testing.assert_close(network.velocity(rows, T, code), v)
    step = 1e-6
    above, below = (network.velocity(rows + h, T, code) for h in (step, -step))
    torch.testing.assert_close(
        divergence, (above - below) / (2 * step), rtol=1e-5, atol=1e-7
    )


def test_average_of_networks_averages_velocity_and_divergence(network, generator):
    """Catches a sum, and members that read each other's codes."""
    other = copy.deepcopy(network)
    other.w_out.data.mul_(-2)
    other.w_context.data.add_(0.1)
    z = torch.randn(6, 4, generator=generator).double()
    both = average([network, other])
    r, _ = both.to_own(z)
    parts = [m.velocity_and_divergence(r, T, m.encode(z)) for m in (network, other)]
    expected = [(a + b) / 2 for a, b in zip(*parts, strict=True)]
    v, divergence = both.velocity_and_divergence(r, T, both.encode(z))
    torch.testing.assert_close(v, expected[0])
    torch.testing.assert_close(divergence, expected[1])
    torch.testing.assert_close(both.velocity(r, T, both.encode(z)), expected[0])
    chosen = both.select((2, 3))
    v_chosen = chosen.velocity(r[:, 2:], T, chosen.encode(z))
    torch.testing.assert_close(v_chosen, expected[0][:, 2:])


def test_average_of_one_is_itself(network):
    assert average([network]) is network


def test_dropout_drops_its_share_and_keeps_the_mean(generator):
    dropped = Dropout(0.3, generator).mask(0, torch.ones(40, 1000))
    share = round(256 * 0.3) / 256
    assert (dropped == 0).double().mean().item() == pytest.approx(share, abs=0.01)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / (1 - share)])
    assert (dropped == 0).double().mean(0).std() < 0.1
    assert Dropout(0.999, generator).mask(0, torch.ones(3, 7)).isfinite().all()


@pytest.mark.parametrize("n_directions", [0, 1, 3])
def test_gradient_of_silu_is_that_of_small_differences(n_directions, generator):
    x = 2 * torch.randn(2, 1 + n_directions, 3, 4, generator=generator).double()
    assert torch.autograd.gradcheck(Silu.apply, x.requires_grad_())


@pytest.mark.parametrize("bias_shape", [(2, 1, 5), (2, 3, 5), (1, 1, 5)])
@pytest.mark.parametrize("has_onto", [False, True])
def test_gradient_of_affine_is_that_of_small_differences(bias_shape, has_onto, generator):
    shapes = [(2, 6, 4), (2, 4, 5), bias_shape] + [(2, 6, 5)] * has_onto
    arrays = [torch.randn(s, generator=generator).double() for s in shapes]
    rows, w, bias, *onto = (a.requires_grad_() for a in arrays)
    assert torch.autograd.gradcheck(
        lambda *a: Affine.apply(*a[:3], 3, *(a[3:] or [None])), (rows, w, bias, *onto)
    )

"""Kernel estimates beside networks: their flow, and how much of them enters."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import standard_normal
from scipy.special import logsumexp
from scipy.stats import norm
from test_mixtures import T_MIN, column_beside, known_mixture, rows_of, short

from skdiffusion import FactorizedDiffusionDensity, partners
from skdiffusion.bandwidths import LeaveOneOut, best_bandwidths
from skdiffusion.blending import PartnersOfNetworks
from skdiffusion.flow import Path, from_normal, log_density_of_own, own_to_normal
from skdiffusion.mixtures import regressions
from skdiffusion.networks import (
    ConditionalKernels,
    ConditionalMixture,
    ConditionalNetwork,
    Ensemble,
    PartnerShare,
    averaged_with,
)
from skdiffusion.networks import _kernels as module
from skdiffusion.partners import Kernels, Mixtures

H, H_CONTEXT = 0.3, 0.5


def training_rows(n=150):
    """Rows of three columns, the last bent along the first, and weights."""
    z = standard_normal(n, 3, seed=3)
    z[:, 2] = np.sin(2 * z[:, 0]) + 0.4 * z[:, 1] + 0.3 * z[:, 2]
    return z, np.random.RandomState(1).uniform(0.2, 2.0, n)


def given_kernels(bandwidths=(H, H_CONTEXT)):
    z, weight = (torch.tensor(x) for x in training_rows())
    return ConditionalKernels.beside(column_beside(), z, weight, [bandwidths])


def nadaraya_watson(x, extra=0.0):
    """Log-density of column 2 given columns 0 and 1 from all rows, term by term."""
    (z, weight), network = training_rows(), column_beside()
    (r, _), (rows, _) = (network.to_own(torch.tensor(a)) for a in (x, z))
    away = (x[:, None, :2] - z[None, :, :2]) / H_CONTEXT
    log_weight = np.log(weight) - 0.5 * (away**2).sum(2)
    sd = np.sqrt(H**2 + extra)
    terms = norm.logpdf(r.numpy(), rows.numpy()[:, 0], sd)
    joint = logsumexp(log_weight + terms, axis=1) - logsumexp(log_weight, axis=1)
    return joint - np.log(0.5)  # scale of the residual


@pytest.mark.parametrize(
    ("points", "largest", "mean"), [(None, 0.15, 3e-3), (16, 6e-3, 3e-4)]
)
def test_flow_of_kernels_is_the_conditional_kernel_estimate(
    points, largest, mean, monkeypatch
):
    """Up to the grid that residuals are shared out to, with noise of the floor."""
    if points:
        monkeypatch.setattr(module, "POINTS_PER_BANDWIDTH", points)
    x = training_rows(60)[0] + 0.2 * standard_normal(60, 3, seed=5)
    actual = log_density_of_own(given_kernels(), torch.tensor(x), Path(T_MIN, 100))
    error = actual[:, 0].numpy() - nadaraya_watson(x, np.tan(T_MIN) ** 2)
    assert np.abs(error).max() < largest
    assert abs(error.mean()) < mean


def test_grids_of_few_points_widen_kernels(monkeypatch):
    """Catches kernels narrower than the steps between points, a comb."""
    monkeypatch.setattr(module, "MOST_POINTS", 8)
    kernels = given_kernels((0.05, H_CONTEXT))
    step = kernels.mean[0, 1] - kernels.mean[0, 0]
    assert kernels.mean.shape == (1, 8)
    assert float(kernels.variance[0]) == pytest.approx(float(step) ** 2 * 5 / 6)


@pytest.mark.parametrize("outlier", [40.0, 1e3])
def test_rows_far_out_stretch_the_grid(outlier):
    """Catches weights below zero where rounding puts the last row beyond the grid."""
    z = torch.tensor(standard_normal(200, 3), dtype=torch.float32)
    z[:100, 2] *= torch.linspace(1, outlier, 100)
    network = column_beside().float()
    for n in range(50, 200, 10):
        given = z[:n], torch.ones(n), [(0.05, 0.5)]
        kernels = ConditionalKernels.beside(network, *given)
        assert kernels.mean.shape == (1, 256)
        assert torch.isfinite(kernels.encode(z[:5])[0]).all()


def test_kernels_are_at_least_two_noise_floors_wide():
    kernels = given_kernels((1e-3, H_CONTEXT))
    step = kernels.mean[0, 1] - kernels.mean[0, 0]
    width = kernels.variance[0] + step**2 / 6
    assert float(width) ** 0.5 == pytest.approx(2 * np.tan(T_MIN), rel=1e-6)


def test_kernels_agree_with_mixtures_of_as_many_components():
    """The same flow by the formulas of `ConditionalMixture`, component by component."""
    kernels, x = given_kernels(), torch.tensor(training_rows(20)[0])
    log_weight, points = code = kernels.encode(x)
    n_points = points.shape[1]
    mixture = ConditionalMixture.like(column_beside(), n_components=n_points)
    mixture.variance[:] = kernels.variance.unsqueeze(1)
    r, t = kernels.to_own(x)[0], torch.tensor(0.3, dtype=torch.float64)
    same = log_weight, points.expand(-1, -1, len(x))
    for actual, expected in zip(
        kernels.velocity_and_divergence(r, t, code),
        mixture.velocity_and_divergence(r, t, same),
        strict=True,
    ):
        torch.testing.assert_close(actual, expected)


def test_divergence_of_kernels_is_that_of_their_velocity():
    kernels, x = given_kernels(), torch.tensor(training_rows(20)[0])
    code, t = kernels.encode(x), torch.tensor(0.3, dtype=torch.float64)
    r = kernels.to_own(x)[0].requires_grad_(True)
    v, divergence = kernels.velocity_and_divergence(r, t, code)
    (expected,) = torch.autograd.grad(v.sum(), r)
    torch.testing.assert_close(divergence, expected)


def test_contexts_far_away_give_finite_scores_and_gradients():
    kernels = given_kernels()
    far = torch.tensor([[1e6, -1e6, 0.0], [0.0, 0.0, 30.0]], dtype=torch.float64)
    far.requires_grad_(True)
    scores = log_density_of_own(kernels, far, Path(T_MIN, 16))
    (gradient,) = torch.autograd.grad(scores.sum(), far)
    assert torch.isfinite(scores).all()
    assert torch.isfinite(gradient).all()


def test_contexts_of_kernels_level_off():
    network = column_beside()
    network.context_low.fill_(-2.0)
    network.context_high.fill_(2.0)
    z, weight = (torch.tensor(x) for x in training_rows())
    kernels = ConditionalKernels.beside(network, z, weight, [(H, H_CONTEXT)])
    x = torch.tensor([[1e3, -1e3, 0.0], [1e6, -1e3, 0.0]], dtype=torch.float64)
    weights, _ = kernels.encode(x)
    torch.testing.assert_close(weights[..., 0], weights[..., 1])


def test_gradient_of_kernels_is_that_of_their_log_density():
    x = torch.tensor(training_rows(20)[0]).requires_grad_(True)
    path, kernels = Path(T_MIN, 16), given_kernels()
    (gradient,) = torch.autograd.grad(log_density_of_own(kernels, x, path).sum(), x)
    step = torch.tensor([1e-4, 0, 0], dtype=torch.float64)
    with torch.no_grad():
        up, down = (
            log_density_of_own(kernels, x + sign * step, path) for sign in (1, -1)
        )
    torch.testing.assert_close(gradient[:, :1], (up - down) / 2e-4, atol=1e-4, rtol=1e-4)


@pytest.fixture
def ensemble(network):
    """The network of `conftest` with a mixture beside it, and kernels beside both."""
    mixture = known_mixture()
    known = [regressions(mixture, 0, ()), regressions(mixture, 1, (0,))]
    mixtures = ConditionalMixture.beside(network.select((0, 1)), known)
    z = torch.tensor(standard_normal(80, 4, seed=2))
    h = [(0.4, 0.6), (0.3, 0.3), (0.3, 0.5), (0.5, 0.5)]
    kernels = ConditionalKernels.beside(network, z, torch.ones(80), h)
    beside = [
        PartnerShare(mixtures, torch.tensor([0.5, 0.25])),
        PartnerShare(kernels, torch.tensor([0.5, 0.0, 0.25, 1.0])),
    ]
    return Ensemble([[network]], [beside])


@pytest.fixture
def nested(ensemble):
    """Its only denoiser."""
    (denoiser,) = ensemble.denoisers()
    return denoiser


def test_columns_without_a_share_are_not_kept(ensemble, nested):
    ((mixtures, kernels),) = ensemble.beside
    kept = [mixtures.taking_part(), kernels.taking_part()]
    assert [one.partner.columns for one in kept] == [(0, 1), (0, 2, 3)]
    assert [one.share.tolist() for one in kept] == [[0.5, 0.25], [0.5, 0.25, 1.0]]
    (denoiser,) = Ensemble(ensemble.members, [kept]).denoisers()
    z, path = torch.tensor(standard_normal(30, 4)), Path(T_MIN, 8)
    torch.testing.assert_close(
        log_density_of_own(denoiser, z, path), log_density_of_own(nested, z, path)
    )


def test_two_partners_are_averaged_in_turn(nested):
    z, t = torch.tensor(standard_normal(30, 4)), torch.tensor(0.5, dtype=torch.float64)
    r, _ = nested.to_own(z)
    network, mixture, kernels = nested.base.base, nested.base.partner, nested.partner
    assert (mixture.columns, kernels.columns) == ((0, 1), (0, 2, 3))
    expected = network.velocity(r, t, network.encode(z))
    v = mixture.velocity(r[:, :2], t, mixture.encode(z))
    expected[:, :2] = torch.lerp(expected[:, :2], v, torch.tensor([0.5, 0.25]).to(v))
    v = kernels.velocity(r[:, [0, 2, 3]], t, kernels.encode(z))
    share = torch.tensor([0.5, 0.25, 1.0]).to(v)
    expected[:, [0, 2, 3]] = torch.lerp(expected[:, [0, 2, 3]], v, share)
    actual = nested.velocity(r, t, nested.encode(z))
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(actual[:, 3], v[:, 2])


def test_later_partners_thin_earlier_ones(ensemble):
    shares = ensemble.shares()
    np.testing.assert_allclose(shares["mixture_shares_"], [0.25, 0.25, 0, 0])
    np.testing.assert_allclose(shares["kernel_shares_"], [0.5, 0, 0.25, 1.0])


def test_an_ensemble_survives_its_state(ensemble, network):
    """Two members, of which one differs, with partners beside their average."""
    other = copy.deepcopy(network)
    other.b_out.data += 0.2
    ensemble = Ensemble([[network.float()], [other.float()]], ensemble.beside)
    for partner, _ in ensemble.beside[0]:
        partner.float()
    (nested,) = ensemble.denoisers()
    z, path = torch.tensor(standard_normal(30, 4)), Path(T_MIN, 8)
    expected = log_density_of_own(nested, z, path)
    again = Ensemble.from_state(ensemble.to_state())
    denoiser = again.denoisers()[0].eval()
    torch.testing.assert_close(log_density_of_own(denoiser, z, path), expected)
    part = log_density_of_own(denoiser.select((3, 0)), z, path)
    torch.testing.assert_close(part, expected[:, [3, 0]])
    assert [type(n) for (n,) in again.members] == [ConditionalNetwork] * 2
    (alone,) = Ensemble(ensemble.members[:1], ensemble.beside).denoisers()
    assert (log_density_of_own(alone, z, path) - expected).abs().max() > 1e-3


def test_partners_of_one_network_leave_the_others_alone(ensemble, network):
    """Two networks a member, of which the second has partners."""
    parts = [network.select((0, 1)), network.select((2, 3))]
    (_, kernels), *_ = ensemble.beside
    partner, share = kernels.partner.select((2, 3)), kernels.share[2:]
    both = Ensemble([parts], [[], [PartnerShare(partner, share)]])
    first, second = both.denoisers()
    assert first is parts[0]
    z, path = torch.tensor(standard_normal(30, 4)), Path(T_MIN, 8)
    expected = averaged_with(parts[1], partner, share)
    torch.testing.assert_close(
        log_density_of_own(second, z, path), log_density_of_own(expected, z, path)
    )
    np.testing.assert_allclose(both.shares()["kernel_shares_"], [0, 0, 0.25, 1.0])
    alone = Ensemble([parts])
    assert alone.denoisers() == parts
    assert not any(shares.any() for shares in alone.shares().values())


def test_samples_with_two_partners_follow_their_flow(nested):
    noise, path = torch.tensor(standard_normal(100, 4)), Path(T_MIN, 200)
    z = from_normal([nested.select((j,)) for j in range(4)], noise, path)
    back = own_to_normal(nested, z, path)
    torch.testing.assert_close(back, noise, atol=1e-4, rtol=1e-4)


def test_bandwidths_are_those_of_residuals_given_their_contexts():
    z, weight = training_rows(120)
    weight = np.where(z[:, 0] > 0, 1.99, 0.01)
    network = column_beside()
    rows = replace(rows_of(z), weight=torch.tensor(weight, dtype=torch.float32))
    ((found,),) = Kernels(network, [rows], rows, seed=0).bandwidths
    residual, _ = network.to_own(rows.z.double())
    likelihood = LeaveOneOut(
        residual, rows.z[:, :2].double(), rows.weight.double(), torch.arange(120)
    )
    assert found == pytest.approx(best_bandwidths(likelihood), rel=0.01)


def test_rows_that_are_left_out_are_drawn_at_random(monkeypatch):
    monkeypatch.setattr(partners, "MAX_LEFT_OUT", 30)
    seen = []

    def watched(likelihood):
        seen.append(likelihood.left_out)
        return 0.3, 0.3

    monkeypatch.setattr(partners, "best_bandwidths", watched)
    rows = rows_of(training_rows(120)[0])
    kernels = Kernels(column_beside(), [rows], rows, seed=0)
    assert kernels.bandwidths.tolist() == [[[0.3, 0.3]]]
    (left_out,) = seen
    assert len(left_out.unique()) == 30
    assert left_out.max() > 60


def averaged(network, rows, n_training):
    training, held_out = (rows.take(i) for i in torch.arange(len(rows)).split(n_training))
    member = SimpleNamespace(
        rows=training, held_out=held_out, generator=torch.Generator().manual_seed(0)
    )
    options = SimpleNamespace(max_components=4, tol=1e-4)
    found = PartnersOfNetworks([network], [member], rows, options)
    return found, found.choose()


def test_kernels_know_rows_that_nearly_repeat():
    """A comb of 80 values on a curve: no mixture of few components can tell."""
    values = standard_normal(80, 2, seed=7)
    values[:, 1] += np.sin(3 * values[:, 0])
    z = np.tile(values, (8, 1)) + 0.02 * standard_normal(640, 2, seed=8)
    z = (z - z.mean(0)) / z.std(0)
    network = ConditionalNetwork((1,), ((0,),), t_min=T_MIN, hidden_size=8)
    rows = rows_of(z)
    network.calibrate(rows.z).eval()
    found, gain = averaged(network, rows, n_training=480)
    assert gain > 0.5
    kernels, share = found.of_all_rows()[-1]
    assert isinstance(kernels, ConditionalKernels)
    assert share.item() >= 0.5
    assert kernels.place.shape == (1, 640)


def test_of_many_rows_the_same_few_choose_bandwidths_and_become_kernels(monkeypatch):
    """Catches bandwidths that are those of more kernels than there are."""
    monkeypatch.setattr(partners, "MAX_KERNELS", 50)
    seen = []

    def watched(likelihood):
        seen.append(likelihood.own)
        return best_bandwidths(likelihood)

    monkeypatch.setattr(partners, "best_bandwidths", watched)
    rows = rows_of(standard_normal(200, 1))
    network = ConditionalNetwork((0,), ((),), t_min=T_MIN, hidden_size=8).eval()
    kernels = Kernels(network, [rows], rows, seed=0)
    (found,), again = kernels.of_training_rows(), kernels.of_all_rows()
    torch.testing.assert_close(found.place, again.place, rtol=0, atol=0)
    step = float(found.mean[0, 1] - found.mean[0, 0])
    residual = float(found.mean[0, 0]) + step * found.place[0]
    (own,) = seen
    torch.testing.assert_close(residual.double(), own[:, 0], rtol=1e-4, atol=1e-4)
    assert len(own) == 50
    assert own.min() < -1 < 1 < own.max()


def test_partners_of_training_rows_are_those_of_each_member():
    """Catches a member that is judged by what has seen its held-out rows."""
    rows = rows_of(np.r_[standard_normal(100, 1) - 1, 2 * standard_normal(100, 1) + 1])
    network = ConditionalNetwork((0,), ((),), t_min=T_MIN, hidden_size=8).eval()
    parts = rows.take(torch.arange(100)), rows.take(torch.arange(100, 200))
    means = [part.z.mean().item() for part in parts]
    splits = [parts, parts[::-1]]
    mixtures = Mixtures(network, splits, rows, max_components=1, seed=0)
    found = [m.mean.item() for m in mixtures.of_training_rows()]
    assert found == pytest.approx(means, abs=1e-4)
    assert mixtures.of_all_rows().mean.item() == pytest.approx(sum(means) / 2, abs=1e-4)
    kernels = Kernels(network, parts, rows, seed=0)
    for kernel, part in zip(kernels.of_training_rows(), parts, strict=True):
        step = kernel.mean[0, 1] - kernel.mean[0, 0]
        placed = kernel.mean[0, 0] + step * kernel.place[0]
        torch.testing.assert_close(placed, part.z[:, 0], rtol=1e-4, atol=1e-4)
    first, second = kernels.bandwidths
    assert not np.allclose(first, second)
    (bandwidth,) = kernels.of_all_rows().context_bandwidth.numpy()
    assert bandwidth == pytest.approx(np.sqrt(first[0, 1] * second[0, 1]), rel=1e-6)


def test_columns_that_are_determined_have_no_partners(network):
    network.active[1] = 0
    rows = rows_of(standard_normal(200, 4))
    found, _ = averaged(network.float(), rows, n_training=150)
    assert [p.network.columns for p in found.partners] == [(0, 2, 3), (0, 2, 3)]
    ensemble = Ensemble([[network]], [found.of_all_rows()])
    (denoiser,) = ensemble.denoisers()
    assert denoiser.columns == (0, 1, 2, 3)
    for attribute in ensemble.shares().values():
        assert attribute[1] == 0


def test_an_average_with_kernels_is_one_normalised_density():
    """Mass of a column of clusters that one component cannot tell apart."""
    x = np.random.RandomState(0).choice([-2.0, -0.5, 1.0, 3.0], 400)
    x = (x + 0.05 * standard_normal(400, 1, seed=2)[:, 0])[:, None]
    model = short(max_iter=20, max_components=1).fit(x)
    assert model.kernel_shares_[0] > 0.2
    grid = np.linspace(-12, 12, 20_001)
    mass = np.trapezoid(np.exp(model.score_samples(grid[:, None])), grid)
    assert mass == pytest.approx(1, abs=2e-3)


def test_no_kernels_without_components_or_with_shared_weights(chain):
    for options in ({"max_components": 0}, {"share_weights": True}):
        model = short(graph=chain.graph, max_iter=20, **options).fit(chain.data)
        np.testing.assert_array_equal(model.kernel_shares_, 0)


def test_kernels_are_saved_with_the_model(chain):
    model = short(graph=chain.graph, max_iter=20).fit(chain.data)
    assert model.kernel_shares_.max() > 0
    clone = FactorizedDiffusionDensity()
    clone.__setstate__(model.__getstate__())
    np.testing.assert_array_equal(
        clone.score_samples(chain.data), model.score_samples(chain.data)
    )

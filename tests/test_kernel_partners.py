"""Kernel estimates beside networks: their flow, and how much of them enters."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import standard_normal
from scipy.special import logsumexp
from scipy.stats import norm
from test_mixtures import T_MIN, column_beside, known_mixture, rows_of, short

from skdiffusion import FactorizedDiffusionDensity, blending
from skdiffusion.bandwidths import LeaveOneOut, best_bandwidths
from skdiffusion.blending import Company, bandwidths_beside
from skdiffusion.flow import Path, from_normal, log_density_of_own, own_to_normal
from skdiffusion.mixtures import regressions
from skdiffusion.networks import (
    Blend,
    ConditionalKernels,
    ConditionalMixture,
    ConditionalNetwork,
    from_state,
    network_from_state,
    partner_shares,
)
from skdiffusion.networks import _kernels as module

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


def test_kernels_are_at_least_two_noise_floors_wide():
    kernels = given_kernels((1e-3, H_CONTEXT))
    step = kernels.mean[0, 1] - kernels.mean[0, 0]
    width = kernels.variance[0] + step**2 / 6
    assert float(width) ** 0.5 == pytest.approx(2 * np.tan(T_MIN), rel=1e-6)


def test_columns_without_bandwidth_are_standard_normal_residuals():
    network = ConditionalNetwork((0, 1), ((), (0,)), t_min=T_MIN, hidden_size=8)
    z, weight = (torch.tensor(x, dtype=torch.float32) for x in training_rows())
    kernels = ConditionalKernels.beside(network, z, weight, [None, (H, H_CONTEXT)])
    v = kernels.velocity(z[:20, :2], torch.tensor(0.4), kernels.encode(z[:20]))
    torch.testing.assert_close(v[:, 0], torch.zeros(20), atol=1e-6, rtol=0)
    assert v[:, 1].abs().max() > 0.1


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


def test_scores_of_kernels_do_not_depend_on_the_place_of_a_row():
    z = standard_normal(256, 6) @ np.linalg.cholesky(0.9 + 0.1 * np.eye(6)).T
    network = ConditionalNetwork((5,), (tuple(range(5)),), t_min=T_MIN, hidden_size=8)
    single = torch.as_tensor(z, dtype=torch.float32)
    network.calibrate(single)
    kernels = ConditionalKernels.beside(network, single, torch.ones(256), [(0.3, 0.5)])
    z, path = torch.as_tensor(z), Path(T_MIN, 8)
    turned = log_density_of_own(kernels, z.roll(1, 0), path).roll(-1, 0)
    torch.testing.assert_close(
        turned, log_density_of_own(kernels, z, path), rtol=1e-9, atol=1e-9
    )


@pytest.fixture
def nested(network):
    """The network of `conftest` with a mixture beside it, and kernels beside both."""
    mixture = known_mixture()
    known = [regressions(mixture, 0, ()), regressions(mixture, 1, (0,)), None, None]
    beside = ConditionalMixture.beside(network, known)
    z = torch.tensor(standard_normal(80, 4, seed=2))
    h = [(0.4, 0.6), None, (0.3, 0.5), (0.5, 0.5)]
    kernels = ConditionalKernels.beside(network, z, torch.ones(80), h)
    inner = Blend(network, beside, torch.tensor([0.5, 0.25, 0.0, 0.0]))
    return Blend(inner, kernels, torch.tensor([0.5, 0.0, 0.25, 1.0]))


def test_two_partners_are_averaged_in_turn(nested):
    z, t = torch.tensor(standard_normal(30, 4)), torch.tensor(0.5, dtype=torch.float64)
    r, _ = nested.to_own(z)
    (network, mixture), kernels = nested.members[0].members, nested.members[1]
    v = [m.velocity(r, t, m.encode(z)) for m in (network, mixture, kernels)]
    expected = 0.25 * v[0][:, 0] + 0.25 * v[1][:, 0] + 0.5 * v[2][:, 0]
    actual = nested.velocity(r, t, nested.encode(z))
    torch.testing.assert_close(actual[:, 0], expected)
    torch.testing.assert_close(actual[:, 3], v[2][:, 3])
    shares = partner_shares([[nested]])
    np.testing.assert_allclose(shares["mixture_shares_"], [0.25, 0.25, 0, 0])
    np.testing.assert_allclose(shares["kernel_shares_"], [0.5, 0, 0.25, 1.0])


def test_two_partners_survive_their_state(nested):
    state = nested.float().to_state()
    z, path = torch.tensor(standard_normal(30, 4)), Path(T_MIN, 8)
    expected = log_density_of_own(nested, z, path)
    again = from_state(state).eval()
    torch.testing.assert_close(log_density_of_own(again, z, path), expected)
    part = log_density_of_own(again.select((3, 0)), z, path)
    torch.testing.assert_close(part, expected[:, [3, 0]])
    assert type(network_from_state(state)) is ConditionalNetwork


def test_samples_with_two_partners_follow_their_flow(nested):
    noise, path = torch.tensor(standard_normal(100, 4)), Path(T_MIN, 200)
    z = from_normal([nested.select((j,)) for j in range(4)], noise, path)
    back = own_to_normal(nested, z, path)
    torch.testing.assert_close(back, noise, atol=1e-4, rtol=1e-4)


def test_bandwidths_are_those_of_residuals_given_their_contexts():
    z, weight = training_rows(120)
    network = column_beside()
    rows = replace(rows_of(z), weight=torch.tensor(weight, dtype=torch.float32))
    (found,) = bandwidths_beside(network, rows, torch.Generator().manual_seed(0))
    residual, _ = network.to_own(rows.z.double())
    likelihood = LeaveOneOut(
        residual, rows.z[:, :2].double(), rows.weight.double(), torch.arange(120)
    )
    assert found == pytest.approx(best_bandwidths(likelihood), rel=0.1)
    network.active.zero_()
    assert bandwidths_beside(network, rows, torch.Generator()) == [None]


def company(network, training, held_out):
    member = SimpleNamespace(
        rows=training, held_out=held_out, generator=torch.Generator().manual_seed(0)
    )
    found = Company(network, member, SimpleNamespace(max_components=4, tol=1e-4))
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
    parts = rows.take(torch.arange(480)), rows.take(torch.arange(480, 640))
    found, gain = company(network, *parts)
    assert gain > 0.5
    blend = found.fitted_to(rows)
    assert isinstance(blend.members[1], ConditionalKernels)
    assert blend.share.item() >= 0.5
    assert blend.members[1].place.shape == (1, 640)


def test_more_rows_than_allowed_are_drawn(monkeypatch):
    monkeypatch.setattr(blending, "MAX_KERNELS", 50)
    rows = rows_of(standard_normal(200, 1))
    network = ConditionalNetwork((0,), ((),), t_min=T_MIN, hidden_size=8).eval()
    found, _ = company(network, rows, rows_of(standard_normal(100, 1, seed=1)))
    kernels = found.partners[1].fitted_to(rows)
    assert kernels.place.shape == (1, 50)
    assert float(kernels.mean[0, 0]) < -1


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

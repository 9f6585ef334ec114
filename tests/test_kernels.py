"""Kernel denoisers against brute force, finite differences and the flow."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from skdiffusion import process
from skdiffusion.flow import Path, from_normal, log_density
from skdiffusion.kernels import KernelDenoiser
from skdiffusion.thresholds import make_threshold, soft

H = 0.3
T_MIN = math.atan(H)


def denoiser_of(columns, context, rows, weight, own, given, threshold=None):
    own, given = rows.new_tensor(own), rows.new_tensor(given)
    return KernelDenoiser(columns, context, rows, weight.log(), own, given, H, threshold)


@pytest.fixture
def rows(generator):
    return torch.randn(7, 3, generator=generator, dtype=torch.float64)


@pytest.fixture
def weight(generator):
    w = torch.rand(7, generator=generator, dtype=torch.float64)
    return w / w.sum()


def mixture(rows, weight, h):
    """Normal mixture around rows with standard deviations h of the columns."""
    h = torch.as_tensor(h, dtype=rows.dtype).expand(rows.shape[1])
    normals = MultivariateNormal(rows, torch.diag(h**2).expand(len(rows), -1, -1))
    return MixtureSameFamily(Categorical(weight), normals)


def test_log_density_is_the_mixture_of_kernels(rows, weight):
    """Catches a wrong constant, weight or bandwidth of a column."""
    denoiser = denoiser_of((2, 0), (), rows, weight, [0.3, 0.8], [])
    z = torch.linspace(-3, 3, 15, dtype=torch.float64).reshape(5, 3)
    expected = mixture(rows[:, [2, 0]], weight, [0.3, 0.8]).log_prob(z[:, [2, 0]])
    torch.testing.assert_close(denoiser.log_density(z), expected)


def test_conditional_log_density_is_a_quotient_of_kernel_estimates(rows, weight):
    """Catches a context weight that is not normalised."""
    denoiser = denoiser_of((1,), (0, 2), rows, weight, [0.3], [0.5, 0.7])
    z = torch.linspace(-3, 3, 15, dtype=torch.float64).reshape(5, 3)
    joint = mixture(rows, weight, [0.5, 0.3, 0.7]).log_prob(z)
    context = mixture(rows[:, [0, 2]], weight, [0.5, 0.7]).log_prob(z[:, [0, 2]])
    torch.testing.assert_close(denoiser.log_density(z), joint - context)


@pytest.mark.parametrize("t", [0.3, 0.9, 1.5])
def test_score_is_the_gradient_of_the_noised_mixture(rows, weight, t):
    """Catches a wrong heat clock."""
    denoiser = denoiser_of((0, 1, 2), (), rows, weight, [H] * 3, [])
    t = torch.tensor(t).double()
    noisy = mixture(torch.cos(t) * rows, weight, torch.sin(t))
    z_t = torch.linspace(-2, 2, 9).double().reshape(3, 3).requires_grad_(True)
    expected = torch.autograd.grad(noisy.log_prob(z_t).sum(), z_t)[0]
    v = denoiser.velocity(z_t.detach(), t, denoiser.encode(z_t.detach()))
    torch.testing.assert_close(process.score(z_t, v, t).detach(), expected)


def test_flow_has_the_closed_form_log_density(rows, weight):
    """The probability flow of the kernel score is that of the kernel estimate."""
    own = denoiser_of((0, 1), (), rows, weight, [0.3, 0.5], [])
    given = denoiser_of((2,), (0, 1), rows, weight, [0.4], [0.6, 0.6])
    z = torch.randn(20, 3, generator=torch.Generator().manual_seed(1)).double()
    found = log_density([own, given], z, Path(T_MIN, 60)).sum(1)
    expected = own.log_density(z) + given.log_density(z)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def wasserstein(x, y):
    """Wasserstein-1 distance of two samples of one size on the line."""
    return (x.sort().values - y.sort().values).abs().mean().item()


def test_flow_samples_approach_the_kernel_estimate_as_steps_grow(rows, weight, generator):
    """On the line the flow is the monotone map from noise to exact quantiles."""
    denoiser = denoiser_of((0,), (), rows[:, :1], weight, [H], [])
    level = (torch.arange(400).double() + 0.5) / 400
    noise = torch.special.ndtri(level).unsqueeze(1)
    x = torch.linspace(-6, 6, 1_000_001).double()
    spread = torch.special.ndtr((x.unsqueeze(1) - rows[:, 0]) / H) @ weight
    exact = x[torch.searchsorted(spread, level)]
    errors = [
        wasserstein(from_normal([denoiser], noise, Path(T_MIN, n))[:, 0], exact)
        for n in (2, 4, 8, 16)
    ]
    assert errors == sorted(errors, reverse=True), errors
    assert errors[-1] < 5e-5


@pytest.mark.parametrize("name", ["hard", "soft", "max"])
def test_thresholded_score_vanishes_far_away_and_is_exact_nearby(rows, weight, name):
    """Catches a threshold applied to the velocity instead of the score."""
    threshold = make_threshold(name, 0.1, 7)
    plain = denoiser_of((0,), (), rows[:, :1], weight, [H], [])
    cut = denoiser_of((0,), (), rows[:, :1], weight, [H], [], threshold)
    z = torch.tensor([[rows[:, 0].median()], [50.0]]).double()
    expected, found = plain.score(z), cut.score(z)
    torch.testing.assert_close(found[0], expected[0])
    assert found[1].abs().item() < 1e-10 < expected[1].abs().item()


@pytest.mark.parametrize("t", [0.3, 0.7, 1.2])
@pytest.mark.parametrize("name", ["hard", "soft", "max"])
def test_thresholded_velocity_follows_the_formulas(rows, weight, name, t):
    """From densities and scores of the noisy mixture; catches a wrong clock."""
    n, t = 7, torch.tensor(t).double()
    cos, tau = torch.cos(t), torch.tan(t) ** 2
    x = 2 * torch.randn(40, 2, generator=torch.Generator().manual_seed(3)).double()
    x.requires_grad_(True)
    log_p = mixture(rows[:, :2], weight, tau.sqrt()).log_prob(x)
    plain = torch.autograd.grad(log_p.sum(), x)[0]
    x, p = x.detach(), log_p.detach().exp().unsqueeze(1)
    level = {
        "hard": 1 / (n * tau),
        "soft": math.log(n) / (n * 2 * math.pi * tau),
        "max": 1 / (n * 2 * math.pi * tau),
    }[name]
    # a constant that puts the level in the middle of the densities
    constant = (1.01 * p.median() / level).item()
    threshold = make_threshold(name, constant, n)
    denoiser = denoiser_of((0, 1), (), rows, weight, [H, H], [], threshold)
    ratio = p / (constant * level)
    factor = {
        "hard": (ratio >= 1).double(),
        "max": ratio.clamp(max=1),
        "soft": soft(ratio.log()),
    }[name]
    assert 0 < factor.mean() < 1
    v = denoiser.velocity(cos * x, t, denoiser.encode(x))
    # the score in the heat clock is cos t times that of the process
    found = cos * process.score(cos * x, v, t)
    torch.testing.assert_close(found, factor * plain, atol=1e-9, rtol=1e-9)


def test_score_at_the_stopping_time_is_the_gradient_of_the_log_density(rows, weight):
    denoiser = denoiser_of((0, 1, 2), (), rows, weight, [0.2, 0.4, 0.9], [])
    z = (rows[:3] + 0.3).requires_grad_(True)
    expected = torch.autograd.grad(denoiser.log_density(z).sum(), z)[0]
    found = denoiser.score(z.detach())
    torch.testing.assert_close(found, expected)

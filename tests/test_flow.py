import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from skdiffusion.denoisers import GaussianDenoiser
from skdiffusion.flow import (
    Path,
    from_normal,
    in_order,
    log_density,
    states,
    to_normal,
)

NOISE_FLOOR = 0.1
T_MIN = math.atan(NOISE_FLOOR)


@pytest.fixture
def correlated():
    """Gaussian denoiser on columns (1, 0) of a table, and the law of its density."""
    mean = torch.tensor([0.3, -0.4]).double()
    covariance = torch.tensor([[1.0, 0.8], [0.8, 0.9]]).double()
    smoothed = covariance + NOISE_FLOOR**2 * torch.eye(2).double()
    return GaussianDenoiser((1, 0), mean, covariance), MultivariateNormal(mean, smoothed)


def gaussian_error(correlated, n_steps):
    denoiser, law = correlated
    z = torch.tensor([[0.2, 1.0], [-1.0, 0.4], [3.0, 2.0]]).double()
    found = log_density([denoiser], z, Path(T_MIN, n_steps)).sum(1)
    return (found - law.log_prob(z.flip(1))).abs().max().item()


def test_log_density_converges_to_the_smoothed_gaussian(correlated):
    """Catches a lost log cos(t_min), sign of the divergence or of a Jacobian."""
    assert gaussian_error(correlated, 150) < 1e-6


def test_log_density_converges_at_the_order_of_the_solver(correlated):
    errors = [gaussian_error(correlated, n) for n in (10, 40)]
    assert math.log2(errors[0] / errors[1]) / 2 == pytest.approx(4, abs=0.2)


def test_samples_are_the_inverse_of_the_flow_of_the_density(correlated, generator):
    """Samples have the moments that log_density claims."""
    denoiser, law = correlated
    noise = torch.randn(200_000, 2, generator=generator).double()
    z = from_normal([denoiser], noise, Path(T_MIN, 40)).flip(1)
    torch.testing.assert_close(z.mean(0), law.mean, atol=0.01, rtol=0)
    torch.testing.assert_close(z.T.cov(), law.covariance_matrix, atol=0.02, rtol=0)


def test_samples_from_noise_of_an_earlier_end_come_back(correlated, generator):
    """Catches noise that is not as wide as the process where it ends."""
    path = Path(T_MIN, 40, t_max=1.2)
    noise = torch.randn(20, 2, generator=generator).double()
    z = from_normal([correlated[0]], noise, path)
    back = to_normal([correlated[0]], z, path)
    torch.testing.assert_close(back, noise, atol=1e-5, rtol=0)


def test_noise_and_samples_have_densities_related_by_the_map(network, generator):
    """The change of variables from noise to rows is the log-density itself."""
    path = Path(T_MIN, 60)
    noise = torch.randn(4, 4, generator=generator).double()
    parts = in_order([network], [(0,), (1,), (2,), (3,)])
    to_row = lambda e: from_normal(parts, e[None], path)[0]
    jacobian = torch.stack([torch.autograd.functional.jacobian(to_row, e) for e in noise])
    rows = torch.stack([to_row(e) for e in noise])
    normal = (-0.5 * noise**2 - 0.5 * math.log(2 * math.pi)).sum(1)
    expected = normal - torch.linalg.slogdet(jacobian).logabsdet
    found = log_density([network], rows, path).sum(1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_several_denoisers_fill_all_columns(correlated, network):
    denoiser, law = correlated
    single = GaussianDenoiser((2,), torch.zeros(1).double(), torch.eye(1).double())
    z = torch.tensor([[0.2, 1.0, -0.5]]).double()
    terms = log_density([single, denoiser], z, Path(T_MIN, 60))
    variance = 1 + NOISE_FLOOR**2
    normal = -0.5 * 0.25 / variance - 0.5 * math.log(2 * math.pi * variance)
    assert terms[0, 2].item() == pytest.approx(normal, abs=1e-6)
    assert terms[0, :2].sum().item() == pytest.approx(
        law.log_prob(z[:, [1, 0]]).item(), abs=1e-5
    )


def test_states_lead_from_noise_to_the_samples(network, generator):
    path = Path(T_MIN, 12)
    noise = torch.randn(5, 4, generator=generator).double()
    parts = in_order([network], [(0,), (1,), (2,), (3,)])
    found = states(parts, noise, path)
    assert found.shape == (5, 13, 4)
    rows = from_normal(parts, noise, path)
    torch.testing.assert_close(found[:, 0], network.scale.double() * noise)
    torch.testing.assert_close(found[:, -1], math.cos(T_MIN) * rows)


def test_states_of_a_gaussian_have_the_moments_of_the_process(correlated, generator):
    """Catches states that are out of order or belong to other times."""
    denoiser, law = correlated
    noise = torch.randn(50_000, 2, generator=generator).double()
    path = Path(T_MIN, 20)
    found = states([denoiser], noise, path).flip(2)
    for k in (0, 8, 15, 20):
        t = path.grid()[::-1][k]
        mean, clean = math.cos(t) * law.mean, law.covariance_matrix
        # the law is smoothed by the noise floor already
        clean = clean - NOISE_FLOOR**2 * torch.eye(2).double()
        covariance = math.cos(t) ** 2 * clean + math.sin(t) ** 2 * torch.eye(2).double()
        torch.testing.assert_close(found[:, k].mean(0), mean, atol=0.02, rtol=0)
        torch.testing.assert_close(found[:, k].T.cov(), covariance, atol=0.02, rtol=0)

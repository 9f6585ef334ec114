import pytest
import torch
from torch.distributions import MultivariateNormal

from skdiffusion import process
from skdiffusion.denoisers import Denoiser, GaussianDenoiser


@pytest.fixture
def gaussian(generator):
    factor = torch.randn(3, 3, generator=generator).double()
    covariance = factor @ factor.T + 0.1 * torch.eye(3).double()
    mean = torch.tensor([0.5, -1.0, 0.2]).double()
    return GaussianDenoiser((0, 1, 2), mean, covariance), mean, covariance


@pytest.mark.parametrize("t", [0.02, 0.4, 1.5])
def test_score_of_the_gaussian_denoiser_is_the_gradient_of_log_p_t(gaussian, t):
    """Catches a wrong gain or mean in the closed form."""
    denoiser, mean, covariance = gaussian
    t = torch.tensor(t).double()
    noised = torch.cos(t) ** 2 * covariance + torch.sin(t) ** 2 * torch.eye(3)
    law = MultivariateNormal(torch.cos(t) * mean, noised)
    z_t = law.sample((5,)).requires_grad_(True)
    expected = torch.autograd.grad(law.log_prob(z_t).sum(), z_t)[0]
    score = process.score(z_t, denoiser.velocity(z_t, t, None), t)
    torch.testing.assert_close(score, expected)


def test_standard_normal_has_zero_velocity():
    denoiser = GaussianDenoiser((0, 1), torch.zeros(2), torch.eye(2))
    v = denoiser.velocity(torch.ones(3, 2), torch.tensor(0.7), None)
    torch.testing.assert_close(v, torch.zeros(3, 2))


class Neighbours(Denoiser):
    """Velocity j reads columns j and j + 1 of four; two colours suffice."""

    columns = (0, 1, 2, 3)
    colours = torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 1]])

    def velocity(self, r_t, t, code):
        return torch.sin(r_t) * torch.roll(r_t, -1, dims=1) * r_t.new_tensor([1, 1, 1, 0])


def test_coloured_divergence_is_the_diagonal_of_the_jacobian(generator):
    """Catches probes that mix columns or miss one."""
    denoiser = Neighbours()
    r = torch.randn(5, 4, generator=generator)
    _, diagonal = denoiser.velocity_and_divergence(r, torch.tensor(0.3), None)
    jacobian = torch.func.vmap(
        torch.func.jacrev(lambda x: denoiser.velocity(x[None], 0, 0)[0])
    )
    expected = torch.diagonal(jacobian(r), dim1=1, dim2=2)
    torch.testing.assert_close(diagonal, expected)
    denoiser.colours = None
    _, dense = denoiser.velocity_and_divergence(r, torch.tensor(0.3), None)
    torch.testing.assert_close(dense, expected)


def test_joint_denoiser_cannot_be_split(gaussian):
    assert gaussian[0].select((0, 1, 2)) is gaussian[0]
    with pytest.raises(NotImplementedError, match="jointly"):
        gaussian[0].select((0,))

import math

import torch

from skdiffusion import process

LIKE = torch.zeros((), dtype=torch.float64)


def test_velocity_target_is_the_time_derivative_of_the_state():
    """Catches a wrong sign in the target or in the state."""
    z, eps = torch.tensor([0.7, -1.2]).double(), torch.tensor([0.3, 2.0]).double()
    t, dt = torch.tensor(0.4).double(), 1e-6
    ahead, behind = (process.noised(z, eps, t + s) for s in (dt, -dt))
    slope = (ahead - behind) / (2 * dt)
    torch.testing.assert_close(slope, process.velocity_target(z, eps, t))


def test_denoised_recovers_the_row_when_the_velocity_is_known():
    z, eps = torch.randn(2, 5, generator=torch.Generator().manual_seed(0)).double()
    t = torch.tensor(1.1).double()
    z_t, v = process.noised(z, eps, t), process.velocity_target(z, eps, t)
    torch.testing.assert_close(process.denoised(z_t, v, t), z)
    torch.testing.assert_close(process.velocity_from_denoised(z_t, z, t), v)
    torch.testing.assert_close(process.score(z_t, v, t), -eps / torch.sin(t))


def test_stratified_times_have_log_uniform_sines(generator):
    """Catches unstratified or uniform times."""
    n, t_min = 1000, 0.02
    t = process.stratified_times(n, t_min, generator=generator, like=LIKE)
    u = 1 - torch.log(torch.sin(t)) / math.log(math.sin(t_min))
    assert torch.equal((u * n).floor().clamp(max=n - 1), torch.arange(n).double())


def test_time_grid_runs_from_t_min_to_the_end_and_is_finest_at_first():
    grid = torch.tensor(process.time_grid(0.03, 10), dtype=torch.float64)
    assert abs(grid[0] - 0.03) < 1e-12
    assert abs(grid[-1] - math.pi / 2) < 1e-12
    steps = grid.diff()
    assert (steps > 0).all()
    assert (steps.diff() > 0).all()
    roots = (grid ** (1 / 6)).diff()
    torch.testing.assert_close(roots, roots.mean().expand(10))


def test_noise_floor_and_stopping_time_are_inverse():
    assert math.isclose(process.noise_floor(process.stopping_time(0.07)), 0.07)

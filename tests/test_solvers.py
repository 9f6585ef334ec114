import math

import numpy as np
import pytest
import torch

from skdiffusion.solvers import THREE_EIGHTHS, integrate


def error_with(method, n_steps):
    """Error at t = 2 for dy/dt = -t y, whose solution is exp(-t^2 / 2)."""
    grid = np.linspace(0, 2, n_steps + 1).tolist()
    start = (torch.ones((), dtype=torch.float64),)
    (y,) = integrate(lambda t, y: (-t * y[0],), start, grid, method)
    return abs(y.item() - math.exp(-2))


def test_error_falls_at_the_order_of_the_method():
    """Catches a wrong coefficient in the tableau."""
    order = math.log2(error_with(THREE_EIGHTHS, 80) / error_with(THREE_EIGHTHS, 160))
    assert order == pytest.approx(THREE_EIGHTHS.order, abs=0.1)


def test_component_that_is_not_read_is_a_running_integral():
    grid = np.linspace(0, 1, 4).tolist()
    zero = torch.zeros((), dtype=torch.float64)
    _, integral = integrate(
        lambda t, y: (zero + 1, zero + t**2), (zero, zero), grid, THREE_EIGHTHS
    )
    assert integral.item() == pytest.approx(1 / 3, abs=1e-12)


def test_decreasing_grid_goes_back():
    grid = np.linspace(0, 1, 41).tolist()
    start = (torch.tensor(0.3, dtype=torch.float64),)
    slope = lambda t, y: (torch.cos(y[0]) * t,)
    there = integrate(slope, start, grid, THREE_EIGHTHS)
    back = integrate(slope, there, grid[::-1], THREE_EIGHTHS)
    assert back[0].item() == pytest.approx(0.3, abs=1e-6)

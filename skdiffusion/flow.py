r"""The probability flow: log-densities and samples of a list of denoisers.

Every column belongs to one denoiser; given its context the density of its rows is

.. math::
    \log p(r) = \log N(r_{t_{max}}; 0, \sin^2(t_{max}) I)
    + \int_{t_{min}}^{t_{max}} \nabla \cdot v \, dt
    + n_{own} \log \cos t_{min}, \qquad r_{t_{min}} = \cos(t_{min})\, r,

with t_max = pi/2 unless said otherwise, and samples follow the same ordinary
differential equation backward [1]_, so both describe one density. Its smallest scale is
the noise floor tan(t_min).

References
----------
.. [1] Y. Song et al., "Score-Based Generative Modeling through Stochastic Differential
       Equations", ICLR 2021, appendix D. https://arxiv.org/abs/2011.13456
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .denoisers import Denoiser
from .process import T_MAX, time_grid
from .solvers import THREE_EIGHTHS, RungeKutta, integrate

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Path:
    """Where the flow starts and ends, how finely and how it is walked.

    Where it ends, at t_max, the process counts as N(0, sin^2(t_max) I).
    """

    t_min: float
    n_steps: int
    method: RungeKutta = THREE_EIGHTHS
    t_max: float = T_MAX

    def grid(self) -> list[float]:
        """Times from t_min to t_max."""
        return time_grid(self.t_min, self.n_steps, self.t_max)


def log_density(denoisers: Sequence[Denoiser], z: Tensor, path: Path) -> Tensor:
    """Log-density of clean rows, term by term.

    Parameters
    ----------
    denoisers : sequence of Denoiser
        Together they own every column once.
    z : Tensor of shape (n_samples, n_features)
        Standardised rows.
    path : Path
        Time grid and solver.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        In nats of standardised units. For one-column blocks the entries are
        conditional log-densities; for joint blocks only their sum has a meaning.
    """
    terms = torch.empty_like(z)
    for denoiser in denoisers:
        terms[:, list(denoiser.columns)] = log_density_of_own(denoiser, z, path)
    return terms


def log_density_of_own(denoiser: Denoiser, z: Tensor, path: Path) -> Tensor:
    """Log-density of the own columns of one denoiser given their contexts, (n, n_own)."""
    r, log_derivative = denoiser.to_own(z)
    code = denoiser.encode(z)

    def slope(t, state):
        return denoiser.velocity_and_divergence(state[0], _tensor(t), code)

    start = (math.cos(path.t_min) * r, torch.zeros_like(r))
    end, divergence = integrate(slope, start, path.grid(), path.method)
    end = end / math.sin(path.t_max)
    normal = -0.5 * end**2 - HALF_LOG_2PI - math.log(math.sin(path.t_max))
    return normal + divergence + math.log(math.cos(path.t_min)) + log_derivative


def in_order(denoisers: Sequence[Denoiser], generations) -> list[Denoiser]:
    """Parts of denoisers in an order in which contexts come first.

    Parameters
    ----------
    denoisers : sequence of Denoiser
        Together they own every column once.
    generations : sequence of tuple of int
        Columns, each generation depending on earlier ones only.
    """
    parts = []
    for generation in generations:
        for denoiser in denoisers:
            own = tuple(j for j in denoiser.columns if j in generation)
            if own:
                parts.append(denoiser.select(own))
    return parts


def to_normal(denoisers: Sequence[Denoiser], z: Tensor, path: Path) -> Tensor:
    """Standard normal noise that `from_normal` maps to the rows.

    With blocks of one column this is the Rosenblatt transform [1]_ of the density,
    followed by the normal quantile function.

    Parameters
    ----------
    denoisers : sequence of Denoiser
        Together they own every column once.
    z : Tensor of shape (n_samples, n_features)
        Standardised rows.
    path : Path
        Time grid and solver.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        Independent standard normal variables if the rows follow the density.

    References
    ----------
    .. [1] M. Rosenblatt, "Remarks on a multivariate transformation", Annals of
           Mathematical Statistics 23, 1952.
    """
    noise = torch.empty_like(z)
    for denoiser in denoisers:
        noise[:, list(denoiser.columns)] = own_to_normal(denoiser, z, path)
    return noise


def from_normal(denoisers: Sequence[Denoiser], noise: Tensor, path: Path) -> Tensor:
    """Rows of the density, from standard normal noise.

    Parameters
    ----------
    denoisers : sequence of Denoiser
        Together they own every column once; contexts come first (see `in_order`).
    noise : Tensor of shape (n_samples, n_features)
        Standard normal; the map from noise to rows is deterministic.
    path : Path
        Time grid and solver.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        Standardised rows.
    """
    z = torch.zeros_like(noise)
    for denoiser in denoisers:
        own = list(denoiser.columns)
        z[:, own] = own_from_normal(denoiser, z, noise[:, own], path)
    return z


def states(denoisers: Sequence[Denoiser], noise: Tensor, path: Path) -> Tensor:
    r"""Where `from_normal` comes by on its way from noise to rows.

    A column that is noised given its context, with own coordinates :math:`r` and
    :math:`z = m + s\, r`, is shown as :math:`z_t = \cos(t)\, m + s\, r_t`, the process
    with noise of the scale s that its context leaves open.

    Parameters
    ----------
    denoisers, noise, path
        As for `from_normal`.

    Returns
    -------
    Tensor of shape (n_samples, n_steps + 1, n_features)
        Standardised, at the times of ``path.grid()`` from the last to the first;
        ``states[:, -1] / cos(t_min)`` are the rows of `from_normal`.
    """
    z = torch.zeros_like(noise)
    times = torch.tensor(path.grid()[::-1]).to(noise).reshape(-1, 1, 1)
    z_t = noise.new_empty((len(times), *noise.shape))
    for denoiser in denoisers:
        own = list(denoiser.columns)
        r_t = torch.stack(list(_walk_back(denoiser, z, noise[:, own], path)))
        m = denoiser.from_own(torch.zeros_like(r_t[0]), z)
        z_t[..., own] = denoiser.from_own(r_t, z) - (1 - torch.cos(times)) * m
        z[:, own] = denoiser.from_own(r_t[-1] / math.cos(path.t_min), z)
    return z_t.transpose(0, 1)


def own_to_normal(denoiser: Denoiser, z: Tensor, path: Path) -> Tensor:
    """Noise of the own columns of one denoiser given their contexts, (n, n_own)."""
    start = math.cos(path.t_min) * denoiser.to_own(z)[0]
    *_, end = _walk(denoiser, z, start, path.grid(), path.method)
    return end / math.sin(path.t_max)


def own_from_normal(denoiser: Denoiser, z: Tensor, noise: Tensor, path: Path) -> Tensor:
    """Own columns of one denoiser given their contexts, from their noise, (n, n_own)."""
    *_, r_t = _walk_back(denoiser, z, noise, path)
    return denoiser.from_own(r_t / math.cos(path.t_min), z)


def _walk_back(denoiser: Denoiser, z: Tensor, noise: Tensor, path: Path):
    start = math.sin(path.t_max) * noise
    return _walk(denoiser, z, start, path.grid()[::-1], path.method)


def _walk(denoiser: Denoiser, z: Tensor, start: Tensor, grid, method) -> Iterator[Tensor]:
    """Own noisy coordinates at every time of a grid."""
    code = denoiser.encode(z)

    def slope(t, state):
        return (denoiser.velocity(state[0], _tensor(t), code),)

    r_t = start
    yield r_t
    for step in pairwise(grid):
        (r_t,) = integrate(slope, (r_t,), step, method)
        yield r_t


def _tensor(t: float) -> Tensor:
    """Time in double precision; a scalar on the CPU goes with tensors everywhere."""
    return torch.tensor(t, dtype=torch.float64)

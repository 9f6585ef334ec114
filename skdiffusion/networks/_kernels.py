r"""Conditional kernel estimates as denoisers.

The residual :math:`r` of a column has, given the context c, the density of Nadaraya and
Watson with the training rows :math:`(r_i, c_i)` of weight :math:`w_i`,

.. math:: p(r \mid c) = \sum_i w_i(c)\, N(r;\ r_i, h^2), \qquad
    w_i(c) \propto w_i\, K((c - c_i) / h_c).

Residuals are shared out between the two nearest points :math:`m_k` of an even grid, finer
than the bandwidth. So the weights of the rows are needed once a path, and an evaluation
of the velocity costs as much as there are points, not rows as in
`kernels.KernelDenoiser`. With
:math:`V = \cos^2(t) h^2 + \sin^2(t)` and mean and variance over the points given
:math:`r_t`,

.. math::
    \rho_k \propto w_k(c)\, N(r_t;\ \cos(t) m_k,\ V), \qquad
    v(r_t, t) = \sin(t) \cos(t) \frac{1 - h^2}{V} (r_t - \cos(t) E_\rho[m])
    - \sin(t) E_\rho[m], \qquad
    \frac{\partial E_\rho[m]}{\partial r_t} = \frac{\cos(t)}{V} Var_\rho[m].
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..kernels import kernel_exponents, relative_weights
from ..process import noise_floor
from ._conditional import ConditionalNetwork
from ._partner import NARROWEST, ConditionalPartner

# a coarser grid would show between kernels; a longer one would cost more than networks
POINTS_PER_BANDWIDTH, MOST_POINTS = 1.5, 256
# rows whose weights of all training rows are held at once
ROWS_AT_ONCE = 64
# beside weights that add up to one; its logarithm is finite
NOTHING = 1e-300


class ConditionalKernels(ConditionalPartner):
    """Velocities of kernel estimates of columns given their contexts.

    Parameters
    ----------
    columns, contexts, context_size
        As for `ConditionalColumns`.
    n_rows : int
        Number of training rows.
    n_points : int
        Number of points of the grids.

    Notes
    -----
    It starts as the standard normal distribution of every residual. Sharing out adds a
    sixth of the squared step of the grid to the variance of a kernel on average, which
    is taken off it. Contexts outside the range of the training rows level off, as they
    do for the networks.
    """

    name = "kernel"
    arrays_at_once = 4

    def __init__(self, columns, contexts, *, n_rows, n_points, context_size=None):
        super().__init__(columns, contexts, context_size=context_size)
        k, C = self.context_index.shape
        self.register_buffer("log_weight", torch.zeros(k, n_rows))
        self.register_buffer("centre", torch.zeros(k, n_rows, C))
        self.register_buffer("context_bandwidth", torch.ones(k))
        self.register_buffer("place", torch.zeros(k, n_rows))
        self.register_buffer("mean", torch.zeros(k, n_points))
        self.register_buffer("variance", torch.ones(k))

    @classmethod
    def beside(
        cls,
        network: ConditionalNetwork,
        z: Tensor,
        weight: Tensor,
        bandwidths: Sequence[tuple[float, float]],
    ) -> Self:
        """Kernel estimates of its columns in the coordinates of a network.

        Parameters
        ----------
        network : ConditionalNetwork
            Its columns, contexts, linear regressions and ranges are taken over.
        z : Tensor of shape (n_rows, n_features)
            Training rows, in standard units.
        weight : Tensor of shape (n_rows,)
            Positive weights.
        bandwidths : sequence of pair of float
            Of the residual of each column, in units of its scale, and of its context, in
            standard units.
        """
        residuals, least = network.to_own(z)[0], NARROWEST * noise_floor(network.t_min)
        grids = [
            Grid.over(r, max(own, least))
            for r, (own, _) in zip(residuals.T, bandwidths, strict=True)
        ]
        n_points = max(grid.n_points for grid in grids)
        new = cls.like(network, n_rows=len(z), n_points=n_points)
        new.log_weight[:] = torch.log(weight)
        new.centre[:] = network.gather(z)
        for i, grid in enumerate(grids):
            new.context_bandwidth[i] = bandwidths[i][1]
            new.place[i] = (residuals[:, i] - grid.low) / grid.step
            new.mean[i] = grid.low + grid.step * torch.arange(n_points).to(z)
            new.variance[i] = grid.variance
        return new

    def sizes(self) -> dict:
        sizes = {"n_rows": self.place.shape[1], "n_points": self.mean.shape[1]}
        return sizes | super().sizes()

    def encode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of weights given the contexts, (k, n_points, n), and the points.

        The points are the same for all rows, (k, n_points, 1).
        """
        # once a path, so in double precision, in which the place of a row does not count
        context = self.context_inputs(z).double()
        weight = torch.stack([self._weights(i, c) for i, c in enumerate(context)])
        return torch.log(weight + NOTHING).to(self.coef.dtype), self.mean.unsqueeze(2)

    def velocity_and_divergence(self, r_t: Tensor, t: Tensor, code):
        log_weight, points = code
        t = t.to(points.dtype)
        cos, sin = torch.cos(t), torch.sin(t)
        r, variance = r_t.to(points.dtype).T, self.variance.unsqueeze(1)
        noisy = cos**2 * variance + sin**2
        unit = torch.sqrt(2 * noisy)
        away = (r / unit).unsqueeze(1) - points * (cos / unit).unsqueeze(1)
        share = torch.softmax(torch.addcmul(log_weight, away, away, value=-1), dim=1)
        mean = (share * points).sum(1)
        spread = (share * (points - mean.unsqueeze(1)).square()).sum(1)
        slope = sin * cos * (1 - variance) / noisy
        v = slope * (r - cos * mean) - sin * mean
        dv = slope - (slope * cos + sin) * cos / noisy * spread
        return v.T, dv.T

    def _weights(self, i: int, context: Tensor) -> Tensor:
        """Weights of the points of column i given contexts, shape (n_points, n)."""
        unit = self.context_bandwidth[i].double()
        centre, log_weight = self.centre[i].double() / unit, self.log_weight[i].double()
        shares = self._shares(i)
        found = []
        for c in (context / unit).split(ROWS_AT_ONCE):
            weight, _ = relative_weights(kernel_exponents(c, centre, log_weight))
            weight = weight / weight.sum(1, keepdim=True)
            found.append(torch.sparse.mm(shares, weight.T))
        return torch.cat(found, dim=1)

    def _shares(self, i: int) -> Tensor:
        """Share of each row that each point of column i takes, (n_points, n_rows)."""
        n_points, n_rows = self.mean.shape[1], self.place.shape[1]
        place = self.place[i].double()
        left = place.floor().clamp(0, n_points - 2)
        # rounding may put the last row beyond the last point
        right_share = (place - left).clamp(0, 1)
        rows = torch.arange(n_rows, device=place.device)
        index = torch.stack([torch.cat([left, left + 1]).long(), rows.repeat(2)])
        values = torch.cat([1 - right_share, right_share])
        shape = n_points, n_rows
        # without this torch warns that it does not check
        return torch.sparse_coo_tensor(index, values, shape, check_invariants=False)


@dataclass(frozen=True)
class Grid:
    """Even points that residuals are shared out to.

    Attributes
    ----------
    low, step : float
        The first point, and the distance of the next.
    n_points : int
    variance : float
        Of a kernel around a point. A residual that is shared out to its neighbours is
        spread by a sixth of the squared step on average, which is taken off.
    """

    low: float
    step: float
    n_points: int
    variance: float

    @classmethod
    def over(cls, residual: Tensor, bandwidth: float) -> "Grid":
        """Grid that covers residuals; kernels are at least as wide as its steps."""
        low, high = float(residual.min()), float(residual.max())
        step = max(bandwidth / POINTS_PER_BANDWIDTH, (high - low) / (MOST_POINTS - 1))
        n_points = min(math.ceil((high - low) / step) + 2, MOST_POINTS)
        return cls(low, step, n_points, max(bandwidth, step) ** 2 - step**2 / 6)

r"""Kernel denoisers: the closed-form score of a Gaussian kernel density estimate.

In the heat clock, :math:`x = r_t / \cos t` and :math:`\tau = \tan^2 t`, the estimate of
the noisy density from rows :math:`r_i` with weights :math:`w_i` is

.. math:: \hat p_\tau(x) = \sum_i w_i\, \varphi_\tau(x - r_i), \qquad
    \nabla \log \hat p_\tau(x) = \frac{\hat E[r \mid x] - x}{\tau},

where :math:`\hat E[r \mid x]` is the mean of the rows with weights in proportion to
:math:`w_i \varphi_\tau(x - r_i)`. Given a context c the weights are those of Nadaraya
and Watson, :math:`w_i(c) \propto w_i K((c - c_i) / h_c)`, with a bandwidth that does not
change along the path. Everything is computed from logarithms of weights, which do not
underflow.

The flow of this score, stopped at :math:`\tan t_{min} = h`, leaves the kernel density
estimate of bandwidth h, whose log-density is known in closed form.

In float64 log-densities are exact to 1e-8 nats for bandwidths down to a thousandth of the
spread of the rows, the least that is accepted; the error grows like the inverse square.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .denoisers import Denoiser
from .process import velocity_from_denoised
from .thresholds import Threshold

LOG_2PI = math.log(2 * math.pi)
SMALLEST_EXPONENT = -700.0
# weights given the context, and two arrays of exponents
ARRAYS_OF_A_PASS = 3


def kernel_exponents(x: Tensor, centres: Tensor, offset: Tensor) -> Tensor:
    r"""Matrix of :math:`o_k + x_i \cdot c_k - |c_k|^2 / 2`, shape (n, n_centres).

    These are the exponents :math:`-|x_i - c_k|^2 / 2` less the part without k, which
    cancels in every ratio of weights, plus offsets. The weights of a query far from all
    centres keep their digits, which they lose in differences of squared distances.
    """
    return torch.addmm(offset - 0.5 * centres.square().sum(1), x, centres.T)


def relative_weights(exponents: Tensor) -> tuple[Tensor, Tensor]:
    """Exponentials of each row divided by the largest, and its logarithm, (n, 1).

    Overwrites `exponents`: new memory for each step costs ten times as much as the
    arithmetic. Exponentials below e^-700, the end of the normal floating-point numbers,
    become e^-700: nothing beside the largest, which is 1, and ten times as fast again.
    A row of -inf gives NaN.
    """
    largest = exponents.detach().amax(1, keepdim=True)
    weight = exponents.sub_(largest).clamp_(min=SMALLEST_EXPONENT).exp_()
    return weight, largest


def log_sum_exp(exponents: Tensor) -> Tensor:
    """Logarithm of the sum of exponentials of each row, (n, 1); overwrites them."""
    weight, largest = relative_weights(exponents)
    return weight.sum(1, keepdim=True).log() + largest


def conditional_log_density(x: Tensor, centres: Tensor, offset: Tensor) -> Tensor:
    r"""Logarithm of :math:`\sum_k w_k \varphi(x - c_k) / \sum_k w_k`, shape (n,).

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Queries in units of the bandwidth.
    centres : Tensor of shape (n_centres, d)
        Rows in units of the bandwidth.
    offset : Tensor of shape (n, n_centres) or (1, n_centres)
        Logarithms of the weights :math:`w_k`, perhaps different for each query.
    """
    log_sum = log_sum_exp(kernel_exponents(x, centres, offset))
    log_weight = log_sum_exp(offset.clone())
    return (log_sum - log_weight).squeeze(1) - 0.5 * (x.square() + LOG_2PI).sum(1)


class KernelDenoiser(Denoiser):
    """Exact denoiser of a kernel density estimate of one block.

    Parameters
    ----------
    columns : sequence of int
        Own columns.
    context : sequence of int
        Columns of the context, perhaps none.
    rows : Tensor of shape (n_rows, n_features)
        Standardised training rows.
    log_weight : Tensor of shape (n_rows,)
        Logarithms of weights that add up to one.
    bandwidth : Tensor of shape (n_own,)
        Of the own columns, in standardised units.
    context_bandwidth : Tensor of shape (n_context,)
        Of the columns of the context, in standardised units.
    noise_floor : float
        tan(t_min) of the path. Own coordinates are the columns times
        ``noise_floor / bandwidth``, so that one stopping time suits all columns.
    threshold : Threshold or None, default=None
        What becomes of the score where few rows are near.

    Notes
    -----
    An evaluation costs n_rows * n_own multiply-adds and n_rows exponentials for each
    query. `log_density` is the closed form; it ignores the threshold.
    """

    def __init__(
        self,
        columns,
        context,
        rows: Tensor,
        log_weight: Tensor,
        bandwidth: Tensor,
        context_bandwidth: Tensor,
        noise_floor: float,
        threshold: Threshold | None = None,
    ):
        super().__init__()
        self.columns, self.context = tuple(columns), tuple(context)
        self.noise_floor, self.threshold = noise_floor, threshold
        self.register_buffer("unit", bandwidth / noise_floor)
        self.register_buffer("context_bandwidth", context_bandwidth)
        self.register_buffer("r", rows[:, list(self.columns)] / self.unit)
        self.register_buffer("c", rows[:, list(self.context)] / context_bandwidth)
        self.register_buffer("log_weight", log_weight)

    @property
    def separable(self) -> bool:
        return len(self.columns) == 1

    @property
    def floats_per_row(self) -> int:
        return ARRAYS_OF_A_PASS * len(self.r)

    def one_by_one(self, order: Sequence[int]) -> "list[KernelDenoiser]":
        """Denoisers of the own columns in some order, each given those before it.

        Together they are the same density: a product kernel is a product over columns,
        and earlier columns weigh the rows as a context does.
        """
        bandwidth = self.unit * self.noise_floor
        known = self.columns + self.context
        rows = self.r.new_zeros(len(self.r), 1 + max(known))
        rows[:, list(known)] = torch.cat(
            [self.r * self.unit, self.c * self.context_bandwidth], dim=1
        )
        place = [self.columns.index(j) for j in order]
        return [
            KernelDenoiser(
                (j,),
                (*self.context, *order[:i]),
                rows,
                self.log_weight,
                bandwidth[place[i : i + 1]],
                torch.cat([self.context_bandwidth, bandwidth[place[:i]]]),
                self.noise_floor,
                self.threshold,
            )
            for i, j in enumerate(order)
        ]

    def to_own(self, z: Tensor) -> tuple[Tensor, Tensor]:
        r = z[:, list(self.columns)] / self.unit
        return r, -torch.log(self.unit).expand_as(r)

    def from_own(self, r: Tensor, z: Tensor) -> Tensor:
        return r * self.unit

    def encode(self, z: Tensor) -> Tensor:
        """Exponents of the weights of the rows given the context, (n or 1, n_rows)."""
        if not self.context:
            return self.log_weight.unsqueeze(0)
        c = z[:, list(self.context)] / self.context_bandwidth
        return kernel_exponents(c, self.c, self.log_weight)

    def velocity(self, r_t: Tensor, t: Tensor, code: Tensor) -> Tensor:
        mean, keep = self._mean_and_factor(r_t, t, code)
        if self.threshold is not None:
            # Tweedie's formula for the thresholded score: x + tau * keep * score
            mean = keep * mean + (1 - keep) * r_t / torch.cos(t)
        return velocity_from_denoised(r_t, mean, t)

    def log_density(self, z: Tensor) -> Tensor:
        """Log-density of own columns given the context at clean rows, shape (n,)."""
        r, log_derivative = self.to_own(z)
        h = self.noise_floor
        found = conditional_log_density(r / h, self.r / h, self.encode(z))
        return found + (log_derivative - math.log(h)).sum(1)

    def score(self, z: Tensor) -> Tensor:
        """Gradient of the log-density at clean rows, times the threshold's factor."""
        r, _ = self.to_own(z)
        t = r.new_tensor(math.atan(self.noise_floor))
        mean, keep = self._mean_and_factor(torch.cos(t) * r, t, self.encode(z))
        return keep * (mean - r) / (torch.tan(t) ** 2 * self.unit)

    def _mean_and_factor(self, r_t: Tensor, t: Tensor, code: Tensor):
        """Mean of the rows given a noisy query, and the factor on the score."""
        weight, largest = relative_weights(self._exponents(r_t, t, code))
        total = weight.sum(1, keepdim=True)
        mean = weight @ self.r / total
        if self.threshold is None:
            return mean, torch.ones_like(total)
        x, tau = r_t / torch.cos(t), torch.tan(t) ** 2
        squares = (x.square() / tau + LOG_2PI + torch.log(tau)).sum(1, keepdim=True)
        log_density = total.log() + largest - 0.5 * squares
        return mean, self.threshold.keep(log_density, tau, x.shape[1])

    def _exponents(self, r_t: Tensor, t: Tensor, code: Tensor) -> Tensor:
        """Exponents of the weights of the rows at a noisy query, (n, n_rows).

        In the heat clock they are x . r / tau - |r|^2 / (2 tau), less what does not
        depend on the row; unlike x they stay finite at t = pi/2.
        """
        cos, sin = torch.cos(t), torch.sin(t)
        offset = code - 0.5 * (cos / sin) ** 2 * self.r.square().sum(1)
        if len(offset) == len(r_t):
            return offset.addmm_(cos / sin**2 * r_t, self.r.T)
        return torch.addmm(offset, cos / sin**2 * r_t, self.r.T)

r"""Thresholds of kernel scores: what becomes of the score where few rows are near.

A thresholded score is :math:`k \cdot \nabla \log \hat p_\tau(x)` with a factor k in
[0, 1] that depends on the estimated density :math:`\hat p_\tau(x)` and on a level
:math:`\rho` that falls with the number n of rows in d columns, for a constant C:

- "hard" [1]_: :math:`k = 1\{\hat p \ge \rho\}`, :math:`\rho = C / (n \tau^{d/2})`;
- "soft" [2]_: k rises smoothly from 0 at :math:`\rho / 2` to 1 at :math:`\rho =
  C \max(\log n, 1) / (n (2 \pi \tau)^{d/2})`;
- "max" [3]_: :math:`\nabla \hat p / \max(\hat p, \rho)`, that is :math:`k =
  \min(1, \hat p / \rho)`, :math:`\rho = C / (n (2 \pi \tau)^{d/2})`, the density of one
  row at its own place.

A thresholded score is the score of no density: it pulls less, or not at all, towards
the rows.

References
----------
.. [1] K. Zhang, C. H. Yin, F. Liang and J. Liu, "Minimax optimality of score-based
       diffusion models: beyond the density lower bound assumptions", ICML 2024,
       equation of the truncated score. https://arxiv.org/abs/2402.15602
.. [2] C. Cai and G. Li, "Minimax optimality of the probability flow ODE for diffusion
       models", 2025. https://arxiv.org/abs/2503.09583
.. [3] A. Wibisono, Y. Wu and K. Y. Yang, "Optimal score estimation via empirical Bayes
       smoothing", COLT 2024. https://arxiv.org/abs/2402.07747 (there with a level that
       is constant in time)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def hard(log_ratio: Tensor) -> Tensor:
    """One where the density reaches the level, else zero."""
    return (log_ratio >= 0).to(log_ratio)


def soft(log_ratio: Tensor) -> Tensor:
    """Smooth rise from zero at half the level to one at the level."""
    s = (2 * torch.exp(log_ratio.clamp(max=0)) - 1).clamp(0, 1)
    return torch.sigmoid((2 * s - 1) / (s * (1 - s)))


def at_most_one(log_ratio: Tensor) -> Tensor:
    """Density divided by the larger of density and level."""
    return torch.exp(log_ratio.clamp(max=0))


def log_of_n(n: float) -> float:
    """Logarithm of the number of rows, at least 1: no level falls below one row's."""
    return max(math.log(n), 1.0)


@dataclass(frozen=True)
class Threshold:
    """Factor on the score as a function of the estimated density.

    Attributes
    ----------
    factor : callable
        Maps log(density / level) to the factor.
    multiple : float
        The level times ``n * (unit * tau) ** (d / 2)``.
    unit : float
        1 or 2 pi.
    n : float
        Number of rows; with unequal weights Kish's effective number.
    """

    factor: Callable[[Tensor], Tensor]
    multiple: float
    unit: float
    n: float

    def log_level(self, tau: Tensor, d: int) -> Tensor:
        """Logarithm of the level in d columns at noise variance tau."""
        return math.log(self.multiple / self.n) - d / 2 * torch.log(self.unit * tau)

    def keep(self, log_density: Tensor, tau: Tensor, d: int) -> Tensor:
        """Factor on the score where the estimate has this log-density."""
        return self.factor(log_density - self.log_level(tau, d))


THRESHOLDS = {
    "none": lambda constant, n: None,
    "hard": lambda constant, n: Threshold(hard, constant, 1.0, n),
    "soft": lambda constant, n: Threshold(soft, constant * log_of_n(n), 2 * math.pi, n),
    "max": lambda constant, n: Threshold(at_most_one, constant, 2 * math.pi, n),
}


def make_threshold(name: str, constant: float, n: float) -> Threshold | None:
    """Threshold of a name in `THRESHOLDS`; "none" is None."""
    return THRESHOLDS[name](constant, n)

r"""Bandwidths of kernel density estimates: early stopping by rule or by likelihood.

The noise variance at which a kernel score stops is the squared bandwidth. In
standardised units it follows from

- the theory [1]_: :math:`h^2 = t_0 = n^{-2 / (2 \beta + d)}`;
- the leave-one-out likelihood of a block: the mean over rows of
  :math:`\log \hat p_{-i}(x_i \mid c_i)`, maximised over one bandwidth for the own
  columns and one for the columns of the context.

Rows equal to the left-out row in all columns of the block are left out with it: they
are the same observation told twice, and would otherwise reward a bandwidth of zero.

References
----------
.. [1] K. Zhang, C. H. Yin, F. Liang and J. Liu, "Minimax optimality of score-based
       diffusion models: beyond the density lower bound assumptions", ICML 2024,
       theorem 3.8. https://arxiv.org/abs/2402.15602
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from ._torch import to_tensor
from .graphs import Block
from .kernels import LOG_2PI, kernel_exponents, log_sum_exp

FLOOR = 1e-3
CEILING = 3.0
# own and context bandwidth differ at most by the square of this factor
MAX_RATIO = 4.0
LOG_TOLERANCE = 0.03
MAX_LEFT_OUT_ROWS, MIN_LEFT_OUT_ROWS = 2000, 500
MAX_PAIRS = 4e7
CHUNK_FLOATS = 2**19


def effective_size(weight: np.ndarray) -> float:
    """Kish's effective number of rows, (sum w)^2 / sum w^2."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def theory_bandwidth(n: float, smoothness: float, d: int) -> float:
    """n^(-1 / (2 smoothness + d)), in standardised units, for factors of d columns."""
    return n ** (-1 / (2 * smoothness + d))


def n_left_out(n: int) -> int:
    """How many of n rows the likelihood is evaluated at, so that its cost is bounded."""
    affordable = max(MIN_LEFT_OUT_ROWS, int(MAX_PAIRS / n))
    return min(n, affordable, MAX_LEFT_OUT_ROWS)


def same_in_contexts(own: np.ndarray, contexts) -> tuple[np.ndarray, list]:
    """Bandwidths by column, and for each column those of the columns of its context.

    With one bandwidth per column wherever it appears, the product of the conditional
    estimates is the quotient of kernel estimates on cliques over those on separators.
    """
    return own, [own[list(context)] for context in contexts]


class LeaveOneOut:
    """Leave-one-out likelihood of one block.

    Parameters
    ----------
    own : Tensor of shape (n_rows, n_own)
        Standardised own columns.
    context : Tensor of shape (n_rows, n_context)
        Standardised columns of the context, perhaps none.
    weight : Tensor of shape (n_rows,)
        Positive weights.
    left_out : Tensor of int
        Rows at which the likelihood is evaluated; all rows are kernels.
    """

    def __init__(self, own: Tensor, context: Tensor, weight: Tensor, left_out: Tensor):
        self.own, self.context, self.weight = own, context, weight
        family = torch.cat([own, context], dim=1)
        self.twin = torch.unique(family, dim=0, return_inverse=True)[1]
        self.left_out = left_out

    @property
    def is_defined(self) -> bool:
        """Whether every row leaves some other row to estimate from."""
        return bool((self.twin != self.twin[0]).any())

    def log_likelihood(self, h: float, h_context: float) -> float:
        """Weighted mean of the leave-one-out log-densities, in nats per row."""
        size = max(16, CHUNK_FLOATS // len(self.own))
        terms = [self._terms(i, h, h_context) for i in self.left_out.split(size)]
        weight = self.weight[self.left_out]
        return float(weight @ torch.cat(terms) / weight.sum())

    def _terms(self, i: Tensor, h: float, h_context: float) -> Tensor:
        r, c = self.own / h, self.context / h_context
        exponents = kernel_exponents(c[i], c, torch.log(self.weight))
        exponents.masked_fill_(self.twin[i].unsqueeze(1) == self.twin, -torch.inf)
        joint = log_sum_exp(kernel_exponents(r[i], r, exponents))
        log_ratio = (joint - log_sum_exp(exponents)).squeeze(1)
        constant = r.shape[1] * (0.5 * LOG_2PI + math.log(h))
        return log_ratio - 0.5 * r[i].square().sum(1) - constant


def bandwidths_of_blocks(
    blocks: Sequence[Block], Z, weight, left_out, device="cpu"
) -> dict[int, tuple[float, float]]:
    """Own and context bandwidth of every column, by leave-one-out likelihood.

    Blocks whose rows are all equal have no such likelihood and are absent.

    Parameters
    ----------
    blocks : sequence of Block
        Own columns of a block share a bandwidth, and so do those of its context.
    Z : ndarray of shape (n_rows, n_features)
        Standardised rows.
    weight : ndarray of shape (n_rows,)
        Positive weights.
    left_out : ndarray of int
        Rows at which the likelihood is evaluated; all rows are kernels.
    device : torch.device or str
        Where to compute.
    """
    z, w = to_tensor(Z, device=device), to_tensor(weight, device=device)
    rows = to_tensor(left_out, dtype=torch.long, device=device)
    found = {}
    for block in blocks:
        own, context = z[:, list(block.columns)], z[:, list(block.context)]
        likelihood = LeaveOneOut(own, context, w, rows)
        if likelihood.is_defined:
            best = leave_one_out_bandwidths(likelihood)
            found |= dict.fromkeys(block.columns, best)
    return found


def leave_one_out_bandwidths(likelihood: LeaveOneOut) -> tuple[float, float]:
    """Bandwidths of own columns and context with the greatest likelihood.

    The best common bandwidth is found first, then the best ratio at an unchanged
    geometric mean; on the families of :mod:`skdiffusion.datasets` a search in two
    dimensions found nothing better.
    """
    log_h = _maximise(
        lambda x: likelihood.log_likelihood(math.exp(x), math.exp(x)),
        math.log(FLOOR),
        math.log(CEILING),
    )
    if likelihood.context.shape[1] == 0:
        return math.exp(log_h), math.exp(log_h)
    # the own bandwidth must not pass the floor on the way
    highest = min(math.log(MAX_RATIO), log_h - math.log(FLOOR))
    log_ratio = _maximise(
        lambda x: likelihood.log_likelihood(math.exp(log_h - x), math.exp(log_h + x)),
        -highest,
        highest,
    )
    return math.exp(log_h - log_ratio), math.exp(log_h + log_ratio)


def _maximise(function, low: float, high: float) -> float:
    """Maximum of a function of one peak by Brent's method."""
    result = minimize_scalar(
        lambda x: -function(x),
        bounds=(low, high),
        method="bounded",
        options={"xatol": LOG_TOLERANCE},
    )
    return float(result.x)

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
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from ._torch import to_tensor
from .graphs import Block
from .kernels import conditional_log_density, kernel_exponents

FLOOR = 1e-3
CEILING, CONTEXT_CEILING = 3.0, 10.0
FIRST_STEP = 0.4
LOG_TOLERANCE = 0.03
TOLERANCE = 1e-4
MAX_EVALUATIONS = 40
MAX_LEFT_OUT_ROWS, MIN_LEFT_OUT_ROWS = 2000, 500
MAX_PAIRS = 4e7
CHUNK_FLOATS = 2**19


def theory_bandwidth(n: float, smoothness: float, d: int) -> float:
    """n^(-1 / (2 smoothness + d)), in standardised units, for factors of d columns."""
    return n ** (-1 / (2 * smoothness + d))


def n_left_out(n: int) -> int:
    """How many of n rows the likelihood is evaluated at, so that its cost is bounded."""
    affordable = max(MIN_LEFT_OUT_ROWS, int(MAX_PAIRS / n))
    return min(n, affordable, MAX_LEFT_OUT_ROWS)


def same_everywhere(
    blocks: Sequence[Block], bandwidth: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Own and context bandwidths of every block from one bandwidth per column.

    With one bandwidth per column wherever it appears, the product of the conditional
    estimates is the quotient of kernel estimates on cliques over those on separators.
    """
    return [(bandwidth[list(b.columns)], bandwidth[list(b.context)]) for b in blocks]


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

    def log_likelihood(self, h: float, h_context: float) -> float:
        """Weighted mean of the leave-one-out log-densities, in nats per row."""
        size = max(16, CHUNK_FLOATS // len(self.own))
        r, c = self.own / h, self.context / h_context
        terms = [self._terms(i, r, c) for i in self.left_out.split(size)]
        weight = self.weight[self.left_out]
        mean = weight @ torch.cat(terms) / weight.sum()
        return float(mean) - self.own.shape[1] * math.log(h)

    def _terms(self, i: Tensor, r: Tensor, c: Tensor) -> Tensor:
        """Log-density of some rows given all others, in units of the bandwidth."""
        exponents = kernel_exponents(c[i], c, torch.log(self.weight))
        exponents.masked_fill_(self.twin[i].unsqueeze(1) == self.twin, -torch.inf)
        return conditional_log_density(r[i], r, exponents)


def leave_one_out(
    blocks: Sequence[Block], Z, weight, left_out, fallback: float, device="cpu"
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Own and context bandwidths of every block, by leave-one-out likelihood.

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
    fallback : float
        Bandwidth of constant columns, about which the likelihood says nothing.
    device : torch.device or str
        Where to compute.
    """
    z, w = to_tensor(Z, device=device), to_tensor(weight, device=device)
    rows = to_tensor(left_out, dtype=torch.long, device=device)
    varies = np.ptp(Z, axis=0) > 0
    found = []
    for block in blocks:
        own, h_context = np.full(len(block.columns), fallback), fallback
        varying = varies[list(block.columns)]
        if varying.any():
            columns = [j for j in block.columns if varies[j]]
            likelihood = LeaveOneOut(z[:, columns], z[:, list(block.context)], w, rows)
            own[varying], h_context = best_bandwidths(likelihood)
        found.append((own, np.full(len(block.context), h_context)))
    return found


def best_bandwidths(likelihood: LeaveOneOut) -> tuple[float, float]:
    """Bandwidths of own columns and context with the greatest likelihood.

    The best common bandwidth comes first, by Brent's method; from there the best pair,
    by Nelder and Mead's. Of several peaks it may be a lower one.
    """
    log_floor, log_ceiling = math.log(FLOOR), math.log(CEILING)
    common = minimize_scalar(
        lambda x: -likelihood.log_likelihood(math.exp(x), math.exp(x)),
        bounds=(log_floor, log_ceiling),
        method="bounded",
        options={"xatol": LOG_TOLERANCE},
    ).x
    if likelihood.context.shape[1] == 0:
        return math.exp(common), math.exp(common)
    simplex = common + FIRST_STEP * np.array([[0, 0], [1, -1], [0, -1]])
    pair = minimize(
        lambda x: -likelihood.log_likelihood(*np.exp(x)),
        simplex[0],
        bounds=[(log_floor, log_ceiling), (log_floor, math.log(CONTEXT_CEILING))],
        method="Nelder-Mead",
        options={
            "initial_simplex": np.maximum(simplex, log_floor),
            "xatol": LOG_TOLERANCE,
            "fatol": TOLERANCE,
            "maxfev": MAX_EVALUATIONS,
        },
    ).x
    return math.exp(pair[0]), math.exp(pair[1])

"""Proposals for some columns of a joint block given the others.

Draws of the whole block, shifted along their linear regression on the known columns and
smoothed by kernels, are a conditional density that is easy to draw from and to evaluate.
Importance weights put right what it misses.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..kernels import conditional_log_density, kernel_exponents

# share of draws from kernels as wide as the residuals: weights stay bounded in practice
WIDE_SHARE = 0.1
RIDGE = 1e-6
CHUNK_ROWS = 512


@dataclass(frozen=True)
class Proposal:
    r"""Density of :math:`x = (1, g) B + L y`, y a kernel density estimate given g.

    Attributes
    ----------
    given : Tensor of shape (n_reference, n_given)
        Known columns of reference rows, in units of their bandwidth.
    unit : Tensor of shape (n_given,)
        The bandwidths.
    coef : Tensor of shape (1 + n_given, n_unknown)
        The regression B.
    root : Tensor of shape (n_unknown, n_unknown)
        L, the Cholesky factor of the covariance of the residuals.
    residual : Tensor of shape (n_reference, n_unknown)
        y of the reference rows.
    bandwidth : float
        Of y.
    """

    given: Tensor
    unit: Tensor
    coef: Tensor
    root: Tensor
    residual: Tensor
    bandwidth: float

    def draw(self, given: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws of the unknown columns, and their log-densities."""
        chunks = [self._draw(g, generator) for g in given.split(CHUNK_ROWS)]
        return tuple(torch.cat(parts) for parts in zip(*chunks, strict=True))

    def _draw(self, given: Tensor, generator: torch.Generator):
        offset = kernel_exponents(
            given / self.unit, self.given, torch.zeros(()).to(given)
        )
        chosen = torch.multinomial(offset.softmax(1), 1, generator=generator)[:, 0]
        like = {"generator": generator, "dtype": given.dtype, "device": given.device}
        wide = torch.rand(len(given), 1, **like) < WIDE_SHARE
        width = torch.where(wide, 1.0, self.bandwidth)
        y = self.residual[chosen]
        y = y + width * torch.randn(y.shape, **like)
        log_density = self._log_density(y, offset) - self.root.diagonal().log().sum()
        return _with_one(given) @ self.coef + y @ self.root.T, log_density

    def _log_density(self, y: Tensor, offset: Tensor) -> Tensor:
        """Of y given exponents of the weights of the reference rows, shape (n,)."""
        terms = []
        for share, h in ((1 - WIDE_SHARE, self.bandwidth), (WIDE_SHARE, 1.0)):
            found = conditional_log_density(y / h, self.residual / h, offset)
            terms.append(math.log(share) + found - y.shape[1] * math.log(h))
        return torch.logaddexp(*terms)


def fit_proposal(given: Tensor, unknown: Tensor) -> Proposal:
    """Proposal of some columns given others, from rows of both."""
    n, n_given = given.shape
    X = _with_one(given)
    penalty = RIDGE * n * torch.eye(n_given + 1).to(given)
    coef = torch.linalg.solve(X.T @ X + penalty, X.T @ unknown)
    residual = unknown - X @ coef
    spread = residual.T @ residual / n + RIDGE * torch.eye(unknown.shape[1]).to(given)
    root = torch.linalg.cholesky(spread)
    y = torch.linalg.solve_triangular(root, residual.T, upper=False).T
    unit = given.std(0) * n ** (-1 / (n_given + 4))
    return Proposal(given / unit, unit, coef, root, y, n ** (-1 / (y.shape[1] + 4)))


def _with_one(given: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(given[:, :1]), given], dim=1)

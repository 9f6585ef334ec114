r"""Leave-one-out log-likelihood of one column given others, by kernels.

A column is regressed linearly on its context, and the density of the residual given the
context estimated by kernels at the other rows,

.. math:: \hat p(r_k \mid c_k) = \frac{\sum_{l \ne k} w_l K_g(r_k - r_l) K_h(c_k - c_l)
    + \hat p(r_k)}{\sum_{l \ne k} w_l K_h(c_k - c_l) + 1},

where weights add up to the effective number of rows and :math:`K_h` is one at its peak.
The estimate :math:`\hat p(r_k)` without context counts as one row: where no row has a
similar context, it alone remains. Bandwidths g and h are the best of a few for each
column and context.
"""

from functools import cached_property

import numpy as np

from .._validation import effective_size

# in standard deviations of the residual, and of the columns of the context
BANDWIDTHS = (0.1, 0.2, 0.4)
CONTEXT_BANDWIDTHS = (0.15, 0.3, 0.6)
TINY = 1e-30


class ConditionalLikelihood:
    """Row by row, how well contexts predict columns.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_features)
        Rows on a scale where columns have variance about one. Time and memory grow with
        the square of their number.
    weight : ndarray of shape (n_samples,)
        Weights of the rows, of any sum.
    """

    def __init__(self, Z: np.ndarray, weight: np.ndarray):
        self.Z, self.weight = Z, weight / weight.sum() * effective_size(weight)
        self._rows: dict[tuple, np.ndarray] = {}
        self._context: tuple = (None, [])

    def rows(self, column: int, context: tuple[int, ...]) -> np.ndarray:
        """Log-likelihood of the column at each row, shape (n_samples,), in nats."""
        if (column, context) not in self._rows:
            self._rows[column, context] = self._evaluate(column, context)
        return self._rows[column, context]

    def gain(self, new: dict[int, tuple], old: dict[int, tuple]) -> tuple[float, float]:
        """Mean gain of some contexts of columns over others, and its standard error."""
        difference = sum(self.rows(*item) for item in new.items())
        difference = difference - sum(self.rows(*item) for item in old.items())
        mean = self.share @ difference
        return mean, np.sqrt(self.share**2 @ (difference - mean) ** 2)

    @cached_property
    def share(self) -> np.ndarray:
        """Weights with sum one."""
        return self.weight / self.weight.sum()

    def _evaluate(self, column: int, context: tuple[int, ...]) -> np.ndarray:
        residual, scale = self._residual(column, context)
        candidates = []
        for bandwidth in BANDWIDTHS:
            own = self._kernel(residual[:, None], bandwidth)
            own /= np.float32(np.sqrt(2 * np.pi) * bandwidth)
            alone = own @ self.weight / (self.weight.sum() - self.weight + TINY)
            for near in self._context_kernels(context):
                joint = np.einsum("kl,kl->k", own, near[0])
                candidates.append((joint + alone) / (near[1] + 1))
        logs = [np.log(np.maximum(c, TINY)) - np.log(scale) for c in candidates]
        return max(logs, key=lambda log: self.share @ log)

    def _residual(self, column: int, context: tuple[int, ...]):
        """Leave-one-out residuals of a ridge regression over their size, and their size.

        A penalty of one row keeps the leverages below one.
        """
        A, z = self.Z[:, context], self.Z[:, column]
        W = A * self.weight[:, None]
        solved = np.linalg.solve(W.T @ A + np.eye(len(context)), W.T)
        leverage = np.einsum("kc,ck->k", A, solved)
        residual = (z - A @ (solved @ z)) / (1 - leverage)
        scale = max(np.sqrt(self.share @ residual**2), 1e-6)
        return residual / scale, scale

    def _context_kernels(self, context: tuple[int, ...]) -> list:
        """For each bandwidth the weighted kernels of a context and their sums."""
        if self._context[0] != context:
            kernels = [
                self._kernel(self.Z[:, context], h) * self.weight.astype(np.float32)
                for h in CONTEXT_BANDWIDTHS
            ]
            # without a context all rows are equally near
            kernels = kernels if context else kernels[:1]
            self._context = context, [(near, near.sum(axis=1)) for near in kernels]
        return self._context[1]

    def _kernel(self, rows: np.ndarray, bandwidth: float) -> np.ndarray:
        """Kernels of all rows at all others, one at the peak."""
        squares = np.zeros((len(rows), len(rows)), np.float32)
        for column in (rows / (np.sqrt(2) * bandwidth)).astype(np.float32).T:
            squares -= np.square(column[:, None] - column)
        kernels = np.exp(squares, out=squares)
        np.fill_diagonal(kernels, 0)
        return kernels

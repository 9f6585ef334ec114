r"""Whitening along a factorization: ridge regression of each column on its context.

For a column z_j with context c the residual

.. math:: r_j = (z_j - a_j - w_j \cdot c) / s_j

has mean near 0 and variance near 1. A linear Gaussian network on the same
factorization is exactly the case in which every residual is standard normal, so a
model of the residuals starts from that network and has only the rest to learn.
Plain numpy.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import RidgeCV

# A residual scale below this share of the column's own scale means that the context
# determines the column; without a floor its log-density would be unbounded.
MIN_SCALE = 1e-3


@dataclass(frozen=True)
class Regression:
    """Linear regression of one standardised column on its context.

    Attributes
    ----------
    coef : ndarray of shape (n_context,)
    intercept, scale : float
        `scale` is the root mean squared leave-one-out error, at least `MIN_SCALE`.
    determined : bool
        Whether the error lies below that floor.
    """

    coef: np.ndarray
    intercept: float
    scale: float
    determined: bool


def regress_alike(
    Z: np.ndarray, sample_weight: np.ndarray, families, kinds, *, constant_scale: float
) -> list[Regression]:
    """Regressions of columns on their contexts; families of one kind share theirs.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_features)
        Standardised rows.
    sample_weight : ndarray of shape (n_samples,)
        Positive weights that average to one.
    families : sequence of (int, tuple of int)
        Columns with their contexts.
    kinds : sequence of int
        Families of one kind have contexts of one size; their rows are put together.
    constant_scale : float
        Scale given to a column without any variation.
    """
    alike: dict[int, list] = {}
    for kind, family in zip(kinds, families, strict=True):
        alike.setdefault(kind, []).append(family)
    fitted = {
        kind: regress(
            np.concatenate([Z[:, j] for j, _ in members]),
            np.concatenate([Z[:, list(context)] for _, context in members]),
            np.tile(sample_weight, len(members)),
            constant_scale=constant_scale,
        )
        for kind, members in alike.items()
    }
    return [fitted[kind] for kind in kinds]


def regress(
    z: np.ndarray,
    context: np.ndarray,
    sample_weight: np.ndarray,
    *,
    constant_scale: float = MIN_SCALE,
) -> Regression:
    """Ridge regression with the penalty of least leave-one-out squared error.

    Parameters
    ----------
    z : ndarray of shape (n_samples,)
        Standardised column.
    context : ndarray of shape (n_samples, n_context)
        Standardised columns of its context, possibly none.
    sample_weight : ndarray of shape (n_samples,)
        Positive weights that average to one.
    constant_scale : float
        Scale given to a column without any variation.
    """
    if np.ptp(z) == 0:
        coef = np.zeros(context.shape[1])
        return Regression(coef, float(z[0]), constant_scale, determined=True)
    if context.shape[1] == 0:
        mean = np.average(z, weights=sample_weight)
        error = np.average((z - mean) ** 2, weights=sample_weight)
        return _regression(np.zeros(0), mean, error)
    ridge = RidgeCV(alphas=np.logspace(-4, 4, 9))
    ridge.fit(context, z, sample_weight=sample_weight)
    return _regression(ridge.coef_, ridge.intercept_, -ridge.best_score_)


def _regression(coef, intercept, squared_error) -> Regression:
    scale = float(np.sqrt(squared_error))
    return Regression(coef, float(intercept), max(scale, MIN_SCALE), scale < MIN_SCALE)

"""The error that the solver of the flow leaves in log-densities."""

import copy
from dataclasses import dataclass

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._validation import check_integer


@dataclass(frozen=True)
class IntegrationError:
    """Differences of log-densities from those on a finer grid.

    Attributes
    ----------
    mean_per_column : float
        Mean difference divided by the number of columns, in nats; positive if the
        estimator scores too high.
    rms, largest : float
        Root mean square and largest absolute difference, in nats per row.
    """

    mean_per_column: float
    rms: float
    largest: float


def integration_error(estimator, X, *, factor=10) -> IntegrationError:
    """Error of `score_samples` that is due to its number of steps.

    Parameters
    ----------
    estimator : FactorizedDiffusionDensity
        Fitted; it is not changed.
    X : array-like of shape (n_samples, n_features)
        Rows at which to compare.
    factor : int, default=10
        How many times finer the reference grid is; the cost grows with it.

    Returns
    -------
    IntegrationError
    """
    check_is_fitted(estimator)
    check_integer("factor", factor, low=2)
    if not hasattr(estimator, "n_steps"):
        raise TypeError(
            f"{type(estimator).__name__} has no parameter n_steps, so its log-density "
            "has no integration error to measure."
        )
    finer = copy.copy(estimator).set_params(n_steps=factor * estimator._n_steps())
    difference = estimator.score_samples(X) - finer.score_samples(X)
    return IntegrationError(
        mean_per_column=float(difference.mean() / estimator.n_features_in_),
        rms=float(np.sqrt(np.mean(difference**2))),
        largest=float(np.abs(difference).max()),
    )

"""Means, paired differences and distances of log-densities."""

from dataclasses import dataclass

import numpy as np

from .._estimators import check_answers, log_density
from .._validation import check_weight


def mean_log_density(estimator, X, y=None, sample_weight=None) -> float:
    """Mean log-density of held-out rows; a scorer for any density estimator.

    `KernelDensity.score` is a total and `GaussianMixture.score` a mean. This function
    treats all estimators alike, and serves as ``scoring`` in ``GridSearchCV`` and
    ``cross_val_score``.

    Parameters
    ----------
    estimator : object with `score_samples`
        Fitted density estimator. The log-densities of a plain `Pipeline` are those of
        transformed rows, so a search must not choose between its transformers by them;
        a `DensityPipeline` gives those of the rows themselves.
    X : array-like of shape (n_samples, n_features)
        Rows.
    y : None
        Ignored; present by convention.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows in the mean.

    Returns
    -------
    float
        In nats per row; greater is better.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.neighbors import KernelDensity
    >>> from skdiffusion.metrics import mean_log_density
    >>> X = np.random.RandomState(0).standard_normal((100, 2))
    >>> grid = {"bandwidth": [0.2, 0.5, 1.0]}
    >>> search = GridSearchCV(KernelDensity(), grid, scoring=mean_log_density).fit(X)
    >>> search.best_params_
    {'bandwidth': 0.5}
    """
    check_answers(estimator, "score_samples", purpose="mean_log_density")
    found = log_density(estimator, X)
    weight = check_weight(sample_weight, found)
    counts = weight > 0
    return float(np.average(found[counts], weights=weight[counts]))


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference of two log-densities over the same rows, in nats per row.

    Attributes
    ----------
    mean, standard_error : float
        The standard error is that of the differences row by row, usually far smaller
        than that of either mean.
    """

    mean: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ({self.standard_error:.3f})"


def paired_difference(log_density, other, sample_weight=None) -> PairedDifference:
    """How much one log-density exceeds another on the same rows.

    Parameters
    ----------
    log_density, other : array-like of shape (n_samples,)
        Log-densities of the same rows. With the exact log-density of a generator as
        the first, the mean estimates the Kullback-Leibler divergence.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    PairedDifference
    """
    difference = np.subtract(*_same_rows(log_density, other))
    weight = check_weight(sample_weight, difference)
    difference, weight = difference[weight > 0], weight[weight > 0]
    weight = weight / weight.sum()
    mean = float(weight @ difference)
    if np.isinf(mean):
        return PairedDifference(mean, np.nan)
    n = (weight > 0).sum()
    variance = (weight**2) @ (difference - mean) ** 2 * n / max(n - 1, 1)
    return PairedDifference(mean, float(np.sqrt(variance)))


def total_variation(log_density, other) -> float:
    """Total variation distance to a density q, from draws of the true density p.

    Estimates :math:`E_p[(1 - q/p)_+]`.

    Parameters
    ----------
    log_density : array-like of shape (n_samples,)
        Exact log-density of draws from the truth.
    other : array-like of shape (n_samples,)
        Log-density of the same rows under the estimate.

    Returns
    -------
    float
        In [0, 1].
    """
    log_density, other = _same_rows(log_density, other)
    log_ratio = np.minimum(other - log_density, 0)
    return float(np.mean(-np.expm1(log_ratio)))


def _same_rows(log_density, other) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of one shape (n_samples,); an estimate may be -inf, never NaN."""
    log_density, other = np.asarray(log_density, float), np.asarray(other, float)
    if log_density.ndim != 1 or log_density.shape != other.shape:
        raise ValueError(
            "log_density and other must be one-dimensional and of equal length, got "
            f"shapes {log_density.shape} and {other.shape}."
        )
    if not (np.isfinite(log_density).all() and (other < np.inf).all()):
        raise ValueError(
            "log_density must be finite, and other finite or -inf; found NaN or infinity."
        )
    return log_density, other

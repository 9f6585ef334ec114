r"""Log-densities in the units of the rows, where a pipeline changes them first.

A density q of transformed rows z = T(x) claims the density
:math:`\log p(x) = \log q(T(x)) + \log |\det dT/dx|` of the rows themselves.
"""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_array

from .._estimators import log_density

# of central differences, in standard deviations of a column
STEP = 1e-3


def log_density_in_data_units(estimator, X) -> np.ndarray:
    """Log-density of rows, with the change of units where a pipeline makes one.

    Parameters
    ----------
    estimator : object with `score_samples`
        Fitted density estimator, or a `sklearn.pipeline.Pipeline` that ends in one.
    X : array-like of shape (n_samples, n_features)
        Rows.

    Raises
    ------
    ValueError
        If a pipeline changes the number of columns, so that it has no density of them.
    """
    found = log_density(estimator, X)
    # a subclass may change the units by itself
    if type(estimator) is Pipeline and len(estimator) > 1:
        found = found + _log_determinant(estimator[:-1], X)
    return found


def _log_determinant(transformer, X) -> np.ndarray:
    """Log |det dT/dx| at every row, by central differences; exact for linear maps."""
    rows = check_array(X, dtype=np.float64)
    scale = rows.std(axis=0)
    steps = STEP * np.where(scale > 0, scale, 1.0)
    differences = [
        _transformed(transformer, X, rows + e) - _transformed(transformer, X, rows - e)
        for e in np.diag(steps)
    ]
    jacobian = np.stack(differences, axis=2) / (2 * steps)
    if jacobian.shape[1] != jacobian.shape[2]:
        raise ValueError(
            f"the pipeline turns {jacobian.shape[2]} columns into {jacobian.shape[1]}, "
            "so it has no density of the rows themselves and cannot be compared in their "
            "units. Keep all columns, or compare densities of the transformed rows."
        )
    with np.errstate(divide="ignore"):
        return np.linalg.slogdet(jacobian).logabsdet


def _transformed(transformer, X, rows: np.ndarray) -> np.ndarray:
    """Transformed rows, handed over as a table like X."""
    if hasattr(X, "columns"):
        rows = type(X)(rows, columns=X.columns)
    return np.asarray(transformer.transform(rows), dtype=np.float64)

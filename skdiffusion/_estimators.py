"""What is asked of a fitted density estimator, whoever wrote it.

scikit-learn's density estimators answer alike when they score rows, but not when they
draw some or name their columns; the differences are known here only.
"""

import copy
from inspect import signature

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ._frames import to_frame


def check_answers(estimator, *methods: str, purpose: str) -> None:
    """Raise unless an estimator is an instance, has the methods and is fitted.

    Conditional and marginal densities, which have no `fit`, come fitted.
    """
    missing = [name for name in methods if not hasattr(estimator, name)]
    if isinstance(estimator, type) or missing:
        kind = type(estimator).__name__
        found = (
            f"the class {estimator.__name__}, no instance of it"
            if isinstance(estimator, type)
            else f"{kind}, which has no {' and no '.join(missing)}"
        )
        raise TypeError(
            f"{purpose} needs a fitted density estimator with {' and '.join(methods)}; "
            f"got {found}."
        )
    if hasattr(estimator, "fit"):
        check_is_fitted(estimator)


def column_names(estimator, X=None) -> tuple[str, ...]:
    """Names of the columns: those of fit, else those of X, else x0, x1, ..."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = getattr(X, "columns", None)
    if names is None:
        n = estimator.n_features_in_ if X is None else np.shape(X)[1]
        names = [f"x{j}" for j in range(n)]
    return tuple(map(str, names))


def named(estimator, rows: np.ndarray):
    """Rows made by us in the form of those of fit: a DataFrame if that had names."""
    names = getattr(estimator, "feature_names_in_", None)
    return rows if names is None else to_frame(rows, names)


def log_density(estimator, rows) -> np.ndarray:
    """Log-density of rows, of which none may be NaN.

    Raises
    ------
    ValueError
        If one is NaN or plus infinity; minus infinity is a density of zero.
    """
    found = np.asarray(estimator.score_samples(rows), dtype=np.float64)
    n_bad = int((np.isnan(found) | (found == np.inf)).sum())
    if n_bad:
        raise ValueError(
            f"score_samples of {type(estimator).__name__} is NaN or infinite at {n_bad} "
            f"of {len(found)} rows; a log-density is finite, or minus infinity where "
            "the density is zero."
        )
    return found


def draw(estimator, n_samples: int, random_state=None) -> np.ndarray:
    """Rows from `sample`, by the given randomness where the estimator lets it be given.

    `GaussianMixture.sample` draws by the parameter `random_state` of the estimator, of
    which a shallow copy is given another one, and returns rows sorted by component,
    with labels; here they are shuffled.

    Raises
    ------
    ValueError
        If a random state is given to an estimator that knows none.
    """
    given = random_state is not None
    random_state = check_random_state(random_state)
    if "random_state" in signature(estimator.sample).parameters:
        return np.asarray(estimator.sample(n_samples, random_state=random_state))
    if "random_state" in estimator.get_params(deep=False):
        # its own state would give the same rows in every call
        estimator = copy.copy(estimator).set_params(random_state=random_state)
    elif given:
        raise ValueError(
            f"{type(estimator).__name__} has no random_state, so that of this call "
            "cannot be used; leave it None."
        )
    drawn = estimator.sample(n_samples)
    if isinstance(drawn, tuple):
        return random_state.permutation(np.asarray(drawn[0]))
    return np.asarray(drawn)

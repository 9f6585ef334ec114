"""Checks of parameters, rows and weights, with errors that say what to do."""

import datetime
import difflib
import numbers

import numpy as np
from sklearn.utils.validation import check_array, check_consistent_length

NO_NUMBERS = (str, bytes, datetime.date, datetime.time, datetime.timedelta)
MISSING_IN_FIT = (
    "A density is fitted to complete rows: drop these, X[~np.isnan(X).any(axis=1)], or "
    "fill them with sklearn.impute; the fitted density then draws missing cells with "
    "impute(X)."
)
MISSING_IN_SCORES = (
    "Only complete rows have a density: draw missing cells with impute(X), or ask "
    "marginal(columns) for the density of the columns that are known."
)


def check_integer(
    name: str, value, *, low: int, high: int | None = None, alternative: str = ""
) -> None:
    """Raise unless `value` is an integer of at least `low` and at most `high`."""
    other = f" {alternative}" if alternative else ""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        kind = type(value).__name__
        raise TypeError(
            f"{name} must be an integer{other}, got {value!r} of type {kind}."
        )
    if value < low or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be {limits}{other}, got {value!r}.")


def check_real(
    name: str,
    value,
    *,
    low: float,
    high: float = np.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Raise unless `value` is a finite number in the interval."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"{name} must be a number, got {value!r} of type {type(value).__name__}."
        )
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if not (np.isfinite(value) and above and below):
        left = "(" if open_low else "["
        right = ")" if open_high or np.isinf(high) else "]"
        interval = f"{left}{low:g}, {high:g}{right}"
        raise ValueError(f"{name} must be in {interval}, got {value!r}.")


def check_boolean(name: str, value, alternative: str = "") -> None:
    """Raise unless `value` is True or False."""
    if not isinstance(value, bool | np.bool_):
        other = f" {alternative}" if alternative else ""
        raise TypeError(f"{name} must be True or False{other}, got {value!r}.")


def check_choice(name: str, value, choices, alternative: str = "") -> None:
    """Raise unless `value` is one of some strings."""
    if isinstance(value, str) and value in choices:
        return
    near = difflib.get_close_matches(str(value).lower(), choices, n=1, cutoff=0.75)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(map(repr, choices))
    other = f" {alternative}" if alternative else ""
    raise ValueError(f"{name} must be one of {listed}{other}, got {value!r}.{hint}")


def check_numbers(X) -> None:
    """Raise if columns of a table, array or DataFrame, hold text, dates or durations.

    Anything else that is no number is left to scikit-learn.
    """
    columns = {}
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        columns = {name: X[name] for name in X.columns}
    elif isinstance(X, np.ndarray) and X.ndim == 2:
        columns = dict(enumerate(X.T))
    found = [name for name, values in columns.items() if _is_no_number(values)]
    if found:
        raise ValueError(
            f"columns {found} of X hold text, dates or durations, but a density is one "
            "of numbers. Leave them out, or turn them into numbers: dates into "
            "days, numbers stored as text by astype(float)."
        )


def _is_no_number(values) -> bool:
    """Whether an array, or a column of a DataFrame, is of text, dates or durations."""
    values = np.asarray(values)
    if values.dtype.kind != "O":
        return values.dtype.kind in "MmUS"
    return any(isinstance(x, NO_NUMBERS) for x in values.flat)


def check_finite(X: np.ndarray, names, remedy: str | None) -> None:
    """Raise for infinite values and, with a `remedy` that says what to do, for NaN."""
    if remedy is not None:
        _refuse_where(np.isnan(X), "NaN", names, remedy)
    _refuse_where(np.isinf(X), "infinite values", names, "Drop or replace these rows.")


def _refuse_where(bad: np.ndarray, what: str, names, remedy: str) -> None:
    columns = [names[j] for j in np.flatnonzero(bad.any(axis=0))]
    if columns:
        n_rows = int(bad.any(axis=1).sum())
        raise ValueError(
            f"X has {what} in {n_rows} of {len(bad)} rows (columns {columns}). {remedy}"
        )


def check_weight(sample_weight, X: np.ndarray) -> np.ndarray:
    """Weights of the rows as float64, the largest one; ones for None.

    Parameters
    ----------
    sample_weight : None, number or array-like of shape (n_samples,)
        Not negative, not all zero.
    X : ndarray of shape (n_samples, n_features)
        Rows to be weighted.
    """
    if sample_weight is None:
        return np.ones(len(X))
    if isinstance(sample_weight, numbers.Real):
        sample_weight = np.full(len(X), float(sample_weight))
    weight = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weight.ndim != 1:
        raise ValueError(
            f"sample_weight must be one-dimensional, got shape {weight.shape}."
        )
    check_consistent_length(weight, X)
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight must not be negative, got {weight.min():g} at row "
            f"{weight.argmin()}."
        )
    if not (weight > 0).any():
        raise ValueError("sample_weight is zero for all rows; at least one must count.")
    return weight / weight.max()


def effective_size(weight: np.ndarray) -> float:
    """Kish's effective number of rows, (sum w)^2 / sum w^2."""
    return float(weight.sum() ** 2 / (weight**2).sum())

"""What a user says of columns: values, intervals, one value for each row.

Plain numpy, in the units of the data.
"""

import numbers
from dataclasses import dataclass

import numpy as np

from ._columns import position


@dataclass(frozen=True)
class Conditions:
    """What is known of the columns of a table, for one or several conditions.

    Attributes
    ----------
    value : ndarray of shape (n_conditions, n_features)
        NaN where a column is not fixed.
    low, high : ndarray of shape (n_conditions, n_features)
        Limits of intervals; infinite where there are none.
    by_row : bool
        Whether there is a condition for each row of a table, even if it has one row.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    by_row: bool

    @property
    def fixed(self) -> list[int]:
        """Columns with a value."""
        return np.flatnonzero(~np.isnan(self.value[0])).tolist()

    @property
    def bounded(self) -> list[int]:
        """Columns with an interval."""
        return np.flatnonzero(
            np.isfinite(self.low[0]) | np.isfinite(self.high[0])
        ).tolist()

    @property
    def known(self) -> list[int]:
        """Columns of which something is known."""
        return sorted({*self.fixed, *self.bounded})

    @classmethod
    def on_values(cls, value: np.ndarray) -> "Conditions":
        """A condition for each row of an array; NaN is not known."""
        return cls(value, np.full_like(value, -np.inf), np.full_like(value, np.inf), True)

    def with_fixed(self, other: "Conditions") -> "Conditions":
        """Conditions with the values of other ones put in."""
        lengths = {len(c.value) for c in (self, other) if c.by_row}
        if len(lengths) > 1:
            raise ValueError(
                "arrays in given and do must have one value for each row, got lengths "
                f"{sorted(lengths)}."
            )
        n = max(len(self.value), len(other.value))
        value, low, high, new = (
            np.broadcast_to(a, (n, a.shape[1]))
            for a in (self.value, self.low, self.high, other.value)
        )
        value = np.where(np.isnan(new), value, new)
        return Conditions(value, low, high, self.by_row or other.by_row)


def read_conditions(
    given, column_names, *, argument: str = "given", intervals: bool = True
) -> Conditions:
    """Conditions from a dictionary.

    Parameters
    ----------
    given : dict
        From columns, by name or position, to a number, a tuple (low, high) with None or
        an infinity for an open end, or an array with a value for each row.
    column_names : sequence of str
        Names of all columns.
    argument : str
        What the dictionary is called in errors.
    intervals : bool, default=True
        Whether intervals are allowed.

    Raises
    ------
    TypeError, ValueError
        If a column is not known or what is said of it cannot be read.
    """
    if not isinstance(given, dict) or not given:
        raise TypeError(
            f"{argument} must be a dictionary from columns to values, such as "
            f"{{{column_names[0]!r}: 1.0}}, got {given!r}."
        )
    read = {}
    for column, said in given.items():
        j = position(column, column_names)
        if j in read:
            raise ValueError(f"{argument} names the column {column_names[j]!r} twice.")
        read[j] = _read_one(said, f"{argument}[{column!r}]", intervals)
    lengths = {len(x) for x, *_ in read.values() if np.ndim(x)}
    if len(lengths) > 1:
        raise ValueError(
            f"arrays in {argument} must have one value for each row, got lengths "
            f"{sorted(lengths)}."
        )
    shape = (max(lengths, default=1), len(column_names))
    value, low, high = (
        np.full(shape, np.nan),
        np.full(shape, -np.inf),
        np.full(shape, np.inf),
    )
    for j, (x, a, b) in read.items():
        value[:, j], low[:, j], high[:, j] = x, a, b
    return Conditions(value, low, high, bool(lengths))


def _read_one(said, name: str, intervals: bool):
    """Value, low and high end of what is said of one column."""
    if isinstance(said, tuple):
        if not intervals:
            raise TypeError(f"{name} must be a number or an array, got {said!r}.")
        return np.nan, *_interval(said, name)
    if _is_number(said) or getattr(said, "shape", None) == ():
        return _finite(np.float64(said), name), -np.inf, np.inf
    try:
        values = np.asarray(said, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(())
    if isinstance(said, str) or values.ndim != 1 or len(values) == 0:
        allowed = "a number, a tuple (low, high) or" if intervals else "a number or"
        raise TypeError(
            f"{name} must be {allowed} an array with a number for each row, got {said!r} "
            f"of type {type(said).__name__}."
        )
    return _finite(values, name), -np.inf, np.inf


def _interval(said: tuple, name: str) -> tuple[float, float]:
    if len(said) != 2 or not all(end is None or _is_number(end) for end in said):
        raise TypeError(
            f"{name} must be a tuple (low, high) of two numbers, None for an open end, "
            f"got {said!r}."
        )
    low = -np.inf if said[0] is None else float(said[0])
    high = np.inf if said[1] is None else float(said[1])
    if not low < high:
        raise ValueError(f"{name} must have low < high, got {said!r}.")
    if np.isinf(low) and np.isinf(high):
        raise ValueError(f"{name} is the whole line, which says nothing; leave it out.")
    return low, high


def _is_number(said) -> bool:
    return isinstance(said, numbers.Real) and not isinstance(said, bool | np.bool_)


def _finite(values, name: str):
    if not np.isfinite(values).all():
        raise ValueError(
            f"{name} must be finite, got {values!r}. An interval is a tuple: (18, None)."
        )
    return values

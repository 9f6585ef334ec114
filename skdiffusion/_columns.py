"""Columns by name or by position."""

import difflib
import numbers


def positions(columns, names) -> list[int]:
    """Positions of columns given by name or position, alone or in a list; None is all.

    Raises
    ------
    TypeError, ValueError
        If one is not known or named twice, or the list is empty.
    """
    if columns is None:
        return list(range(len(names)))
    if isinstance(columns, str | numbers.Integral):
        columns = [columns]
    found = [position(column, names) for column in columns]
    if len(set(found)) < len(found) or not found:
        raise ValueError(
            "at least one column must be named and none of them twice, got "
            f"{list(columns)}."
        )
    return found


def position(column, names) -> int:
    """Position of one column given by name or position."""
    if isinstance(column, str):
        if column in names:
            return list(names).index(column)
        near = difflib.get_close_matches(column, list(map(str, names)), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"no column is named {column!r}; there are {listed(names)}.{hint}"
        )
    if isinstance(column, bool) or not isinstance(column, numbers.Integral):
        raise TypeError(
            f"a column is given by its name or position, got {column!r} of type "
            f"{type(column).__name__}."
        )
    if not 0 <= column < len(names):
        raise ValueError(
            f"there is no column {column}; positions are 0 to {len(names) - 1}."
        )
    refuse_ambiguous(int(column), names)
    return int(column)


def refuse_ambiguous(j: int, names) -> None:
    """Raise if a column other than the one at a position has this number as its name."""
    if str(names[j]) != str(j) and str(j) in names:
        raise ValueError(
            f"{j} is the position of column {names[j]!r}, but another column is named "
            f"{str(j)!r}; say which one by its name, a string."
        )


def listed(names, most: int = 12) -> str:
    """Names for a message, not too many."""
    shown = ", ".join(map(repr, list(names)[:most]))
    return f"{shown}, ... ({len(names)} columns)" if len(names) > most else shown

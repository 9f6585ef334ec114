"""What all displays share: colours, axes, names of columns."""

import numpy as np

# colours that colour-blind people can tell apart: M. Okabe and K. Ito, "Color Universal
# Design", 2008
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY = "#CC79A7", "#56B4E9"
GREY, LIGHT = "#555555", "#D0D0D0"
CYCLE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)


def pyplot():
    """The module `matplotlib.pyplot`, imported when something is drawn."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("displays need matplotlib: pip install matplotlib.") from error
    return plt


def single_axes(ax, figsize=(6.0, 4.0)):
    """The given axes, or those of a new figure."""
    if ax is not None:
        return ax
    return pyplot().figure(figsize=figsize, layout="constrained").subplots()


def grid_of_axes(ax, n_rows: int, n_columns: int, figsize, **shared):
    """Array of axes in a new figure, or in the place of the given axes."""
    if ax is None:
        figure = pyplot().figure(figsize=figsize, layout="constrained")
        return figure.subplots(n_rows, n_columns, squeeze=False, **shared)
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError(
            "this display draws several panels and needs axes from plt.subplots to put "
            "them in; the given ax has no place in a grid. Use ax=None for a new figure."
        )
    ax.set_axis_off()
    return place.subgridspec(n_rows, n_columns).subplots(squeeze=False, **shared)


def dot_size(n: int, area: float = 6000) -> float:
    """Area of each of n dots that share an area, within limits, in square points."""
    return float(np.clip(area / n, 2, 14))


def check_same_columns(estimator, rows: np.ndarray) -> None:
    """Raise unless rows have as many columns as the estimator was fitted to."""
    n = getattr(estimator, "n_features_in_", rows.shape[1])
    kind = type(estimator).__name__
    if rows.shape[1] != n:
        raise ValueError(f"X has {rows.shape[1]} columns, but {kind} was fitted to {n}.")

"""A density over one or two columns, or a slice of it."""

import numpy as np
from sklearn.utils.validation import check_array

from .._columns import positions
from .._estimators import check_answers, column_names, log_density, named
from .._validation import check_integer
from ..conditions import read_conditions
from ._common import BLUE, LIGHT, VERMILION, check_same_columns, single_axes

RESOLUTION = {1: 400, 2: 100}
MARGIN = 0.15
N_LEVELS = 12
N_BINS = 30
MAX_HELD_SHOWN = 4


class DensityDisplay:
    """A density as a curve (one column) or as filled contours (two columns).

    Of a density of more columns it is a slice: the joint density as a function of one or
    two columns where the others are held at given values. A slice does not integrate to
    one; its shape is that of the conditional density.

    Parameters
    ----------
    grid : tuple of one or two ndarrays
        Values of the shown columns.
    density : ndarray of shape (len(grid[0]),) or (len(grid[0]), len(grid[1]))
        Density on the grid.
    X : ndarray of shape (n_rows, n_shown)
        Rows of the shown columns; drawn if nothing is held.
    feature_names : sequence of str
        Names of the shown columns.
    held : dict of str to float
        Values of the other columns.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    line_ : Line2D or None
        The curve, if one column is shown.
    contours_ : QuadContourSet or None
        The filled contours, if two columns are shown.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KernelDensity
    >>> from skdiffusion.displays import DensityDisplay
    >>> X = np.random.RandomState(0).standard_normal((100, 3))
    >>> kde = KernelDensity().fit(X)
    >>> display = DensityDisplay.from_estimator(kde, X, features=[0, 1], held={2: 1.5})
    >>> display.density.shape
    (100, 100)
    """

    def __init__(self, grid, density, *, X, feature_names, held):
        self.grid = grid
        self.density = density
        self.X = X
        self.feature_names = feature_names
        self.held = held

    @classmethod
    def from_estimator(
        cls, estimator, X, *, features=None, held=None, grid_resolution=None, ax=None
    ):
        """Evaluate a density on a grid and draw it.

        Parameters
        ----------
        estimator : object with `score_samples`
            Fitted density estimator.
        X : array-like of shape (n_rows, n_features)
            Rows that say where to look: the grid covers their range and a little more.
        features : int, str or list of one or two of them, default=None
            Positions or names of the columns to show; None is all, if there are at most
            two.
        held : dict of int or str to float, default=None
            Values at which other columns are held; those not given, at their medians.
        grid_resolution : int, default=None
            Number of values of each shown column; None is 400 for one column and 100 for
            two.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        DensityDisplay
        """
        check_answers(estimator, "score_samples", purpose=cls.__name__)
        rows = check_array(X, dtype=np.float64)
        check_same_columns(estimator, rows)
        names = column_names(estimator, X)
        shown = _shown(features, names)
        values = _held_values(held, shown, rows, names)
        resolution = grid_resolution
        if resolution is None:
            resolution = RESOLUTION[len(shown)]
        check_integer("grid_resolution", resolution, low=2)
        grid = tuple(_around(rows[:, j], resolution) for j in shown)
        density = _on_grid(estimator, grid, shown, values)
        rest = [j for j in range(len(names)) if j not in shown]
        return cls(
            grid,
            density,
            X=rows[:, shown],
            feature_names=[names[j] for j in shown],
            held={names[j]: float(values[j]) for j in rest},
        ).plot(ax)

    def plot(self, ax=None, *, line_kw=None, contour_kw=None):
        """Draw the density.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        line_kw : dict, default=None
            Passed to `Axes.plot`, for one column.
        contour_kw : dict, default=None
            Passed to `Axes.contourf`, for two columns, such as ``{"levels": 30}``.

        Returns
        -------
        self
        """
        self.ax_ = single_axes(ax)
        self.figure_ = self.ax_.figure
        self.line_ = self.contours_ = None
        if len(self.grid) == 1:
            self._curve(line_kw or {})
        else:
            self._contours(contour_kw or {})
        self.ax_.set_xlabel(self.feature_names[0])
        if self.held:
            self.ax_.set_title(self._where(), fontsize="medium")
        return self

    def _quantity(self) -> str:
        if self.held:
            return "joint density in this slice\n(not normalised)"
        return f"density (per unit of {' and of '.join(self.feature_names)})"

    def _curve(self, line_kw) -> None:
        if not self.held:
            label = f"data ({len(self.X)} rows)"
            self.ax_.hist(self.X[:, 0], N_BINS, density=True, color=LIGHT, label=label)
        style = {"color": BLUE, "lw": 2, "label": "density"} | line_kw
        (self.line_,) = self.ax_.plot(*self.grid, self.density, **style)
        self.ax_.set_ylabel(self._quantity())
        self.ax_.set_ylim(bottom=0)
        self.ax_.set_xlim(self.grid[0][[0, -1]])
        if not self.held:
            self.ax_.legend()

    def _contours(self, contour_kw) -> None:
        style = {"levels": N_LEVELS, "cmap": "Blues"} | contour_kw
        self.contours_ = self.ax_.contourf(*self.grid, self.density.T, **style)
        bar = self.figure_.colorbar(self.contours_, ax=self.ax_)
        bar.set_label(self._quantity())
        self.ax_.set_ylabel(self.feature_names[1])
        if not self.held:
            label = f"data ({len(self.X)} rows)"
            style = {"s": 5, "color": VERMILION, "alpha": 0.5, "linewidths": 0}
            self.ax_.scatter(*self.X.T, label=label, **style)
            self.ax_.legend(markerscale=2)

    def _where(self) -> str:
        items = [f"{name} = {value:.3g}" for name, value in self.held.items()]
        more = len(items) - MAX_HELD_SHOWN
        end = f" and {more} more columns held" if more > 0 else ""
        return f"slice at {', '.join(items[:MAX_HELD_SHOWN])}{end}"


def _shown(features, names) -> list[int]:
    shown = positions(features, names)
    if len(shown) in RESOLUTION:
        return shown
    if features is None:
        raise ValueError(
            f"X has {len(names)} columns; choose one or two to show with features=[...]. "
            "The others are held at their medians, or at the values in held={...}."
        )
    raise ValueError(f"features must be one or two columns, got {len(shown)}.")


def _held_values(held, shown, rows, names) -> np.ndarray:
    """A row with the values of the columns that are not shown."""
    values = np.median(rows, axis=0)
    if held is None:
        return values
    given = read_conditions(held, names, argument="held", intervals=False)
    if given.by_row:
        raise TypeError(f"held must have a number for each column, got {held!r}.")
    both = [names[j] for j in given.fixed if j in shown]
    if both:
        raise ValueError(
            f"columns {both} are shown, so they cannot be held; leave them out of "
            "features or of held."
        )
    values[given.fixed] = given.value[0, given.fixed]
    return values


def _around(column: np.ndarray, resolution: int) -> np.ndarray:
    low, high = column.min(), column.max()
    margin = MARGIN * (high - low) if high > low else 1.0
    return np.linspace(low - margin, high + margin, resolution)


def _on_grid(estimator, grid, shown, values) -> np.ndarray:
    points = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1)
    rows = np.tile(values, (points[..., 0].size, 1))
    rows[:, shown] = points.reshape(len(rows), -1)
    density = np.exp(log_density(estimator, named(estimator, rows)))
    return density.reshape(points.shape[:-1])

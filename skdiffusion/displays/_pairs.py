"""Pairs of columns, data beside samples of a density."""

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array

from .._columns import positions
from .._estimators import check_answers, column_names, draw
from .._validation import check_integer
from ._common import (
    GREY,
    LIGHT,
    VERMILION,
    check_same_columns,
    dot_size,
    grid_of_axes,
    pyplot,
)

MAX_COLUMNS = 10
MAX_SAMPLES = 1000
N_BINS = 25
# smaller panels make room for more columns
PANEL_INCHES, WIDEST_INCHES = 2.2, 12.0


class PairsDisplay:
    """Rows of a table and samples of a density, in pairs of columns.

    Histograms are on the diagonal, scatter plots below. Dots of both kinds are drawn in
    random order, so that none hides the other.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_shown)
        Rows of the table.
    samples : ndarray of shape (n_samples, n_shown)
        Rows drawn from the density.
    feature_names : sequence of str of length n_shown
        Names of the columns.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_shown, n_shown)
        Panels; those above the diagonal are empty.
    figure_ : Figure
    legend_ : Legend

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KernelDensity
    >>> from skdiffusion.displays import PairsDisplay
    >>> X = np.random.RandomState(0).standard_normal((100, 3))
    >>> display = PairsDisplay.from_estimator(KernelDensity().fit(X), X, random_state=0)
    >>> display.axes_.shape
    (3, 3)
    """

    def __init__(self, X, samples, *, feature_names):
        self.X = X
        self.samples = samples
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls, estimator, X, *, features=None, n_samples=None, random_state=None, ax=None
    ):
        """Draw rows from a density and show them with those of a table.

        Parameters
        ----------
        estimator : object with `sample`
            Fitted density estimator.
        X : array-like of shape (n_rows, n_features)
            Rows to compare with, such as held-out data.
        features : list of int or str, default=None
            Positions or names of the columns to show; None is all, if there are at most
            10.
        n_samples : int, default=None
            Number of rows to draw; None is as many as X has, at most 1000.
        random_state : int, RandomState instance or None, default=None
            Source of randomness of the samples.
        ax : matplotlib Axes, default=None
            Where to put the panels; None makes a figure.

        Returns
        -------
        PairsDisplay
        """
        check_answers(estimator, "sample", purpose=cls.__name__)
        rows = check_array(X, dtype=np.float64)
        check_same_columns(estimator, rows)
        names = column_names(estimator, X)
        if features is None and len(names) > MAX_COLUMNS:
            raise ValueError(
                f"X has {len(names)} columns, too many for all pairs; choose at most "
                f"{MAX_COLUMNS} or so with features=[...]."
            )
        shown = positions(features, names)
        n_samples = min(len(rows), MAX_SAMPLES) if n_samples is None else n_samples
        check_integer("n_samples", n_samples, low=1)
        samples = draw(estimator, n_samples, random_state)
        names = [names[j] for j in shown]
        return cls(rows[:, shown], samples[:, shown], feature_names=names).plot(ax)

    def plot(self, ax=None, *, scatter_kw=None):
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to put the panels; None makes a figure.
        scatter_kw : dict, default=None
            Passed to `Axes.scatter`, such as ``{"s": 10}``.

        Returns
        -------
        self
        """
        n = len(self.feature_names)
        inches = min(PANEL_INCHES * max(n, 2), WIDEST_INCHES)
        self.axes_ = grid_of_axes(ax, n, n, (inches, inches), sharex="col")
        self.figure_ = self.axes_[0, 0].figure
        for i, j in np.ndindex(n, n):
            panel = self.axes_[i, j]
            if i == j:
                self._histograms(panel, j)
            elif i > j:
                self._scatter(panel, i, j, scatter_kw or {})
            else:
                panel.set_axis_off()
        self._label()
        return self

    def _histograms(self, ax, j: int) -> None:
        """Shares of rows in common bins: bars for the data, a line for the samples."""
        both = np.concatenate([self.X[:, j], self.samples[:, j]])
        edges = np.histogram_bin_edges(both, N_BINS)
        for rows, style in ((self.X, {"color": LIGHT}), (self.samples, SAMPLES_LINE)):
            share = np.full(len(rows), 1 / len(rows))
            ax.hist(rows[:, j], edges, weights=share, **style)
        ax.margins(x=0.02)
        ax.yaxis.tick_right()
        ax.spines[["left", "top"]].set_visible(False)

    def _scatter(self, ax, i: int, j: int, scatter_kw) -> None:
        both = np.concatenate([self.X, self.samples])[:, [j, i]]
        colours = np.repeat([GREY, VERMILION], [len(self.X), len(self.samples)])
        order = check_random_state(0).permutation(len(both))
        style = {"s": dot_size(len(both)), "alpha": 0.6, "linewidths": 0} | scatter_kw
        ax.scatter(*both[order].T, c=colours[order], **style)
        if j > 0:
            ax.sharey(self.axes_[i, 0])
            ax.tick_params(labelleft=False)

    def _label(self) -> None:
        names = self.feature_names
        for j, name in enumerate(names):
            self.axes_[-1, j].set_xlabel(name)
            if j > 0:
                self.axes_[j, 0].set_ylabel(name)
        self.axes_[0, 0].yaxis.set_label_position("right")
        self.axes_[0, 0].set_ylabel("share of rows")
        dot = {"ls": "", "marker": "o", "ms": 5}
        line = pyplot().Line2D
        handles = [
            line([], [], color=GREY, label=f"data ({len(self.X)} rows)", **dot),
            line([], [], color=VERMILION, label=f"samples ({len(self.samples)})", **dot),
        ]
        corner = self.axes_[0, -1]
        place = {"loc": "upper right"} if len(names) > 1 else {"loc": "best"}
        self.legend_ = corner.legend(handles=handles, **place)


SAMPLES_LINE = {"color": VERMILION, "histtype": "step", "lw": 1.5}

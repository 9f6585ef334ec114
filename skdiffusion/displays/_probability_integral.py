"""Probability integral transforms of rows, which are uniform under a true density."""

import numpy as np
from scipy import stats

from .._columns import positions
from .._estimators import column_names
from .._validation import check_choice, check_integer
from ..metrics import probability_integrals
from ._common import BLUE, GREY, LIGHT, ORANGE, grid_of_axes

KINDS = ("histogram", "pp")
LEVEL = 0.95
BAND = "95 % band of {}"
HEADROOM = 1.15
PANELS_PER_ROW = 4


class ProbabilityIntegralDisplay:
    """Probability integral transforms of each column, with bands of uniformity.

    Under a true density they are uniform. A histogram that is high at both ends says that
    the density is too narrow, one that is high in the middle that it is too wide, and a
    slope that it is shifted.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_shown)
        Transforms in [0, 1].
    feature_names : sequence of str of length n_shown
        Names of the columns.

    Attributes
    ----------
    axes_ : ndarray of Axes
        Panels, four in a row.
    figure_ : Figure
    band_ : ndarray
        Limits of the 95 percent band: of shape (2,) for histograms, in rows per bin; of
        shape (2, n_samples) for P-P plots, in shares of rows.
    """

    def __init__(self, values, *, feature_names):
        self.values = values
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls, estimator, X, *, features=None, kind="histogram", n_bins=None, ax=None
    ):
        """Transform rows by a density and draw how uniform they are.

        Parameters
        ----------
        estimator : object with `to_normal`
            Fitted density estimator.
        X : array-like of shape (n_samples, n_features)
            Held-out rows.
        features : list of int or str, default=None
            Positions or names of the columns to show; None is all.
        kind, n_bins, ax
            As for `plot`.

        Returns
        -------
        ProbabilityIntegralDisplay
        """
        values = probability_integrals(estimator, X)
        names = column_names(estimator, X)
        shown = positions(features, names)
        display = cls(values[:, shown], feature_names=[names[j] for j in shown])
        return display.plot(ax, kind=kind, n_bins=n_bins)

    def plot(self, ax=None, *, kind="histogram", n_bins=None):
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to put the panels; None makes a figure.
        kind : {"histogram", "pp"}, default="histogram"
            "histogram" counts rows in bins; each count is in its band with probability
            0.95. "pp" shows the share of rows below each probability; the whole line is
            in its band, that of the Kolmogorov-Smirnov test, with probability 0.95.
        n_bins : int, default=None
            Number of bins; None is 5 to 20, with 20 rows or more in each.

        Returns
        -------
        self
        """
        check_choice("kind", kind, KINDS)
        n_bins = int(np.clip(len(self.values) // 20, 5, 20)) if n_bins is None else n_bins
        check_integer("n_bins", n_bins, low=2)
        n = len(self.feature_names)
        n_columns = min(n, PANELS_PER_ROW)
        n_rows = -(-n // n_columns)
        figsize = (max(5.0, 2.6 * n_columns), 1.1 + 2.4 * n_rows)
        self.axes_ = grid_of_axes(
            ax, n_rows, n_columns, figsize, sharex=True, sharey=True
        )
        self.figure_ = self.axes_[0, 0].figure
        if kind == "pp":
            self._lines()
        else:
            self._histograms(n_bins)
        self._label(kind, own_figure=ax is None)
        return self

    def _panels(self):
        columns = zip(self.values.T, self.feature_names, strict=True)
        for ax, (u, name) in zip(self.axes_.flat, columns, strict=False):
            ax.set_title(name, fontsize="medium")
            yield ax, u

    def _histograms(self, n_bins: int) -> None:
        tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        n = len(self.values)
        self.band_ = stats.binom.ppf(tails, n, 1 / n_bins)
        for ax, u in self._panels():
            ax.hist(u, n_bins, range=(0, 1), color=LIGHT, ec="white", label="rows")
            ax.axhspan(
                *self.band_, color=ORANGE, alpha=0.3, lw=0, label=BAND.format("a bin")
            )
            ax.axhline(n / n_bins, color=GREY, lw=1, ls="--", label="uniform")
        top = max(ax.dataLim.ymax for ax in self.axes_.flat[: len(self.feature_names)])
        self.axes_[0, 0].set_ylim(0, HEADROOM * top)

    def _lines(self) -> None:
        n = len(self.values)
        share = np.arange(1, n + 1) / n
        half = stats.kstwo.ppf(LEVEL, n)
        self.band_ = np.clip([share - half, share + half], 0, 1)
        for ax, u in self._panels():
            ends = {
                "color": ORANGE,
                "alpha": 0.3,
                "lw": 0,
                "label": BAND.format("the line"),
            }
            ax.fill_between(share, *self.band_, **ends)
            ax.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="uniform")
            ax.step(
                np.r_[0, np.sort(u), 1],
                np.r_[0, share, 1],
                where="post",
                color=BLUE,
                label="rows",
            )
            ax.set_aspect("equal")

    def _label(self, kind: str, own_figure: bool) -> None:
        for ax in self.axes_.flat[len(self.feature_names) :]:
            ax.set_axis_off()
        for ax in self.axes_[:, 0]:
            ax.set_ylabel("share of rows below" if kind == "pp" else "rows per bin")
        for ax in self.axes_[-1]:
            ax.set_xlabel("probability integral")
        first = self.axes_[0, 0]
        if own_figure:
            handles = first.get_legend_handles_labels()
            self.figure_.legend(*handles, loc="outside upper center", ncols=3)
        else:
            first.legend(fontsize="small")

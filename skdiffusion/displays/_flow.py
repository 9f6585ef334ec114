"""Samples on their way along the probability flow, from noise to data."""

from itertools import cycle

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .. import flow
from .._base import BaseDiffusionDensity
from .._columns import positions
from .._estimators import column_names
from .._validation import check_integer
from ._common import BLUE, CYCLE, dot_size, grid_of_axes

PANELS_PER_ROW = 6
TITLE = "Samples on their way from noise to data, and the paths of some of them"


class FlowDisplay:
    r"""Samples of a diffusion density at several times, from noise to data.

    The state of the flow at time t is :math:`\cos(t)` times a row plus
    :math:`\sin(t)` times normal noise. Both columns are in standard units. Where a column
    is diffused given its context, the noise has the size of what the context leaves open,
    so it may be narrow.

    Parameters
    ----------
    states : ndarray of shape (n_samples, n_times, 2)
        States of two columns in standard units, the noisiest first.
    times : ndarray of shape (n_times,)
        Times, falling.
    feature_names : sequence of two str
        Names of the columns.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_rows, at most 6)
        Panels, in the order of time.
    figure_ : Figure
    panels_ : ndarray of int of shape (n_panels,)
        Positions of the shown times in `times`.

    Examples
    --------
    >>> from skdiffusion import KernelScoreDensity
    >>> from skdiffusion.datasets import make_nonlinear_chain
    >>> from skdiffusion.displays import FlowDisplay
    >>> chain = make_nonlinear_chain(100, n_features=2, random_state=0)
    >>> density = KernelScoreDensity(chain.graph, bandwidth=0.2).fit(chain.data)
    >>> FlowDisplay.from_estimator(density, n_samples=50).states.shape
    (50, 13, 2)
    """

    def __init__(self, states, times, *, feature_names):
        self.states = states
        self.times = times
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        features=None,
        n_samples=500,
        n_panels=6,
        random_state=None,
        ax=None,
    ):
        """Draw samples and show where they come by.

        Parameters
        ----------
        estimator : FactorizedDiffusionDensity or KernelScoreDensity
            Fitted.
        features : list of two int or str, default=None
            Positions or names of the columns to show; None is the first two.
        n_samples : int, default=500
            Number of samples.
        n_panels : int, default=6
            Number of times shown, from the grid of `n_steps` + 1 times of the solver.
        random_state : int, RandomState instance or None, default=None
            Source of the noise; the same as in `sample` leads to the same rows.
        ax : matplotlib Axes, default=None
            Where to put the panels; None makes a figure.

        Returns
        -------
        FlowDisplay
        """
        if not isinstance(estimator, BaseDiffusionDensity):
            raise TypeError(
                f"{cls.__name__} follows the flow of a FactorizedDiffusionDensity or "
                f"KernelScoreDensity; got {type(estimator).__name__}."
            )
        check_is_fitted(estimator)
        check_integer("n_samples", n_samples, low=1)
        names = column_names(estimator)
        shown = positions(
            range(min(2, len(names))) if features is None else features, names
        )
        if len(shown) != 2:
            raise ValueError(
                f"the flow is shown in two columns, got {len(shown)}: choose two of "
                f"{len(names)} with features=[...]."
            )
        shape = (n_samples, len(names))
        noise = check_random_state(random_state).standard_normal(shape)
        states = estimator._from_noise(flow.states, noise)
        times = np.array(estimator._path().grid()[::-1])
        names = [names[j] for j in shown]
        display = cls(states[..., shown], times, feature_names=names)
        return display.plot(ax, n_panels=n_panels)

    def plot(self, ax=None, *, n_panels=6, n_followed=5):
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to put the panels; None makes a figure.
        n_panels : int, default=6
            Number of times shown.
        n_followed : int, default=5
            Number of samples whose paths are drawn.

        Returns
        -------
        self
        """
        check_integer("n_panels", n_panels, low=2, high=len(self.times))
        check_integer("n_followed", n_followed, low=0)
        last = len(self.times) - 1
        self.panels_ = np.linspace(0, last, n_panels).round().astype(int)
        n_columns = min(n_panels, PANELS_PER_ROW)
        n_rows = -(-n_panels // n_columns)
        figsize = (2.1 * n_columns, 0.8 + 2.2 * n_rows)
        self.axes_ = grid_of_axes(
            ax, n_rows, n_columns, figsize, sharex=True, sharey=True
        )
        self.figure_ = self.axes_[0, 0].figure
        for panel, k in zip(self.axes_.flat, self.panels_, strict=False):
            self._snapshot(panel, k, n_followed)
        self._label(n_panels)
        if ax is None:
            self.figure_.suptitle(TITLE, fontsize="medium")
        return self

    def _snapshot(self, ax, k: int, n_followed: int) -> None:
        size = dot_size(len(self.states), area=3000)
        ax.scatter(*self.states[:, k].T, s=size, color=BLUE, alpha=0.5, lw=0)
        for i, colour in zip(self._followed(n_followed), cycle(FOLLOWED), strict=False):
            ax.plot(*self.states[i, : k + 1].T, color=colour, lw=1.2)
            ax.plot(*self.states[i, k], "o", color=colour, ms=5, mec="white")
        share = np.sin(self.times[k])
        ax.set_title(f"noise {share:.0%}", fontsize="medium")

    def _followed(self, n_followed: int) -> np.ndarray:
        """Samples spread over the last values of the first column."""
        order = np.argsort(self.states[:, -1, 0])
        share = (np.arange(n_followed) + 0.5) / max(n_followed, 1)
        return order[np.unique((share * len(order)).astype(int))]

    def _label(self, n_panels: int) -> None:
        for ax in self.axes_.flat[n_panels:]:
            ax.set_axis_off()
        x, y = (f"{name} (standard units)" for name in self.feature_names)
        # once: long names of neighbouring panels would run into each other
        self.axes_[-1, self.axes_.shape[1] // 2].set_xlabel(x)
        for ax in self.axes_[:, 0]:
            ax.set_ylabel(y)


FOLLOWED = tuple(colour for colour in CYCLE if colour != BLUE)

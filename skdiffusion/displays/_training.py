"""How a training went: loss and held-out score against steps."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._common import BLUE, LIGHT, ORANGE, VERMILION, grid_of_axes

# steps averaged into one point of the smooth curve, as a share of all
SMOOTHED_SHARE = 0.02


class TrainingDisplay:
    """Denoising loss and held-out log-density of a diffusion density, step by step.

    Parameters
    ----------
    loss_curve : array-like of shape (n_steps,)
        Denoising loss of every step.
    validation_steps, validation_scores : array-like of shape (n_checks,)
        When the held-out log-density was measured, and its values; may be empty. Steps
        beyond those of `loss_curve` are steps of training for likelihood.
    best_validation_score : float or None
        Held-out log-density of the weights that were kept.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (2, 1), or (1, 1) without held-out rows
    figure_ : Figure

    Examples
    --------
    >>> from skdiffusion import FactorizedDiffusionDensity
    >>> from skdiffusion.datasets import make_nonlinear_chain
    >>> from skdiffusion.displays import TrainingDisplay
    >>> chain = make_nonlinear_chain(200, n_features=2, random_state=0)
    >>> density = FactorizedDiffusionDensity(chain.graph, max_iter=100, random_state=0)
    >>> display = TrainingDisplay.from_estimator(density.fit(chain.data))
    >>> display.validation_steps
    array([  0,  50, 100, 100, 105])
    """

    def __init__(
        self, loss_curve, *, validation_steps, validation_scores, best_validation_score
    ):
        self.loss_curve = loss_curve
        self.validation_steps = validation_steps
        self.validation_scores = validation_scores
        self.best_validation_score = best_validation_score

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Show the last training of a fitted estimator.

        Parameters
        ----------
        estimator : FactorizedDiffusionDensity
            Fitted.
        ax : matplotlib Axes, default=None
            Where to put the panels; None makes a figure.

        Returns
        -------
        TrainingDisplay
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "loss_curve_"):
            raise TypeError(
                f"{cls.__name__} shows the training of a FactorizedDiffusionDensity; "
                f"{type(estimator).__name__} has no loss_curve_."
            )
        if not len(estimator.loss_curve_):
            raise ValueError(
                "nothing was trained: fewer than 50 rows leave none to hold out, so no "
                "curve to show. Use more rows, or early_stopping=False."
            )
        return cls(
            np.asarray(estimator.loss_curve_),
            validation_steps=np.asarray(estimator.validation_steps_),
            validation_scores=np.asarray(estimator.validation_scores_),
            best_validation_score=estimator.best_validation_score_,
        ).plot(ax)

    def plot(self, ax=None):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to put the panels; None makes a figure.

        Returns
        -------
        self
        """
        n = 2 if len(self.validation_scores) else 1
        self.axes_ = grid_of_axes(ax, n, 1, (6.5, 1 + 2.4 * n), sharex=True)
        self.figure_ = self.axes_[0, 0].figure
        self._losses(self.axes_[0, 0])
        if n == 2:
            self._scores(self.axes_[1, 0])
        self.axes_[-1, 0].set_xlabel("optimisation steps")
        return self

    def _losses(self, ax) -> None:
        n = len(self.loss_curve)
        width = max(1, round(SMOOTHED_SHARE * n))
        smooth = np.convolve(self.loss_curve, np.full(width, 1 / width), "valid")
        # a mean over steps is shown at their middle
        middle = np.arange(len(smooth)) + (width + 1) / 2
        ax.plot(
            np.arange(1, n + 1), self.loss_curve, color=LIGHT, lw=1, label="each step"
        )
        ax.plot(middle, smooth, color=BLUE, lw=2, label=f"mean of {width} steps")
        ax.set_ylabel("denoising loss\n(1: linear start)")
        ax.legend()

    def _scores(self, ax) -> None:
        style = {"color": BLUE, "marker": "o", "ms": 4, "lw": 1.5}
        steps, scores = self.validation_steps, self.validation_scores
        ax.plot(steps, scores, label="current weights", **style)
        if steps[-1] > len(self.loss_curve):
            label = "training for likelihood begins"
            ax.axvline(len(self.loss_curve), color=ORANGE, ls=":", lw=1.5, label=label)
        kept = self.best_validation_score
        label = f"kept model: {kept:.3f}"
        ax.axhline(kept, color=VERMILION, ls="--", lw=1.5, label=label)
        ax.set_ylabel("held-out log-density\n(nats per row)")
        ax.legend()

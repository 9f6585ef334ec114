"""Rows where a density is low: an outlier detector out of any density estimator."""

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, OutlierMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import (
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from ._estimators import log_density
from ._validation import check_real, check_weight

# "far out" in the words of Tukey
FENCE = 3.0


class DensityOutlierDetector(OutlierMixin, MetaEstimatorMixin, BaseEstimator):
    """Calls rows outliers where a density estimator finds a low density.

    Parameters
    ----------
    estimator : estimator with `score_samples`
        Density estimator such as `FactorizedDiffusionDensity`, `KernelDensity` or
        `GaussianMixture`; it is cloned, not changed.
    contamination : float in (0, 0.5] or "auto", default=0.1
        Which rows are outliers. A number is the share of the training rows (of their
        weight) that is called so. "auto" calls those outliers whose log-density lies more
        than 3 interquartile ranges below the lower quartile of the training rows ("far
        out" values of a box plot [1]_), which may be none: of normal rows 3 percent in
        one column, 0.1 percent in eight.

    Attributes
    ----------
    estimator_ : estimator
        Fitted density estimator.
    offset_ : float
        Log-density below which a row is an outlier, in nats.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had string names.

    See Also
    --------
    sklearn.covariance.EllipticEnvelope : The same with a normal density, robustly fitted.
    sklearn.ensemble.IsolationForest : Isolation by random splits.

    Notes
    -----
    What is checked of X, and how, is up to the density estimator.

    A density that follows single rows, such as a kernel estimate with a small bandwidth,
    is higher at training rows than at new ones of the same law, and calls more of these
    outliers than `contamination` says. A density depends on the choice of columns and of
    their nonlinear scale: what is rare in x may be less so in log x.

    References
    ----------
    .. [1] J. W. Tukey, "Exploratory Data Analysis", Addison-Wesley, 1977, section 2D.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KernelDensity
    >>> from skdiffusion import DensityOutlierDetector
    >>> X = np.r_[np.random.RandomState(0).standard_normal((99, 2)), [[9, 9]]]
    >>> detector = DensityOutlierDetector(KernelDensity(), contamination=0.01).fit(X)
    >>> detector.predict([[0, 0], [8, 8]])
    array([ 1, -1])
    """

    def __init__(self, estimator, *, contamination=0.1):
        self.estimator = estimator
        self.contamination = contamination

    def fit(self, X, y=None, sample_weight=None):
        """Fit the density and place the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, in whatever form the density estimator takes them.
        y : None
            Ignored; present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, handed to the density estimator, too.

        Returns
        -------
        self : object
            Fitted detector.

        Raises
        ------
        TypeError
            If the estimator has no `score_samples`, or takes no weights that are given.
        ValueError
            If `contamination` is out of range or the density is zero at all rows.
        """
        self._check_parameters(sample_weight)
        validate_data(self, X, skip_check_array=True)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        estimator = clone(self.estimator).fit(X, **weights)
        scores = log_density(estimator, X)
        offset = self._threshold(scores, check_weight(sample_weight, scores))
        self.estimator_, self.offset_ = estimator, offset
        return self

    def score_samples(self, X):
        """Log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats; the lower, the more of an outlier.
        """
        check_is_fitted(self)
        return log_density(self.estimator_, X)

    def decision_function(self, X):
        """Log-density minus the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        decision : ndarray of shape (n_samples,)
            In nats; negative for outliers.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Which rows are outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        label : ndarray of int of shape (n_samples,)
            -1 for outliers, 1 for all others.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _check_parameters(self, sample_weight) -> None:
        kind = type(self.estimator).__name__
        if not (
            hasattr(self.estimator, "fit") and hasattr(self.estimator, "score_samples")
        ):
            raise TypeError(
                "estimator must be a density estimator with fit and score_samples, such "
                f"as KernelDensity(); got {kind}."
            )
        if sample_weight is not None and not has_fit_parameter(
            self.estimator, "sample_weight"
        ):
            raise TypeError(
                f"sample_weight was given, but {kind}.fit takes none; leave it out or "
                "use an estimator that does, such as KernelDensity or ours."
            )
        if isinstance(self.contamination, str) and self.contamination == "auto":
            return
        if isinstance(self.contamination, str):
            raise ValueError(
                "contamination must be 'auto' or a number in (0, 0.5], got "
                f"{self.contamination!r}."
            )
        check_real("contamination", self.contamination, low=0, high=0.5, open_low=True)

    def _threshold(self, scores: np.ndarray, weight: np.ndarray) -> float:
        order = np.argsort(scores)
        scores, weight = scores[order], weight[order]
        finite = np.isfinite(scores)
        if not finite.any():
            raise ValueError(
                "the density is zero at all training rows, so none is less of an outlier "
                "than another; give the estimator a wider kernel."
            )
        if self.contamination != "auto":
            # rows of density zero are outliers, however many
            return max(_quantile(scores, weight, self.contamination), scores[finite][0])
        low, high = (_quantile(scores[finite], weight[finite], q) for q in (0.25, 0.75))
        return low - FENCE * (high - low)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if hasattr(self.estimator, "fit"):
            tags.input_tags = get_tags(self.estimator).input_tags
        return tags


def _quantile(scores: np.ndarray, weight: np.ndarray, share: float) -> float:
    """First of sorted scores below which lie rows of at most the share of the weight.

    A weight of two counts as two equal rows. Rows below it are the largest such group.
    """
    below = np.cumsum(weight)
    # 0.29 * 100 is less than 29: rounding must not cost a row
    limit = share * below[-1] * (1 + 1e-12)
    return float(scores[np.searchsorted(below, limit)])

"""The pipeline itself: fit, log-densities and samples through its transformers."""

import numpy as np
from sklearn.base import is_outlier_detector
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._estimators import draw
from .._frames import to_frame
from .._validation import check_boolean, check_integer
from ..metrics import mean_log_density
from ._jacobians import (
    acting_steps,
    first_refusal,
    pull_back,
    push_forward,
    refusal_after,
    refusal_before,
)


def _final_step_has(method: str):
    """Check for `available_if`: whether the last step has a method."""

    def check(pipeline) -> bool:
        final = pipeline.steps[-1][1]
        if not hasattr(final, method):
            raise AttributeError(
                f"the last step, {type(final).__name__}, has no method {method!r}."
            )
        return True

    return check


class DensityPipeline(Pipeline):
    r"""Transformers and a density estimator, with log-densities in the units of the rows.

    With the transformers :math:`T` and the density :math:`q` of the last step,

    .. math:: \log p(x) = \log q(T(x)) + \log |\det \partial T / \partial x|.

    scikit-learn's `Pipeline` gives the first term only, so that its log-densities are
    those of the transformed rows and cannot be compared between transformers.

    Parameters
    ----------
    steps : list of (str, object)
        Names and steps. The last one is a density estimator with `score_samples`, such as
        `KernelDensity`, `GaussianMixture` or an estimator of this package; the others are
        transformers, "passthrough" or None (see Notes).
    transform_input : list of str, default=None
        See `sklearn.pipeline.Pipeline`.
    memory : str or object with the joblib.Memory interface, default=None
        Where to cache fitted transformers.
    verbose : bool, default=False
        Whether to print the time of each step.

    Attributes
    ----------
    column_names_ : list of str
        Names of the columns seen in `fit`, or x0, x1, ... if they had none.
    named_steps : Bunch
        The steps by name.
    n_features_in_ : int
        Number of columns seen in fit, as the first step says.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, as the first step says.

    Raises
    ------
    ValueError, TypeError
        In `fit`, before the last step is trained, by name of the step, if a transformer
        is not known, or would lose mass, dimensions or columns.

    See Also
    --------
    make_density_pipeline : The same without naming the steps.
    skdiffusion.transformers : Maps of bounded and skewed columns.

    Notes
    -----
    Known transformers, with the conditions under which they are accepted:

    ======================================  =========================================
    StandardScaler, RobustScaler            always; a constant column is not scaled
    MinMaxScaler, MaxAbsScaler              clip=False
    PowerTransformer                        fitted lambdas in [0, 2] (Yeo-Johnson) or
                                            0 (Box-Cox), where the map is onto the line;
                                            others if standardize=True and the images
                                            end 10 standard deviations or more away
    QuantileTransformer                     output_distribution="normal", no repeated
                                            quantiles; see below
    PCA                                     all components are kept; with whiten=True,
                                            no variance is zero
    FunctionTransformer                     the identity; for others use
                                            `MonotoneTransformer`
    LogTransformer, LogitTransformer,       always
    MonotoneTransformer
    ColumnTransformer                       each column is taken by one part, of this list
    Pipeline                                of transformers of this list
    ======================================  =========================================

    Any other transformer is accepted if it has `inverse_transform(Z)` and
    `log_abs_det_jacobian(X)`, which returns log \|det J\| of each row, -inf for rows that
    cannot be transformed. Subclasses of the classes above must have these methods, too.

    Rows outside the support, such as negative values of a `LogTransformer`, have
    log-density -inf. In `fit` they are an error.

    `QuantileTransformer` moves the smallest and the largest row of training to -5.2 and
    5.2 and cuts off everything beyond. Rows outside the range of training therefore have
    log-density -inf, the mass that the last step has beyond 5.2 is lost (of n rows and
    `KernelDensity` about 1 / n for each column, half a kernel at each end), and samples
    from there lie on the smallest and largest row. Near the ends of the range the density
    is not to be trusted.

    Examples
    --------
    A normal distribution of the logarithm is the log-normal distribution, in the units of
    the rows:

    >>> import numpy as np
    >>> from scipy import stats
    >>> from sklearn.mixture import GaussianMixture
    >>> from skdiffusion.pipeline import make_density_pipeline
    >>> from skdiffusion.transformers import LogTransformer
    >>> X = np.random.RandomState(0).lognormal(3, 0.5, size=(1000, 1))
    >>> density = make_density_pipeline(LogTransformer(), GaussianMixture()).fit(X)
    >>> density.score(X)
    -3.690...
    >>> stats.lognorm(0.5, scale=np.exp(3)).logpdf(X).mean()
    np.float64(-3.69...)
    >>> density.sample(2, random_state=0).shape
    (2, 1)
    """

    def score_samples(self, X):
        """Log-density of each row, in the units of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats; -inf for rows outside the support of the transformers.
        """
        check_is_fitted(self)
        self._refuse(refusal_before)
        X = X if hasattr(X, "shape") else np.asarray(X)
        log_density, inside, Z = push_forward(self._transformers(), X)
        if len(inside):
            log_density[inside] += self.steps[-1][1].score_samples(Z)
        return log_density

    def score(self, X, y=None, sample_weight=None):
        """Mean log-density of the rows, whatever `score` of the last step is.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.
        y : None
            Ignored; present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the mean.

        Returns
        -------
        score : float
            In nats per row.
        """
        return mean_log_density(self, X, sample_weight=sample_weight)

    @available_if(_final_step_has("sample"))
    def sample(self, n_samples=1, random_state=None, *, as_frame=False):
        """Draw rows from the fitted density.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Source of randomness of this call; with None every call differs, whatever
            the `random_state` of the last step is.
        as_frame : bool, default=False
            Whether to return a pandas DataFrame, with the names of the columns seen in
            `fit`, or x0, x1, ... if they had none.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.
        """
        check_is_fitted(self)
        self._refuse(refusal_before)
        check_integer("n_samples", n_samples, low=1)
        check_boolean("as_frame", as_frame)
        Z = draw(self.steps[-1][1], n_samples, random_state)
        X = pull_back(self._transformers(), Z)
        return to_frame(X, self.column_names_) if as_frame else X

    @available_if(_final_step_has("to_normal"))
    def to_normal(self, X):
        """Coordinates in which the density is standard normal, see the last step.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features)
            Standard normal if X follows the density.

        Raises
        ------
        ValueError
            If rows lie outside the support of the transformers.
        """
        check_is_fitted(self)
        self._refuse(refusal_before)
        X = X if hasattr(X, "shape") else np.asarray(X)
        _, inside, Z = push_forward(self._transformers(), X)
        if len(inside) < len(X):
            raise ValueError(
                f"{len(X) - len(inside)} of {len(X)} rows lie outside the support of the "
                "transformers, where there are no such coordinates; leave them out."
            )
        return self.steps[-1][1].to_normal(Z)

    def _fit(self, X, *args, **kwargs):
        """Fit the transformers; refuse some before, others after it."""
        self._validate_steps()
        self._refuse_final_step()
        self._refuse(refusal_before)
        Z = super()._fit(X, *args, **kwargs)
        self._refuse(refusal_after)
        if np.shape(Z) != np.shape(X):
            raise ValueError(
                f"the transformers turn rows of shape {np.shape(X)} into {np.shape(Z)}; "
                "a density of the rows needs as many rows and columns as there are."
            )
        self.column_names_ = _column_names(X)
        return Z

    def _transformers(self) -> list:
        return [transformer for _, transformer in self._named_transformers()]

    def _named_transformers(self) -> list:
        return acting_steps(self)[:-1]

    def _refuse(self, refusal) -> None:
        reason = first_refusal(self._named_transformers(), refusal)
        if reason:
            raise ValueError(f"DensityPipeline cannot use the step {reason}.")

    def _refuse_final_step(self) -> None:
        name, final = self.steps[-1]
        if not hasattr(final, "score_samples"):
            wrong = "has no score_samples"
        elif is_outlier_detector(final):
            wrong = "is an outlier detector, whose score_samples gives no log-densities"
        else:
            return
        raise TypeError(
            "the last step of a DensityPipeline must be a density estimator, but "
            f"{name!r} ({final!r}) {wrong}."
        )


def make_density_pipeline(*steps, memory=None, verbose=False) -> DensityPipeline:
    """Density pipeline whose steps are named by their classes.

    Parameters
    ----------
    *steps : objects
        Transformers and, last, a density estimator.
    memory : str or object with the joblib.Memory interface, default=None
        Where to cache fitted transformers.
    verbose : bool, default=False
        Whether to print the time of each step.

    Returns
    -------
    DensityPipeline

    Examples
    --------
    >>> from sklearn.neighbors import KernelDensity
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skdiffusion.pipeline import make_density_pipeline
    >>> make_density_pipeline(StandardScaler(), KernelDensity())
    DensityPipeline(steps=[('standardscaler', StandardScaler()),
                           ('kerneldensity', KernelDensity())])
    """
    return DensityPipeline(make_pipeline(*steps).steps, memory=memory, verbose=verbose)


def _column_names(X) -> list[str]:
    names = list(getattr(X, "columns", []))
    if names and all(isinstance(name, str) for name in names):
        return names
    return [f"x{i}" for i in range(np.shape(X)[-1])]

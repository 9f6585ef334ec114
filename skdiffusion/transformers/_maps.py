"""The maps: logarithm, logit, and any monotone function with its derivative."""

import numpy as np
from scipy.special import expit

from ._columns import BaseColumnTransformer

# largest median error of a given log-derivative against differences of the function
DERIVATIVE_ERROR = 0.01


class LogTransformer(BaseColumnTransformer):
    """Logarithm of columns that are bounded from below.

    Maps x > low to log(x - low), which is onto the whole line. It is the Box-Cox
    transformation with lambda = 0, the only one that is.

    Parameters
    ----------
    columns : None, str, int or list of them, default=None
        Names or positions of the columns to transform; None means all.
    low : float or array-like of shape (n_chosen,), default=0.0
        Lower bound of each chosen column, not reached, in its units.

    Attributes
    ----------
    columns_ : ndarray of shape (n_chosen,)
        Positions of the chosen columns.
    low_ : ndarray of shape (n_chosen,)
        Their lower bounds.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had string names.

    See Also
    --------
    LogitTransformer : Columns that are bounded from both sides.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffusion.transformers import LogTransformer
    >>> X = np.array([[1.0, -3.0], [np.e, 5.0]])
    >>> log = LogTransformer(columns=[0]).fit(X)
    >>> log.transform(X)
    array([[ 0., -3.],
           [ 1.,  5.]])
    >>> log.log_abs_det_jacobian(X)
    array([ 0., -1.])
    """

    def __init__(self, columns=None, *, low=0.0):
        self.columns = columns
        self.low = low

    def _fit_columns(self, X):
        self.low_ = _bounds("low", self.low, len(self.columns_))
        self._refuse_outside(X)

    def _inside(self, x):
        return x > self.low_

    def _forward(self, x):
        return np.log(x - self.low_)

    def _inverse(self, z):
        # small exponentials vanish beside a bound that is not zero
        return np.maximum(self.low_ + np.exp(z), np.nextafter(self.low_, np.inf))

    def _log_slope(self, x):
        return -np.log(x - self.low_)

    def _expected(self, k):
        return f"greater than {self.low_[k]:g}"


class LogitTransformer(BaseColumnTransformer):
    """Logit of columns that are bounded from both sides.

    Maps low < x < high to log(x - low) - log(high - x), which is onto the whole line.

    Parameters
    ----------
    low, high : float or array-like of shape (n_chosen,), default=0.0 and 1.0
        Bounds of each chosen column, not reached, in its units.
    columns : None, str, int or list of them, default=None
        Names or positions of the columns to transform; None means all.

    Attributes
    ----------
    columns_ : ndarray of shape (n_chosen,)
        Positions of the chosen columns.
    low_, high_ : ndarray of shape (n_chosen,)
        Their bounds.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had string names.

    See Also
    --------
    LogTransformer : Columns that are bounded from below only.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffusion.transformers import LogitTransformer
    >>> X = np.array([[25.0], [50.0]])
    >>> logit = LogitTransformer(0, 100).fit(X)
    >>> logit.transform(X).round(3)
    array([[-1.099],
           [ 0.   ]])
    >>> logit.log_abs_det_jacobian(X).round(3)
    array([-2.931, -3.219])
    """

    def __init__(self, low=0.0, high=1.0, *, columns=None):
        self.low = low
        self.high = high
        self.columns = columns

    def _fit_columns(self, X):
        self.low_ = _bounds("low", self.low, len(self.columns_))
        self.high_ = _bounds("high", self.high, len(self.columns_))
        if not (self.low_ < self.high_).all():
            raise ValueError(
                f"low must be less than high, got low={self.low!r} and "
                f"high={self.high!r}."
            )
        self._refuse_outside(X)

    def _inside(self, x):
        return (self.low_ < x) & (x < self.high_)

    def _forward(self, x):
        return np.log(x - self.low_) - np.log(self.high_ - x)

    def _inverse(self, z):
        width = self.high_ - self.low_
        # measured from the nearer bound, where the differences are small
        x = np.where(z < 0, self.low_ + width * expit(z), self.high_ - width * expit(-z))
        lowest, highest = (
            np.nextafter(self.low_, np.inf),
            np.nextafter(self.high_, -np.inf),
        )
        return np.clip(x, lowest, highest)

    def _log_slope(self, x):
        width = self.high_ - self.low_
        return np.log(width) - np.log(x - self.low_) - np.log(self.high_ - x)

    def _expected(self, k):
        return f"between {self.low_[k]:g} and {self.high_[k]:g}, both excluded"


class MonotoneTransformer(BaseColumnTransformer):
    """A monotone function of each column, given with its inverse and its derivative.

    Parameters
    ----------
    func : callable
        Maps an array of shape (n_samples, n_chosen) to one of the same shape, each value
        by itself. It must be monotone and map its support, an interval, onto the whole
        line: otherwise a density of the images loses mass.
    inverse_func : callable
        Its inverse.
    log_slope : callable
        Logarithm of the absolute derivative of `func` at each value, in the same shape;
        -inf or NaN outside the support.
    columns : None, str, int or list of them, default=None
        Names or positions of the columns to transform; None means all.

    Attributes
    ----------
    columns_ : ndarray of shape (n_chosen,)
        Positions of the chosen columns.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X had string names.

    Notes
    -----
    `fit` compares `inverse_func` and `log_slope` with `func` at the rows and raises
    if they do not belong together. Functions with a name can be pickled, lambdas cannot.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffusion.transformers import MonotoneTransformer
    >>> def log_slope_of_arcsinh(x):
    ...     return -np.log(np.hypot(x, 1.0))
    >>> X = np.linspace(-50, 50, 21).reshape(-1, 1)
    >>> bend = MonotoneTransformer(np.arcsinh, np.sinh, log_slope_of_arcsinh).fit(X)
    >>> bend.transform(X[:1]).round(3)
    array([[-4.605]])
    """

    def __init__(self, func, inverse_func, log_slope, *, columns=None):
        self.func = func
        self.inverse_func = inverse_func
        self.log_slope = log_slope
        self.columns = columns

    def _fit_columns(self, X):
        for name in ("func", "inverse_func", "log_slope"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{name} must be callable, got {getattr(self, name)!r}.")
        self._refuse_outside(X)
        x = np.sort(X[:, self.columns_], axis=0)
        self._check_inverse(x)
        self._check_slope(x)

    def _check_inverse(self, x: np.ndarray) -> None:
        """Raise if the rows do not come back."""
        back = self._inverse(self._forward(x))
        wrong = ~np.isclose(back, x, rtol=1e-4, atol=1e-6 * np.ptp(x, axis=0))
        if wrong.any():
            raise ValueError(
                f"inverse_func is not the inverse of func: it takes {x[wrong][0]:g} to "
                f"{back[wrong][0]:g}. Expected the same value; func must be monotone."
            )

    def _check_slope(self, x: np.ndarray) -> None:
        """Raise if the derivative is not that of small differences, in most places."""
        # a step towards the next row stays inside the support
        ends = x[:-1], x[:-1] + 1e-3 * np.diff(x, axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = (self._forward(ends[1]) - self._forward(ends[0])) / (
                ends[1] - ends[0]
            )
            error = self._log_slope(sum(ends) / 2) - np.log(np.abs(slope))
        error = np.abs(error[np.isfinite(error)])
        if error.size and not np.median(error) <= DERIVATIVE_ERROR:
            raise ValueError(
                "log_slope is not the logarithm of the derivative of func: the median "
                f"difference from small steps of func is {np.median(error):.3g}. It must "
                "not include signs, and is the natural logarithm."
            )

    def _inside(self, x):
        with np.errstate(all="ignore"):
            return self._log_slope(x) > -np.inf

    def _forward(self, x):
        return self._apply("func", x)

    def _inverse(self, z):
        return self._apply("inverse_func", z)

    def _log_slope(self, x):
        return self._apply("log_slope", x)

    def _expected(self, k):
        return "where log_slope is finite"

    def _apply(self, name: str, x: np.ndarray) -> np.ndarray:
        values = np.asarray(getattr(self, name)(x), dtype=np.float64)
        if values.shape != x.shape:
            raise ValueError(
                f"{name} must return an array of the shape it is given, {x.shape}, got "
                f"{values.shape}."
            )
        return values


def _bounds(name: str, given, n_chosen: int) -> np.ndarray:
    """Bounds of all chosen columns, from one number or one for each."""
    bounds = np.asarray(given, dtype=np.float64)
    if bounds.shape not in {(), (n_chosen,)} or not np.isfinite(bounds).all():
        raise ValueError(
            f"{name} must be a finite number, or one for each of the {n_chosen} chosen "
            f"columns, got {given!r}."
        )
    return np.broadcast_to(bounds, (n_chosen,)).copy()

r"""Whether a density integrates to one: quadrature in few columns, else random points.

Both write the integral of a density p as a mean over points of a proposal q,

.. math:: \int p(x)\, dx = E_q\left[ \frac{p(x)}{q(x)} \right],

with q heavy-tailed, so that p / q stays bounded in the tails. In one or two columns the
points are a grid in the distribution function of q, otherwise they are drawn.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array

from .._estimators import check_answers, draw, log_density, named
from .._validation import check_integer, effective_size
from .._warnings import warn_user

MAX_GRID_COLUMNS = 2
REFERENCE_ROWS = 2000
# as heavy as keeps the variance of the weights finite for tails that are not normal
DEGREES_OF_FREEDOM = 4
# rows for each component of the proposal, and the most components
ROWS_PER_COMPONENT, MAX_COMPONENTS = 50, 20
# variance added to standardised columns: copies of a column leave q a density
RIDGE = 1e-6
# with fewer, the error was seen to be several times too small
MIN_EFFECTIVE_SIZE = 20
FEW_POINTS = (
    "hardly any point met the density (effective size {:.1f} of {}), so neither the "
    "integral nor its error can be trusted. Raise n_points, or pass rows X that lie "
    "where the density has its mass."
)
# standard deviations beyond which a far row does not set the scale of the grid
FAR = 3.0


@dataclass(frozen=True)
class Normalization:
    """Estimate of the integral of a density.

    Attributes
    ----------
    integral : float
        1 for a normalised density.
    error : float
        For "quadrature" the largest change if only half of the grid is used along some
        columns: generous for a smooth density, the size of a standard error for one with
        peaks between the points. For "importance sampling" the standard error.
    method : str
        "quadrature" or "importance sampling".
    n_points : int
        At how many rows the density was evaluated.
    effective_size : float
        Kish's effective number of points, (sum w)^2 / sum w^2 with w = p / q. If it is
        small, the standard error is itself uncertain.
    """

    integral: float
    error: float
    method: str
    n_points: int
    effective_size: float

    def __str__(self) -> str:
        size = f", effective size {self.effective_size:.0f}"
        by = f"{self.method}, {self.n_points} points"
        sampled = self.method != "quadrature"
        return f"integral {self.integral:.4f} +- {self.error:.1g} ({by}{sampled * size})"


def normalization(
    estimator, X=None, *, n_points=2**14, random_state=None
) -> Normalization:
    """Integral of a density over all of space, with its error.

    One or two columns are integrated by the midpoint rule on a grid in the distribution
    function of independent Cauchy distributions, after a linear map that takes the
    middle of the reference rows to standard units. More columns are integrated by
    importance sampling [1]_ from a mixture of multivariate Student t distributions with
    4 degrees of freedom, whose places and shapes are those of a `GaussianMixture` with
    full covariances fitted to the reference rows.

    Parameters
    ----------
    estimator : object with `score_samples`
        Fitted density estimator. A plain `Pipeline` gives log-densities of transformed
        rows, whose integral is not 1; a `DensityPipeline` gives those of the rows.
    X : array-like of shape (n_samples, n_features), default=None
        Reference rows that say where the density has its mass, such as the training
        rows (2000 of them are used). None draws 2000 rows with `estimator.sample`, which
        is best where there is such a method. Mass far from all of them is missed.
    n_points : int, default=16384
        Number of points; on a grid of two columns about the square root of it along each.
    random_state : int, RandomState instance or None, default=None
        Source of randomness of this call.

    Returns
    -------
    Normalization

    Raises
    ------
    TypeError
        If the estimator has no `score_samples`, or no `sample` and `X` is None.

    Warns
    -----
    UserWarning
        If so few points met the density that its error cannot be trusted.

    References
    ----------
    .. [1] A. B. Owen, "Monte Carlo theory, methods and examples", chapter 9, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KernelDensity
    >>> from skdiffusion.metrics import normalization
    >>> X = np.random.RandomState(0).standard_normal((200, 2))
    >>> print(normalization(KernelDensity(bandwidth=0.5).fit(X), X))
    integral 1.0000 +- ... (quadrature, 16384 points)
    """
    check_integer("n_points", n_points, low=64)
    methods = ("score_samples",) if X is not None else ("score_samples", "sample")
    check_answers(estimator, *methods, purpose="normalization")
    random_state = check_random_state(random_state)
    rows = _reference_rows(estimator, X, random_state)
    if rows.shape[1] <= MAX_GRID_COLUMNS:
        return _by_quadrature(estimator, rows, n_points)
    return _by_importance(estimator, rows, n_points, random_state)


def _reference_rows(estimator, X, random_state) -> np.ndarray:
    if X is None:
        return draw(estimator, REFERENCE_ROWS, random_state)
    rows = check_array(X, dtype=np.float64, ensure_min_samples=2)
    chosen = random_state.permutation(len(rows))[:REFERENCE_ROWS]
    return rows[chosen]


def _by_quadrature(estimator, rows, n_points: int) -> Normalization:
    d = rows.shape[1]
    centre, root = _frame_of(rows)
    # even, so that every second point is a grid, too
    n = 2 * max(4, round(n_points ** (1 / d) / 2))
    u = (np.arange(n) + 0.5) / n
    w = np.stack(np.meshgrid(*[stats.cauchy.ppf(u)] * d, indexing="ij"), axis=-1)
    w = w.reshape(-1, d)
    log_q = stats.cauchy.logpdf(w).sum(axis=1) - np.log(np.diag(root)).sum()
    log_p = log_density(estimator, named(estimator, centre + w @ root.T))
    ratio = np.exp(log_p - log_q)
    # mean over each of the 2^d interleaved grids of half as many points a side
    coarse = ratio.reshape([n // 2, 2] * d).mean(axis=tuple(range(0, 2 * d, 2)))
    integral = ratio.mean()
    error = np.abs(coarse - integral).max()
    return _made(integral, error, "quadrature", ratio)


def _by_importance(estimator, rows, n_points, random_state) -> Normalization:
    proposal = Proposal.fit(rows, random_state)
    points = proposal.draw(n_points, random_state)
    log_p = log_density(estimator, named(estimator, points))
    ratio = np.exp(log_p - proposal.log_density(points))
    error = ratio.std(ddof=1) / np.sqrt(n_points)
    return _made(ratio.mean(), error, "importance sampling", ratio)


def _made(integral, error, method: str, ratio: np.ndarray) -> Normalization:
    size = effective_size(ratio) if ratio.any() else 0.0
    if size < MIN_EFFECTIVE_SIZE:
        warn_user(FEW_POINTS.format(size, len(ratio)))
    return Normalization(float(integral), float(error), method, len(ratio), size)


def _frame_of(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and lower triangular root of the covariance of the middle of the rows."""
    centre = np.median(rows, axis=0)
    scale = stats.iqr(rows, axis=0, scale="normal")
    scale = np.where(scale > 0, scale, rows.std(axis=0))
    scale = np.where(scale > 0, scale, 1.0)
    z = np.clip((rows - centre) / scale, -FAR, FAR)
    covariance = np.atleast_2d(np.cov(z, rowvar=False)) + RIDGE * np.eye(len(centre))
    return centre, scale[:, None] * linalg.cholesky(covariance, lower=True)


@dataclass(frozen=True)
class Proposal:
    """Mixture of multivariate Student t distributions.

    Attributes
    ----------
    parts : list of scipy.stats frozen multivariate_t
    weights : ndarray of shape (n_parts,)
    centre, scale : ndarray of shape (n_features,)
        Units in which the parts are.
    """

    parts: list
    weights: np.ndarray
    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, rows: np.ndarray, random_state) -> "Proposal":
        """Places and shapes of the normal distributions of a `GaussianMixture`."""
        centre, scale = rows.mean(axis=0), rows.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        n = min(MAX_COMPONENTS, max(1, len(rows) // ROWS_PER_COMPONENT))
        mixture = GaussianMixture(n, reg_covar=RIDGE, random_state=random_state)
        with warnings.catch_warnings():
            # a proposal need not be the best fit
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit((rows - centre) / scale)
        parts = [
            stats.multivariate_t(m, c, DEGREES_OF_FREEDOM)
            for m, c in zip(mixture.means_, mixture.covariances_, strict=True)
        ]
        return cls(parts, mixture.weights_, centre, scale)

    def draw(self, n: int, random_state) -> np.ndarray:
        """Rows of the mixture, in data units."""
        counts = random_state.multinomial(n, self.weights)
        rows = [
            part.rvs(count, random_state=random_state).reshape(count, -1)
            for part, count in zip(self.parts, counts, strict=True)
            if count
        ]
        return self.centre + self.scale * np.concatenate(rows)

    def log_density(self, rows: np.ndarray) -> np.ndarray:
        """Log-density of rows in data units."""
        z = (rows - self.centre) / self.scale
        terms = np.array([part.logpdf(z) for part in self.parts])
        found = np.logaddexp.reduce(terms + np.log(self.weights)[:, None], axis=0)
        return found - np.log(self.scale).sum()

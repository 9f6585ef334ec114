r"""Normal scores: columns mapped to where their smoothed distribution is standard normal.

.. math:: z = \Phi^{-1}(F_h(u)), \qquad F_h(u) = \sum_i w_i\, \Phi((u - u_i) / h),

where u are the columns as `InverseSinh` leaves them. The map is kept as a monotone cubic
curve through a few dozen of its points, with straight ends, so it maps the line onto the
line and has a continuous slope. Plain numpy and scipy.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator
from scipy.special import log_ndtr, logsumexp, ndtr, ndtri, ndtri_exp

from ._validation import effective_size
from .margins import InverseSinh, alike

# width of the kernels in multiples of Silverman's, which is for densities: what is
# smoothed here is only the scale on which a density is learned
WIDTH = 2.0
# points of a curve, evenly spaced in normal scores, and kernels of its distribution
MAX_KNOTS, MAX_KERNELS = 65, 2000
# least distance of these points in widths of kernels
KNOTS_APART = 0.25
# share of the standard deviation below which the middle half counts as a spike
SPIKE = 0.1
# least width of kernels, and largest deviation of scores (0.67 to 0.97 on real tables):
# values too rare for the kernels, or of little weight, would come to lie far out
LEAST_WIDTH, MOST_DEVIATION = 1e-3, 1.05
# halvings of an interval that find a value to the last digits
N_HALVINGS = 60


@dataclass(frozen=True)
class Curve:
    """Monotone cubic curve through given points, straight beyond them.

    Attributes
    ----------
    x, y : ndarray of shape (n_knots,)
        Both ascending.
    """

    x: np.ndarray
    y: np.ndarray

    @cached_property
    def _inside(self) -> CubicHermiteSpline:
        slope = PchipInterpolator(self.x, self.y)(self.x, 1)
        # those at the ends may be zero; of secants the curve stays monotone
        secants = np.diff(self.y) / np.diff(self.x)
        slope[[0, -1]] = secants[[0, -1]]
        return CubicHermiteSpline(self.x, self.y, slope)

    def __getstate__(self):
        return {"x": self.x, "y": self.y}

    def value(self, x: np.ndarray) -> np.ndarray:
        """Height of the curve."""
        nearest = np.clip(x, self.x[0], self.x[-1])
        return self._inside(nearest) + self.slope(nearest) * (x - nearest)

    def slope(self, x: np.ndarray) -> np.ndarray:
        """First derivative, positive."""
        return self._inside(np.clip(x, self.x[0], self.x[-1]), 1)

    def bend(self, x: np.ndarray) -> np.ndarray:
        """Second derivative, zero beyond the ends."""
        outside = (x < self.x[0]) | (x > self.x[-1])
        return np.where(outside, 0.0, self._inside(x, 2))

    def inverse(self, y: np.ndarray) -> np.ndarray:
        """Where the curve has a height."""
        nearest = np.clip(y, self.y[0], self.y[-1])
        i = np.clip(np.searchsorted(self.y, nearest) - 1, 0, len(self.x) - 2)
        low, high = self.x[i], self.x[i + 1]
        for _ in range(N_HALVINGS):
            middle = 0.5 * (low + high)
            beyond = self._inside(middle) > nearest
            low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
        return 0.5 * (low + high) + (y - nearest) / self.slope(low)


@dataclass(frozen=True)
class NormalScores:
    """Columns as `InverseSinh` leaves them, then their normal scores.

    Attributes
    ----------
    first : InverseSinh
        Map of the columns to standard units.
    curves : tuple of Curve
        Normal scores of each column in these units.
    """

    first: InverseSinh
    curves: tuple[Curve, ...]

    def __repr__(self) -> str:
        """Without the points of all curves."""
        return f"NormalScores of {len(self.curves)} columns"

    @property
    def constant(self) -> np.ndarray:
        """Columns without variation beyond rounding, which have no scores."""
        return self.first.constant

    @classmethod
    def fit(cls, X: np.ndarray, sample_weight: np.ndarray, labels=None) -> "NormalScores":
        """Smooth the distribution of each column; those with equal labels get one map."""
        first = InverseSinh.fit(X, sample_weight, labels)
        U, curves = first.forward_training(X), {}
        for columns in alike(X.shape[1], labels).values():
            weight = np.repeat(sample_weight, len(columns))
            curve = _normal_scores(U[:, columns].ravel(), weight)
            curves |= dict.fromkeys(columns, curve)
        return cls(first, tuple(curves[j] for j in range(X.shape[1])))

    def forward(self, X: np.ndarray) -> np.ndarray:
        """Normal scores of rows."""
        return self._apply("value", self.first.forward(X))

    def forward_training(self, X: np.ndarray) -> np.ndarray:
        """Normal scores of training rows, constant columns free of rounding noise."""
        return self._apply("value", self.first.forward_training(X))

    def inverse(self, Z: np.ndarray) -> np.ndarray:
        """Rows in data units."""
        return self.first.inverse(self._apply("inverse", Z))

    def log_derivative(self, X: np.ndarray) -> np.ndarray:
        """Sum over columns of log |dz_j / dx_j| at each row, shape (n_samples,)."""
        return self.log_derivatives(X).sum(axis=1)

    def log_derivatives(self, X: np.ndarray) -> np.ndarray:
        """Log |dz_j / dx_j| of each column at each row, shape of X."""
        slope = self._apply("slope", self.first.forward(X))
        return self.first.log_derivatives(X) + np.log(slope)

    def pull_back_gradient(self, X: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Gradient of the log-density in data units from that in z."""
        U = self.first.forward(X)
        slope, bend = self._apply("slope", U), self._apply("bend", U)
        return self.first.pull_back_gradient(X, slope * gradient + bend / slope)

    def _apply(self, name: str, U: np.ndarray) -> np.ndarray:
        columns = zip(self.curves, U.T, strict=True)
        return np.column_stack([getattr(curve, name)(u) for curve, u in columns])


def _normal_scores(u: np.ndarray, weight: np.ndarray) -> Curve:
    """Curve of the normal scores of a column in standard units.

    The identity if the column is constant, or but for values too rare for a distribution.
    """
    identity = Curve(np.array([-1.0, 1.0]), np.array([-1.0, 1.0]))
    centres = _between_rows(u, weight, _levels(min(len(u), MAX_KERNELS)))
    width = WIDTH * _silverman(centres, effective_size(weight))
    if width < LEAST_WIDTH:
        return identity
    ends = ndtri(_levels(len(centres))[[0, -1]])
    inner = _between_rows(u, weight, ndtr(np.linspace(*ends, MAX_KNOTS)))
    knots = _apart(np.r_[u.min(), inner, u.max()], KNOTS_APART * width)
    curve = Curve(knots, _scores_of(knots, centres, width))
    deviation = np.average(curve.value(u) ** 2, weights=weight) ** 0.5
    return curve if deviation < MOST_DEVIATION else identity


def _apart(points: np.ndarray, least: float) -> np.ndarray:
    """First and last of ascending points, and others at least so far from each other.

    Points much closer than the kernels are wide, as ties and rounding make them, say the
    same twice.
    """
    kept = [points[0]]
    for point in points[1:-1]:
        if point - kept[-1] >= least:
            kept.append(point)
    if len(kept) > 1 and points[-1] - kept[-1] < least:
        kept.pop()
    return np.array([*kept, points[-1]])


def _scores_of(u: np.ndarray, centres: np.ndarray, width: float) -> np.ndarray:
    """Normal scores from the nearer tail, where probabilities keep their digits."""
    away = (u[:, None] - centres) / width
    below, above = (
        logsumexp(log_ndtr(sign * away), axis=1) - np.log(len(centres))
        for sign in (1, -1)
    )
    return np.where(below < above, ndtri_exp(below), -ndtri_exp(above))


def _levels(n: int) -> np.ndarray:
    return (np.arange(n) + 0.5) / n


def _between_rows(u: np.ndarray, weight: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Weighted quantiles, between rows on straight lines."""
    order = np.argsort(u)
    reached = np.cumsum(weight[order]) - 0.5 * weight[order]
    return np.interp(levels, reached / weight.sum(), u[order])


def _silverman(u: np.ndarray, n: float) -> float:
    """Width of kernels by Silverman's rule, for n rows like these.

    A middle half that is all but one value says nothing of the width of the rest.
    """
    low, high = np.quantile(u, [0.25, 0.75])
    middle, deviation = (high - low) / 1.349, u.std()
    spread = min(deviation, middle) if middle > SPIKE * deviation else deviation
    return 0.9 * spread * n**-0.2

r"""Mixtures of normal distributions of families, and what they say of one column.

A mixture of all columns of a family, with weights :math:`\pi_k`, means and covariances,
is a mixture of linear regressions of one column on the others:

.. math:: p(z_j \mid c) = \sum_k w_k(c)\, N(z_j;\ a_k + b_k \cdot c,\ v_k), \qquad
    w_k(c) \propto \pi_k\, N(c;\ m_k, S_k).

It is a coarse model, but with few rows a steady one. Plain numpy.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

N_COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
# numbers of components tried without gain before the search ends
PATIENCE = 2
# rows beyond these do not change a mixture much, but cost time
MAX_ROWS = 5000
# least variance in any direction, in standard units
RIDGE = 1e-6
# a covariance of more columns has more entries than most tables have rows
MAX_FAMILY = 40

Family = tuple[int, ...]
Weighted = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Regressions:
    """A mixture of linear regressions of one column on its context of C columns.

    Attributes
    ----------
    log_weight : ndarray of shape (n_components,)
        Logarithm of the weight and of the determinant of `whitening`.
    centre : ndarray of shape (n_components, C)
        Means of the context.
    whitening : ndarray of shape (n_components, C, C)
        Inverse Cholesky factors of the covariances of the context.
    slope : ndarray of shape (n_components, C)
    intercept, variance : ndarray of shape (n_components,)
    """

    log_weight: np.ndarray
    centre: np.ndarray
    whitening: np.ndarray
    slope: np.ndarray
    intercept: np.ndarray
    variance: np.ndarray

    def log_density(self, own: np.ndarray, context: np.ndarray, noise=0.0):
        """Log-density of the column given its context, shape (n_samples,).

        Parameters
        ----------
        own : ndarray of shape (n_samples, 1)
        context : ndarray of shape (n_samples, C)
        noise : float or ndarray of shape (n_components,)
            Variance of independent noise in the column.
        """
        away = np.einsum("kij,nkj->nki", self.whitening, context[:, None] - self.centre)
        log_weight = self.log_weight - 0.5 * (away**2).sum(axis=2)
        mean = self.intercept + context @ self.slope.T
        terms = norm.logpdf(own, mean, np.sqrt(self.variance + noise))
        joint = logsumexp(log_weight + terms, axis=1)
        return joint - logsumexp(log_weight, axis=1)


def fit_mixtures(
    splits: Sequence[tuple[Weighted, Weighted]], *, max_components: int, seed: int
) -> list[GaussianMixture]:
    """Mixtures of as many components as predict held-out rows best, one of each split.

    A few numbers are tried in ascending order, the largest last, until two in a row gain
    nothing.

    Parameters
    ----------
    splits : sequence of pair
        Training and held-out rows, each a pair of ndarray of shape (n_samples, d) and
        (n_samples,): rows in standard units and their positive weights. If training rows
        weigh differently, those to fit to are drawn by weight.
    max_components : int
        Largest number of components that is tried.
    seed : int
        Seed of the draws and of the first clusters.
    """
    samples = [_by_weight(*rows, np.random.default_rng(seed)) for rows, _ in splits]
    held_out = [rows for _, rows in splits]
    best, best_score, n_worse = None, -np.inf, 0
    limit = min(max_components, *map(len, samples))
    for k in (*(k for k in N_COMPONENTS if k < limit), limit):
        mixtures = [_expectation_maximization(sample, k, seed) for sample in samples]
        score = sum(map(_mean_log_density, mixtures, held_out))
        if score > best_score:
            best, best_score, n_worse = mixtures, score, 0
        else:
            n_worse += 1
        if n_worse == PATIENCE:
            break
    return best


def _mean_log_density(mixture: GaussianMixture, held_out: Weighted) -> float:
    rows, weight = held_out
    return np.average(mixture.score_samples(rows), weights=weight)


def refitted(
    mixture: GaussianMixture, rows: np.ndarray, weight: np.ndarray, *, seed: int
) -> GaussianMixture:
    """Mixture of as many components, from where another one is, fitted to other rows.

    Parameters
    ----------
    mixture : GaussianMixture
        Start of the steps.
    rows, weight : ndarray of shape (n_samples, d) and (n_samples,)
        In standard units; drawn by weight if they weigh differently.
    seed : int
        Seed of the draws.
    """
    start = {
        f"{name}_init": getattr(mixture, f"{name}_")
        for name in ("weights", "means", "precisions")
    }
    sample = _by_weight(rows, weight, np.random.default_rng(seed))
    return _expectation_maximization(sample, len(mixture.weights_), seed, **start)


def _by_weight(rows, weight, random) -> np.ndarray:
    """At most `MAX_ROWS` rows, each as often on average as its weight says."""
    n = min(len(rows), MAX_ROWS)
    if n == len(rows) and np.ptp(weight) == 0:
        return rows
    order = random.permutation(len(rows))
    reached = np.cumsum(weight[order]) / weight.sum()
    levels = (np.arange(n) + random.random()) / n
    return rows[order[np.minimum(np.searchsorted(reached, levels), len(rows) - 1)]]


def _expectation_maximization(rows, k: int, seed: int, **start) -> GaussianMixture:
    # with one thread sums do not depend on how many there are
    with threadpool_limits(1), warnings.catch_warnings():
        # ties make fewer clusters than asked for; what predicts held-out rows counts
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = GaussianMixture(k, reg_covar=RIDGE, random_state=seed, **start)
        return model.fit(rows)


def regressions(
    mixture: GaussianMixture, own: int, context: Sequence[int]
) -> Regressions:
    """What a mixture says of one of its columns given others of them."""
    c, (means, covariances) = list(context), (mixture.means_, mixture.covariances_)
    among, across = covariances[:, c][:, :, c], covariances[:, c, own]
    slope = np.linalg.solve(among, across[..., None])[..., 0]
    whitening = np.linalg.inv(np.linalg.cholesky(among))
    scale = np.diagonal(whitening, axis1=1, axis2=2)
    left = covariances[:, own, own] - (slope * across).sum(axis=1)
    return Regressions(
        log_weight=np.log(mixture.weights_) + np.log(scale).sum(axis=1),
        centre=means[:, c],
        whitening=whitening,
        slope=slope,
        intercept=means[:, own] - (slope * means[:, c]).sum(axis=1),
        variance=np.maximum(left, RIDGE),
    )


def family_regressions(
    families: Sequence[Family], mixtures: Mapping[Family, GaussianMixture]
) -> dict[Family, Regressions]:
    """What mixtures say of the first column of each family given the others.

    Parameters
    ----------
    families : sequence of tuple of int
        Columns, each followed by its context.
    mixtures : mapping of tuple of int to GaussianMixture
        Of the `largest` families; it describes those that lie in it, too.
    """
    found = {}
    for family in families:
        around = next(f for f in mixtures if set(family) <= set(f))
        own, *context = map(around.index, family)
        found[family] = regressions(mixtures[around], own, context)
    return found


def largest(families: Sequence[Family]) -> list[Family]:
    """Families that lie in no other, each once, with columns in ascending order."""
    found: list[set[int]] = []
    for family in sorted({frozenset(f) for f in families}, key=len, reverse=True):
        if not any(family <= other for other in found):
            found.append(set(family))
    return sorted(tuple(sorted(family)) for family in found)

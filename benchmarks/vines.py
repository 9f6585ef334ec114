"""Vine copulas with kernel-smoothed margins (needs pyvinecopulib).

A vine copula takes the density of the ranks apart into copulas of two columns; each is
independence or a local likelihood estimate, whichever has the better AIC. Margins are
kernel density estimates of single columns.
"""

import numpy as np
import pyvinecopulib as pv
import torch
from peers import BANDWIDTHS, Peer, in_words, searched
from scipy.special import ndtr
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.neighbors import KernelDensity

WIDE_SHARE, WIDE_SCALE = 0.01, 5.0
EDGE = 1e-10  # copulas are evaluated inside the open unit cube
N_KNOTS = 4000
CHUNK = 1000


class KernelMargin:
    """One-dimensional kernel estimate with its distribution function.

    One percent is a wide normal distribution, so that no value has zero density.
    """

    def fit(self, z, seed):
        """Choose the bandwidth by cross-validation."""
        z = z[:, None]
        search = searched(KernelDensity(), {"bandwidth": BANDWIDTHS}, z, seed)
        self.kernels_, self.settings_ = search.best_estimator_, search.best_params_
        self.rows_, self.bandwidth_ = z.ravel(), self.kernels_.bandwidth
        return self

    def log_density(self, z):
        """Log-density of each value."""
        near = np.log1p(-WIDE_SHARE) + self.kernels_.score_samples(z[:, None])
        return np.logaddexp(near, np.log(WIDE_SHARE) + norm.logpdf(z, 0, WIDE_SCALE))

    def cdf(self, z):
        """Distribution function, inside (0, 1)."""
        parts = (z[i : i + CHUNK, None] for i in range(0, len(z), CHUNK))
        near = np.concatenate(
            [ndtr((part - self.rows_) / self.bandwidth_).mean(axis=1) for part in parts]
        )
        u = (1 - WIDE_SHARE) * near + WIDE_SHARE * ndtr(z / WIDE_SCALE)
        return np.clip(u, EDGE, 1 - EDGE)

    def quantile(self, u):
        """Inverse of the distribution function, by interpolation."""
        dense = np.linspace(self.rows_.min() - 1, self.rows_.max() + 1, N_KNOTS)
        tail = WIDE_SCALE * norm.ppf(np.linspace(1e-5, 1 - 1e-5, N_KNOTS))
        knots = np.union1d(dense, tail)
        return np.interp(u, self.cdf(knots), knots)


class VineCopula(BaseEstimator):
    """Nonparametric vine copula of rows in the unit cube.

    Parameters
    ----------
    method : {"constant", "linear", "quadratic"}
        Polynomial of the local likelihood.
    """

    def __init__(self, method="constant"):
        self.method = method

    def fit(self, U, y=None):
        """Choose the vine by Kendall's tau, and each pair copula by AIC."""
        controls = pv.FitControlsVinecop(
            family_set=[pv.BicopFamily.indep, pv.BicopFamily.tll],
            nonparametric_method=self.method,
            num_threads=torch.get_num_threads(),
        )
        self.vine_ = pv.Vinecop.from_data(np.asfortranarray(U), controls=controls)
        return self

    def score_samples(self, U):
        """Log-density of the copula."""
        with np.errstate(divide="ignore"):
            return np.log(self.vine_.pdf(np.asfortranarray(U)))


class VinePeer(Peer):
    """Vine copula and kernel margins; bandwidths and polynomial by cross-validation."""

    def __init__(self, seed):
        self.seed = seed

    def _fit(self, Z):
        self.margins_ = [KernelMargin().fit(z, self.seed) for z in Z.T]
        methods = {"method": ["constant", "linear", "quadratic"]}
        search = searched(VineCopula(), methods, self._uniform(Z), self.seed, n_splits=3)
        self.copula_ = search.best_estimator_
        settings = [search.best_params_, *(margin.settings_ for margin in self.margins_)]
        self.chosen_ = in_words(settings)

    def _score(self, Z):
        margins = zip(self.margins_, Z.T, strict=True)
        logs = sum(margin.log_density(z) for margin, z in margins)
        return logs + self.copula_.score_samples(self._uniform(Z))

    def _sample(self, n_samples, random_state):
        U = self.copula_.vine_.sample(n_samples, seeds=[random_state])
        pairs = zip(self.margins_, U.T, strict=True)
        return np.column_stack([margin.quantile(u) for margin, u in pairs])

    def _uniform(self, Z):
        pairs = zip(self.margins_, Z.T, strict=True)
        return np.column_stack([margin.cdf(z) for margin, z in pairs])

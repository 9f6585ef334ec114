"""Peers that know the graph: classical conditional densities, family by family.

The density of a table is the product over columns of the density of a column given its
parents. A model of the family (column and parents together) divided by its own marginal
of the parents is such a conditional density, and integrates to one exactly. Settings are
chosen for each family by the held-out conditional log-density, which is what counts.
"""

import numpy as np
from peers import Peer, component_numbers, in_words, searched
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.base import BaseEstimator
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from skdiffusion.graphs import factorize

BANDWIDTHS = np.geomspace(0.02, 1.5, 15)
RATIOS = (0.5, 1.0, 2.0, 4.0)
CHUNK = 500  # rows whose kernels are held in memory together


def families(graph, n_columns):
    """Columns with their parents, parents first.

    An undirected graph is read in the order in which its completion is eliminated.
    """
    blocks = factorize(graph, n_columns).blocks
    return [(block.columns[0], list(block.context)) for block in blocks]


class ConditionalMixture(BaseEstimator):
    """Density of the first column given the others, from a Gaussian mixture of all."""

    def __init__(self, n_components=1, covariance_type="full", random_state=None):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.random_state = random_state

    def fit(self, F, y=None):
        """Fit a mixture to whole rows, and regress the first column in each component."""
        mixture = GaussianMixture(reg_covar=1e-4, max_iter=300, **self.get_params())
        self.joint_ = mixture.fit(F)
        self.covariances_ = mixture.covariances_
        if self.covariance_type == "diag":
            self.covariances_ = np.array([np.diag(v) for v in mixture.covariances_])
        pairs = [(c[1:, 1:], c[1:, 0]) for c in self.covariances_]
        self.slopes_ = np.array([np.linalg.solve(*pair) for pair in pairs])
        explained = [slope @ c for slope, (_, c) in zip(self.slopes_, pairs, strict=True)]
        self.scales_ = np.sqrt(self.covariances_[:, 0, 0] - explained)
        return self

    def score_samples(self, F):
        """Log-density of the first column given the others."""
        return self.joint_.score_samples(F) - logsumexp(
            self._of_parents(F[:, 1:]), axis=1
        )

    def sample(self, P, generator):
        """One value of the first column for each row of the others."""
        k = _one_of_each(self._of_parents(P), generator)
        means, deviations = self.joint_.means_[k], P - self.joint_.means_[k, 1:]
        location = means[:, 0] + np.sum(self.slopes_[k] * deviations, axis=1)
        return location + self.scales_[k] * generator.standard_normal(len(P))

    def _of_parents(self, P):
        """Log of weight times density of the parents, for each component."""
        logs = np.tile(np.log(self.joint_.weights_), (len(P), 1))
        if P.shape[1]:
            for k, covariance in enumerate(self.covariances_):
                law = multivariate_normal(self.joint_.means_[k, 1:], covariance[1:, 1:])
                logs[:, k] += law.logpdf(P)
        return logs


class ConditionalKernels(BaseEstimator):
    """Density of the first column given the others, from kernels on all.

    Parameters
    ----------
    bandwidth : float
        Bandwidth in the first column.
    ratio : float
        Bandwidth in the others, as a multiple of it: how local a conditional density
        should be is another question than how smooth.
    """

    def __init__(self, bandwidth=0.3, ratio=1.0):
        self.bandwidth = bandwidth
        self.ratio = ratio

    def fit(self, F, y=None):
        """Put kernels on whole rows and on the parents alone."""
        self.rows_ = self._scaled(F)
        self.joint_ = KernelDensity(bandwidth=self.bandwidth).fit(self.rows_)
        self.parents_ = None
        if F.shape[1] > 1:
            kernels = KernelDensity(bandwidth=self.bandwidth)
            self.parents_ = kernels.fit(self.rows_[:, 1:])
        return self

    def score_samples(self, F):
        """Log-density of the first column given the others."""
        F = self._scaled(F)
        joint = self.joint_.score_samples(F)
        return (
            joint
            if self.parents_ is None
            else joint - self.parents_.score_samples(F[:, 1:])
        )

    def sample(self, P, generator):
        """One value of the first column for each row of the others."""
        parts = [P[i : i + CHUNK] for i in range(0, len(P), CHUNK)]
        k = np.concatenate([self._near(part, generator) for part in parts])
        return self.rows_[k, 0] + self.bandwidth * generator.standard_normal(len(P))

    def _near(self, P, generator):
        """A training row for each row of parents, drawn by the weight of its kernel."""
        near, rows = P / self.ratio, self.rows_[:, 1:]
        products = near @ rows.T
        squares = (near**2).sum(axis=1)[:, None] - 2 * products + (rows**2).sum(axis=1)
        return _one_of_each(-squares / (2 * self.bandwidth**2), generator)

    def _scaled(self, F):
        return F / np.r_[1.0, np.full(F.shape[1] - 1, self.ratio)]


def _one_of_each(logs, generator):
    """For each row of log-weights the position of one entry, drawn in proportion."""
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    cumulative = np.cumsum(weights, axis=1)
    threshold = generator.random((len(logs), 1)) * cumulative[:, -1:]
    return (cumulative < threshold).sum(axis=1)


class FamilyPeer(Peer):
    """Product of conditional densities along a graph.

    Subclasses implement `_search`, the tuned conditional density of the first column.
    """

    def __init__(self, graph, seed):
        self.graph = graph
        self.seed = seed

    def _fit(self, Z):
        self.families_ = families(self.graph, Z.shape[1])
        found = [self._search(Z[:, [j, *parents]]) for j, parents in self.families_]
        self.models_ = [search.best_estimator_ for search in found]
        self.chosen_ = in_words([search.best_params_ for search in found])

    def _score(self, Z):
        pairs = zip(self.families_, self.models_, strict=True)
        return sum(m.score_samples(Z[:, [j, *parents]]) for (j, parents), m in pairs)

    def _sample(self, n_samples, random_state):
        generator = np.random.default_rng(random_state)
        Z = np.zeros((n_samples, len(self.families_)))
        for (j, parents), model in zip(self.families_, self.models_, strict=True):
            Z[:, j] = model.sample(Z[:, parents], generator)
        return Z


class FamilyMixturePeer(FamilyPeer):
    """Conditional Gaussian mixtures; components and type by cross-validation."""

    def _search(self, F):
        numbers = [k for k in component_numbers(len(F)) if k <= 20]
        types = ["full", "diag"] if F.shape[1] > 1 else ["full"]
        grid = {"n_components": numbers, "covariance_type": types}
        mixture = ConditionalMixture(random_state=self.seed)
        return searched(mixture, grid, F, self.seed, n_splits=3)


class FamilyKernelPeer(FamilyPeer):
    """Conditional kernel estimates; both bandwidths by cross-validation."""

    def _search(self, F):
        ratios = RATIOS if F.shape[1] > 1 else [1.0]
        grid = {"bandwidth": BANDWIDTHS, "ratio": ratios}
        return searched(ConditionalKernels(), grid, F, self.seed)

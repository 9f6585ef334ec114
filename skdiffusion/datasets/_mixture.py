"""Mixture of well separated normal distributions."""

import networkx as nx
import numpy as np
from scipy import special, stats
from sklearn.utils import Bunch, check_random_state

from .._validation import check_integer

SEPARATION = 5.0
LAW_SEED = 20240229


def make_separated_mixture(
    n_samples=1000, n_features=2, *, n_components=5, random_state=None
) -> Bunch:
    """Mixture of normal distributions with nearly no density between them.

    The means lie on distinct corners of a grid of spacing 5; the covariances are
    randomly rotated with standard deviations between 0.25 and 0.75. The weights fall
    in proportion to 1, 1/2, ..., 1/n_components.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=2
        Number of columns.
    n_components : int, default=5
        Number of normal distributions.
    random_state : int, RandomState instance or None, default=None
        Source of randomness.

    Returns
    -------
    Bunch
        With `data`, `graph` (complete: all columns depend on each other) and
        `log_density`.
    """
    check_integer("n_features", n_features, low=1)
    check_integer("n_components", n_components, low=1)
    check_integer("n_samples", n_samples, low=1)
    weights, components = _law(n_features, n_components)
    random_state = check_random_state(random_state)
    labels = random_state.choice(n_components, size=n_samples, p=weights)
    normal = random_state.standard_normal((n_samples, n_features))
    means = np.array([c.mean for c in components])
    factors = np.array([np.linalg.cholesky(c.cov) for c in components])
    X = means[labels] + np.einsum("nij,nj->ni", factors[labels], normal)

    def log_density(X):
        logs = [np.atleast_1d(c.logpdf(np.asarray(X, dtype=float))) for c in components]
        return special.logsumexp(np.transpose(logs) + np.log(weights), axis=1)

    graph = nx.complete_graph(n_features)
    return Bunch(data=X, graph=graph, log_density=log_density)


def _law(n_features: int, n_components: int):
    """Weights and normal distributions; the same at every call."""
    rng = np.random.RandomState(LAW_SEED)
    side = int(np.ceil(n_components ** (1 / n_features)))
    corners = np.array(list(np.ndindex(*(side,) * min(n_features, 12))))
    chosen = corners[rng.permutation(len(corners))[:n_components]]
    means = np.zeros((n_components, n_features))
    means[:, : chosen.shape[1]] = SEPARATION * chosen
    weights = 1 / np.arange(1, n_components + 1)
    components = []
    for mean in means:
        rotation = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0]
        scales = rng.uniform(0.25, 0.75, n_features)
        covariance = (rotation * scales**2) @ rotation.T
        components.append(stats.multivariate_normal(mean, covariance))
    return weights / weights.sum(), components

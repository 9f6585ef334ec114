r"""Bayesian networks with known conditional densities.

Every column is drawn given its parents: :math:`x_j = f_j(x_{pa(j)}) +
s_j(x_{pa(j)})\, e_j` with independent noise :math:`e_j` of known density, or from a
mixture of beta distributions on the unit interval.
"""

from collections.abc import Callable
from dataclasses import dataclass

import networkx as nx
import numpy as np
from scipy import special, stats
from sklearn.utils import Bunch, check_random_state

from .._validation import check_integer


@dataclass(frozen=True)
class NormalMixture:
    """Mixture of two normal distributions of equal weight, or one if they agree."""

    means: tuple[float, float] = (0.0, 0.0)
    scales: tuple[float, float] = (1.0, 1.0)

    def rvs(self, size, random_state):
        """Draws of the noise."""
        second = random_state.random_sample(size) < 0.5
        normal = random_state.standard_normal(size)
        mean = np.where(second, self.means[1], self.means[0])
        return mean + np.where(second, self.scales[1], self.scales[0]) * normal

    def logpdf(self, e):
        """Log-density of the noise."""
        parts = [
            stats.norm.logpdf(e, m, s)
            for m, s in zip(self.means, self.scales, strict=True)
        ]
        return np.logaddexp(*parts) - np.log(2)


TWO_HUMPS = NormalMixture((-0.9, 0.9), (0.3, 0.3))
SKEWED = NormalMixture((-0.5, 0.5), (0.25, 0.75))
NORMAL = NormalMixture()


@dataclass(frozen=True)
class Node:
    """Law of one column given its parents (an array with one column for each)."""

    parents: tuple[int, ...]
    location: Callable = lambda p: np.zeros(len(p))
    scale: Callable = lambda p: np.ones(len(p))
    noise: object = TWO_HUMPS

    def draw(self, p, random_state):
        """Values of the column given its parents."""
        noise = self.noise.rvs(size=len(p), random_state=random_state)
        return self.location(p) + self.scale(p) * noise

    def log_density(self, x, p):
        """Conditional log-density of the column."""
        scale = self.scale(p)
        return self.noise.logpdf((x - self.location(p)) / scale) - np.log(scale)


def _bunch(nodes, n_samples, random_state) -> Bunch:
    check_integer("n_samples", n_samples, low=1)
    random_state = check_random_state(random_state)
    X = np.zeros((n_samples, len(nodes)))
    for j, node in enumerate(nodes):
        X[:, j] = node.draw(X[:, list(node.parents)], random_state)

    def log_density(X):
        X = np.asarray(X, dtype=float)
        terms = (
            node.log_density(X[:, j], X[:, list(node.parents)])
            for j, node in enumerate(nodes)
        )
        return sum(terms)

    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(nodes)))
    graph.add_edges_from((i, j) for j, node in enumerate(nodes) for i in node.parents)
    return Bunch(data=X, graph=graph, log_density=log_density)


def _wave(p):
    return np.sin(2.2 * p[:, 0])


def _wave_scale(p):
    return 0.2 + 0.4 * special.expit(-2 * p[:, 0])


def make_nonlinear_chain(n_samples=1000, n_features=8, *, random_state=None) -> Bunch:
    r"""Chain of bimodal columns, each a sine of the one before.

    :math:`x_1 = e_1` and :math:`x_{j+1} = \sin(2.2\, x_j) + s(x_j)\, e_{j+1}` with
    :math:`s(x) = 0.2 + 0.4 / (1 + e^{2 x})` and noise of two humps, N(-0.9, 0.09) and
    N(0.9, 0.09) with equal weights.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=8
        Number of columns.
    random_state : int, RandomState instance or None, default=None
        Source of randomness.

    Returns
    -------
    Bunch
        With `data`, `graph` (a directed path) and `log_density`.

    Examples
    --------
    >>> from skdiffusion.datasets import make_nonlinear_chain
    >>> chain = make_nonlinear_chain(5, n_features=3, random_state=0)
    >>> chain.data.shape, list(chain.graph.edges)
    ((5, 3), [(0, 1), (1, 2)])
    """
    check_integer("n_features", n_features, low=1)
    rest = [Node((j - 1,), _wave, _wave_scale) for j in range(1, n_features)]
    return _bunch([Node(()), *rest], n_samples, random_state)


def make_nonlinear_tree(n_samples=1000, n_features=7, *, random_state=None) -> Bunch:
    r"""Binary tree: the children of column j are the columns 2 j + 1 and 2 j + 2.

    Left children follow the law of :func:`make_nonlinear_chain`; right children are
    :math:`0.5\, x^2 - 0.5 + 0.5\, e` of their parent x, with skewed noise.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=7
        Number of columns.
    random_state : int, RandomState instance or None, default=None
        Source of randomness.

    Returns
    -------
    Bunch
        With `data`, `graph` (a directed tree) and `log_density`.
    """
    check_integer("n_features", n_features, low=1)

    def right(p):
        return 0.5 * p[:, 0] ** 2 - 0.5

    def half(p):
        return np.full(len(p), 0.5)

    nodes = [Node(())]
    for j in range(1, n_features):
        parents = ((j - 1) // 2,)
        left_child = Node(parents, _wave, _wave_scale)
        nodes.append(left_child if j % 2 else Node(parents, right, half, SKEWED))
    return _bunch(nodes, n_samples, random_state)


def make_two_parents(n_samples=1000, n_features=8, *, random_state=None) -> Bunch:
    r"""Directed acyclic graph in which every column has the two before it as parents.

    With parents a (nearer) and b, the location takes turns between
    :math:`\sin(a + b) + 0.4\, b`, :math:`\tanh(a b) + 0.5\, a` and
    :math:`0.7 \cos(2 a) - 0.5 \tanh b`; the noise is bimodal, skewed or Laplace.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=8
        Number of columns.
    random_state : int, RandomState instance or None, default=None
        Source of randomness.

    Returns
    -------
    Bunch
        With `data`, `graph` (a ``DiGraph``) and `log_density`.
    """
    check_integer("n_features", n_features, low=1)
    locations = (
        lambda p: np.sin(p[:, 1] + p[:, 0]) + 0.4 * p[:, 0],
        lambda p: np.tanh(p[:, 1] * p[:, 0]) + 0.5 * p[:, 1],
        lambda p: 0.7 * np.cos(2 * p[:, 1]) - 0.5 * np.tanh(p[:, 0]),
    )
    scales = (
        lambda p: 0.3 + 0.2 * special.expit(2 * p[:, 1]),
        lambda p: np.full(len(p), 0.4),
        lambda p: 0.25 + 0.25 * special.expit(p[:, 1] - p[:, 0]),
    )
    noises = (TWO_HUMPS, SKEWED, stats.laplace(scale=0.7))
    nodes = [Node(()), Node((0,), _wave, _wave_scale)][:n_features]
    for j in range(2, n_features):
        k = j % 3
        nodes.append(Node((j - 2, j - 1), locations[k], scales[k], noises[k]))
    return _bunch(nodes, n_samples, random_state)


def make_heavy_tails(n_samples=1000, n_features=4, *, df=3.0, random_state=None) -> Bunch:
    r"""Chain of Student t noise around half of the column before.

    :math:`x_1 = e_1` and :math:`x_{j+1} = 0.5\, x_j + e_{j+1}`, where the noise has a
    t distribution.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=4
        Number of columns.
    df : float, default=3.0
        Degrees of freedom; moments of this order and above are infinite.
    random_state : int, RandomState instance or None, default=None
        Source of randomness.

    Returns
    -------
    Bunch
        With `data`, `graph` (a directed path) and `log_density`.
    """
    check_integer("n_features", n_features, low=1)
    noise = stats.t(df)
    nodes = [Node((), noise=noise)]
    for j in range(1, n_features):
        nodes.append(Node((j - 1,), lambda p: 0.5 * p[:, 0], noise=noise))
    return _bunch(nodes, n_samples, random_state)


@dataclass(frozen=True)
class BetaNode:
    """Equal mixture of two beta distributions whose parameters follow the parent."""

    parents: tuple[int, ...]

    def _components(self, p):
        v = p[:, 0] if self.parents else np.full(len(p), 0.5)
        return (2 + 5 * v, 7 - 5 * v), (6 - 3 * v, 3 + 5 * v**2)

    def draw(self, p, random_state):
        """Values of the column given its parent."""
        (a, b), (c, d) = self._components(p)
        first = random_state.random_sample(len(p)) < 0.5
        return random_state.beta(np.where(first, a, c), np.where(first, b, d))

    def log_density(self, x, p):
        """Conditional log-density of the column; -inf outside the unit interval."""
        (a, b), (c, d) = self._components(np.clip(p, 0, 1))
        parts = stats.beta.logpdf(x, a, b), stats.beta.logpdf(x, c, d)
        return np.logaddexp(*parts) - np.log(2)


def make_bounded_chain(n_samples=1000, n_features=8, *, random_state=None) -> Bunch:
    """Chain on the unit cube with smooth factors that vanish at the faces.

    Each column is an equal mixture of Beta(2 + 5 v, 7 - 5 v) and
    Beta(6 - 3 v, 3 + 5 v^2), where v is the column before (1/2 for the first).

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=8
        Number of columns.
    random_state : int, RandomState instance or None, default=None
        Source of randomness.

    Returns
    -------
    Bunch
        With `data`, `graph` (a directed path) and `log_density`.
    """
    check_integer("n_features", n_features, low=1)
    rest = [BetaNode((j - 1,)) for j in range(1, n_features)]
    return _bunch([BetaNode(()), *rest], n_samples, random_state)

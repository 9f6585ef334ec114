r"""Mutual information of pairs of columns, and the tree that holds the most of it.

Two estimates, neither of which exceeds the mutual information but for chance, are
combined by their maximum, because each is blind where the other sees:

- that of a normal distribution with the correlation r of the normal scores,
  :math:`-\frac12 \log(1 - r^2)`: among distributions with normal margins and this
  correlation, the normal one has the least mutual information. Where values are tied,
  r is what is left if ties are broken at random, which leaves the information as it is;
- that of the columns cut into bins of equal weight, which finds any dependence coarser
  than the bins; cutting loses information, never adds any.
"""

import networkx as nx
import numpy as np
from scipy.stats import chi2, t

from .._validation import check_real
from ._columns import Columns, read_columns

ROWS_PER_CELL = 10
MAX_BINS = 64
# a column and its copy would have infinite information
LEAST_UNEXPLAINED = 1e-12


def chow_liu_tree(X, *, level=0.05, sample_weight=None):
    """Tree of the columns that keeps the most mutual information.

    The maximum spanning tree of pairwise mutual information is, among all trees, the one
    whose density is nearest to the data in Kullback-Leibler divergence [1]_. Information
    is estimated from ranks: monotone changes of columns do not matter, and dependences
    need be neither linear nor monotone. Nothing is random.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Continuous columns, at least 3 rows.
    level : float in [0, 1], default=0.05
        Probability, about, that a table of independent columns gets any edge. Pairs whose
        information is not distinguishable from zero at this level are never joined, so
        the result may fall into several trees. With 1 all pairs may be joined.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each row counts.

    Returns
    -------
    tree : networkx.Graph
        Nodes are positions of the columns or, for a DataFrame with string names, names.
        The edge attribute "mutual_information" is in nats.

    Raises
    ------
    ValueError, TypeError
        If X has missing values or too few rows, or a parameter is out of range.

    See Also
    --------
    graphical_lasso_graph : Sparse graph of linear dependences of ranks.
    greedy_dag : Directed graph whose columns may have several parents.

    References
    ----------
    .. [1] C. K. Chow and C. N. Liu, "Approximating discrete probability distributions
           with dependence trees", IEEE Trans. Inf. Theory 14(3), 1968.

    Examples
    --------
    >>> from skdiffusion.datasets import make_nonlinear_chain
    >>> from skdiffusion.graphs import chow_liu_tree
    >>> table = make_nonlinear_chain(500, n_features=4, random_state=0).data
    >>> sorted(chow_liu_tree(table).edges)
    [(0, 1), (1, 2), (2, 3)]
    """
    check_real("level", level, low=0, high=1)
    columns = read_columns(X, sample_weight)
    information, significant = pairwise_information(columns, level)
    pairs = columns.empty()
    pairs.add_weighted_edges_from(
        (
            (i, j, float(information[i, j]))
            for i, j in np.argwhere(np.triu(significant)).tolist()
        ),
        weight="mutual_information",
    )
    tree = nx.maximum_spanning_tree(pairs, weight="mutual_information")
    return columns.named(tree)


def pairwise_information(columns: Columns, level: float):
    """Mutual information of all pairs in nats, and which differ from zero.

    Returns
    -------
    information : ndarray of float of shape (n_features, n_features)
    significant : ndarray of bool of shape (n_features, n_features)
        By the t-test of the correlation or the G-test of the bins, with Bonferroni's
        correction for all pairs and both tests. False on the diagonal.
    """
    normal, p_normal = _normal_information(columns)
    binned, p_binned = _binned_information(columns)
    n_tests = max(1, len(normal) * (len(normal) - 1))
    significant = np.minimum(p_normal, p_binned) <= min(1, level / n_tests)
    significant |= level == 1
    np.fill_diagonal(significant, False)
    return np.maximum(np.maximum(normal, binned), 0), significant


def _normal_information(columns: Columns):
    """Information in the correlations, less its bias 1 / (2 n), and p-values."""
    r, n = columns.correlation(), columns.n_effective
    freedom = max(n - 2, 1)
    statistic = np.abs(r) * np.sqrt(freedom / np.maximum(1 - r**2, LEAST_UNEXPLAINED))
    r = r * np.outer(columns.resolution, columns.resolution)
    unexplained = np.maximum(1 - r**2, LEAST_UNEXPLAINED)
    return -0.5 * np.log(unexplained) - 1 / (2 * n), 2 * t.sf(statistic, freedom)


def _binned_information(columns: Columns):
    """Information of the bins, less its bias by Miller and Madow, and p-values."""
    n, d = columns.n_effective, len(columns.labels)
    n_bins = int(np.clip(np.sqrt(n / ROWS_PER_CELL), 2, MAX_BINS))
    bins = np.ascontiguousarray((columns.ranks * n_bins).astype(int).T)
    information, p = np.zeros((d, d)), np.ones((d, d))
    for i in range(d):
        for j in range(i):
            cells = np.bincount(
                bins[i] * n_bins + bins[j], columns.weight, minlength=n_bins**2
            )
            found = _cell_information(cells.reshape(n_bins, n_bins), n)
            (information[i, j], p[i, j]) = (information[j, i], p[j, i]) = found
    return information, p


def _cell_information(share: np.ndarray, n: float) -> tuple[float, float]:
    """Mutual information of a table of shares of n rows, and p-value of the G-test."""
    share = share[share.any(axis=1)][:, share.any(axis=0)]
    freedom = (share.shape[0] - 1) * (share.shape[1] - 1)
    filled = share > 0
    independent = np.outer(share.sum(axis=1), share.sum(axis=0))
    found = share[filled] @ np.log(share[filled] / independent[filled])
    n_excess = filled.sum() - sum(share.shape) + 1
    p = chi2.sf(2 * n * found, freedom) if freedom else 1.0
    return found - n_excess / (2 * n), p

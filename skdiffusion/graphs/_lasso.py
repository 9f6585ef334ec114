"""Sparse graph of the partial correlations of normal scores."""

import warnings

import numpy as np
from sklearn.covariance import graphical_lasso
from sklearn.exceptions import ConvergenceWarning

from .._validation import check_integer, check_real
from .._warnings import warn_user
from ._columns import read_columns

# smallest penalty tried, as a share of the smallest that leaves no edge
SMALLEST_SHARE = 0.01
# entries of a precision matrix that solvers leave instead of zero
ZERO = 1e-6
RIDGE = 1e-6
TOLERANCE, MAX_ITER = 1e-6, 200


def graphical_lasso_graph(X, *, alpha=None, gamma=0.5, n_alphas=20, sample_weight=None):
    r"""Graph of the partial correlations of normal scores, by the graphical lasso.

    Columns are turned into normal scores of their ranks [1]_, and an edge is where the
    penalised precision matrix of the scores is not zero. Columns without an edge are then
    uncorrelated given all others; dependences without correlation, as of x and its
    square, are not seen. Where dependences are not linear on this scale the graph is
    often denser than it need be.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Continuous columns, at least 3 rows; there may be fewer rows than columns.
    alpha : float or None, default=None
        Penalty; larger ones leave fewer edges. Correlations are at most 1, so a penalty
        of 1 leaves none. None chooses it by the extended Bayesian information criterion
        [2]_, :math:`-2 \ell + |E| \log n + 4 \gamma |E| \log D`, whose log-likelihood
        is that of the unpenalised matrix on the same edges.
    gamma : float in [0, 1], default=0.5
        Weight of the last term; with 0 the criterion is the ordinary one.
    n_alphas : int, default=20
        Number of penalties tried, on a logarithmic scale from the smallest one without
        edges to a hundredth of it.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each row counts.

    Returns
    -------
    graph : networkx.Graph
        Nodes are positions of the columns or, for a DataFrame with string names, names.
        The edge attribute "partial_correlation" is that of the unpenalised matrix.

    Raises
    ------
    ValueError, TypeError
        If X has missing values or too few rows, or a parameter is out of range.

    Warns
    -----
    ConvergenceWarning
        If the solver did not converge for some of the penalties. These are left out.

    References
    ----------
    .. [1] H. Liu, J. Lafferty and L. Wasserman, "The nonparanormal: semiparametric
           estimation of high dimensional undirected graphs", JMLR 10, 2009.
    .. [2] R. Foygel and M. Drton, "Extended Bayesian information criteria for Gaussian
           graphical models", NeurIPS 2010, equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffusion.graphs import graphical_lasso_graph
    >>> X = np.random.RandomState(0).standard_normal((500, 3)).cumsum(axis=1)
    >>> sorted(graphical_lasso_graph(X).edges)
    [(0, 1), (1, 2)]
    """
    if alpha is not None:
        check_real("alpha", alpha, low=0, open_low=True)
    check_real("gamma", gamma, low=0, high=1)
    check_integer("n_alphas", n_alphas, low=1)
    columns = read_columns(X, sample_weight)
    varying, graph = columns.varying, columns.empty()
    correlation = columns.correlation()[np.ix_(varying, varying)]
    # a column and its copy have no precision matrix
    correlation = (1 - RIDGE) * correlation + RIDGE * np.eye(len(varying))
    if alpha is None:
        alphas = _path(correlation, n_alphas)
        precision = _best_precision(correlation, alphas, columns.n_effective, gamma)
    else:
        precision = _given_precision(correlation, alpha)
    scale = np.sqrt(np.diag(precision))
    partial = -precision / np.outer(scale, scale)
    graph.add_weighted_edges_from(
        (
            (int(varying[i]), int(varying[j]), float(partial[i, j]))
            for i, j in np.argwhere(np.triu(_edges(precision)))
        ),
        weight="partial_correlation",
    )
    return columns.named(graph)


def _path(correlation: np.ndarray, n_alphas: int) -> np.ndarray:
    """Penalties below the smallest that leaves no edge."""
    largest = np.abs(correlation - np.eye(len(correlation))).max(initial=0)
    return np.geomspace(1, SMALLEST_SHARE, n_alphas + 1)[1:] * max(largest, ZERO)


def _edges(precision: np.ndarray) -> np.ndarray:
    """Where entries off the diagonal are not zero."""
    edges = np.abs(precision) > ZERO
    np.fill_diagonal(edges, False)
    return edges


def _given_precision(correlation: np.ndarray, alpha: float) -> np.ndarray:
    """Precision matrix, on the edges of a given penalty."""
    if len(correlation) < 2:
        return np.eye(len(correlation))
    penalised = _penalised(correlation, alpha)
    if penalised is None:
        raise ValueError(
            f"the graphical lasso did not converge for alpha={alpha:g}. Raise alpha, or "
            "leave out columns that nearly determine each other."
        )
    return _on_edges(correlation, _edges(penalised))


def _best_precision(correlation, alphas, n: float, gamma: float) -> np.ndarray:
    """Precision matrix, on the edges of the best penalty, with the least criterion."""
    found, failed = [np.eye(len(correlation))], []
    for alpha in alphas if len(correlation) > 1 else []:
        penalised = _penalised(correlation, alpha)
        if penalised is None:
            failed.append(f"{alpha:.3g}")
        # more neighbours than rows would predict a column perfectly
        elif _edges(penalised).sum(axis=0).max() < n - 1:
            found.append(_on_edges(correlation, _edges(penalised)))
    if failed:
        warn_user(
            f"the graphical lasso did not converge for the penalties {failed}, which are "
            "left out. Columns that nearly determine each other are a usual cause.",
            ConvergenceWarning,
        )
    return min(found, key=lambda precision: _criterion(precision, correlation, n, gamma))


def _penalised(correlation: np.ndarray, alpha: float) -> np.ndarray | None:
    """Precision matrix for one penalty, None without convergence."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            _, precision = graphical_lasso(
                correlation, alpha, max_iter=MAX_ITER, enet_tol=TOLERANCE
            )
        except (ConvergenceWarning, FloatingPointError):
            return None
    return precision if np.isfinite(precision).all() else None


def _on_edges(correlation: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Precision matrix of most likelihood that is zero off the edges.

    Columns are regressed on their neighbours in turn until nothing changes: algorithm
    17.1 of Hastie, Tibshirani and Friedman, "The elements of statistical learning", 2009.
    """
    covariance = correlation.copy()
    neighbours = [np.flatnonzero(row) for row in edges]
    for _ in range(MAX_ITER):
        before = covariance.copy()
        for j, near in enumerate(neighbours):
            others = np.arange(len(covariance)) != j
            among = covariance[np.ix_(near, near)]
            coefficients = np.linalg.solve(among, correlation[near, j])
            fitted = covariance[np.ix_(others, near)] @ coefficients
            covariance[others, j] = covariance[j, others] = fitted
        if np.abs(covariance - before).max() < TOLERANCE:
            break
    return np.where(edges | np.eye(len(edges), dtype=bool), np.linalg.inv(covariance), 0)


def _criterion(precision, correlation, n: float, gamma: float) -> float:
    """Extended Bayesian information criterion of a Gaussian graphical model."""
    fit = np.linalg.slogdet(precision)[1] - np.sum(correlation * precision)
    price = np.log(n) + 4 * gamma * np.log(len(precision))
    return -n * fit + _edges(precision).sum() / 2 * price

"""Greedy search for a directed graph by leave-one-out likelihood."""

import networkx as nx
import numpy as np
from sklearn.utils import check_random_state

from .._validation import check_boolean, check_integer, check_real
from ._columns import Columns, read_columns
from ._conditional import ConditionalLikelihood
from ._information import pairwise_information


def greedy_dag(
    X,
    *,
    in_order=False,
    max_parents=4,
    n_standard_errors=2.0,
    n_candidates=10,
    max_rows=1000,
    sample_weight=None,
    random_state=None,
):
    """Directed graph found edge by edge, each the one that helps prediction most.

    Starting without edges, the search adds, removes or reverses the edge whose change
    raises the leave-one-out log-likelihood most, until none does. The density of a
    column given its parents is estimated by kernels on the normal scores of the ranks,
    after a linear regression, so dependences need be neither linear nor monotone, and two
    independent causes of one column are found together. Searches over directed graphs by
    a score are described in [1]_, the restriction to a few candidates for each column in
    [2]_, the search in a given order in [3]_.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Continuous columns, at least 3 rows.
    in_order : bool, default=False
        Whether parents must stand before their children in the table. Otherwise
        directions are as the likelihood has it; where it is equal they are arbitrary,
        and they are no statement about causes.
    max_parents : int, default=4
        Largest number of parents of a column.
    n_standard_errors : float, default=2.0
        How many of its standard errors a gain must exceed for an edge to be added or
        reversed. An edge is removed if that raises the likelihood at all.
    n_candidates : int, default=10
        Each column is joined only to columns that are among the `n_candidates` with
        the most mutual information with it, or for which it is.
    max_rows : int, default=1000
        Rows used, drawn at random if there are more. Time and memory grow with the
        square: 3 seconds for 8 columns and 1000 rows on one core.
    sample_weight : array-like of shape (n_samples,), default=None
        How much each row counts.
    random_state : int, RandomState instance or None, default=None
        Source of randomness of the draw of rows.

    Returns
    -------
    graph : networkx.DiGraph
        Nodes are positions of the columns or, for a DataFrame with string names, names.
        The edge attribute "gain" is the log-likelihood in nats per row that the child
        would lose without this parent.

    Raises
    ------
    ValueError, TypeError
        If X has missing values or too few rows, or a parameter is out of range.

    References
    ----------
    .. [1] D. Koller and N. Friedman, "Probabilistic graphical models", 2009, chapter 18.
    .. [2] N. Friedman, I. Nachman and D. Peer, "Learning Bayesian network structure from
           massive datasets: the sparse candidate algorithm", UAI 1999.
    .. [3] G. F. Cooper and E. Herskovits, "A Bayesian method for the induction of
           probabilistic networks from data", Machine Learning 9, 1992.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffusion.graphs import greedy_dag
    >>> X = np.random.RandomState(0).standard_normal((300, 3))
    >>> X[:, 2] = X[:, 0] * X[:, 1] + 0.3 * X[:, 2]  # every two columns are uncorrelated
    >>> sorted(greedy_dag(X).edges)
    [(0, 2), (1, 2)]
    """
    check_boolean("in_order", in_order)
    for name, value in (("max_parents", max_parents), ("n_candidates", n_candidates)):
        check_integer(name, value, low=1)
    check_integer("max_rows", max_rows, low=3)
    check_real("n_standard_errors", n_standard_errors, low=0)
    columns = read_columns(X, sample_weight)
    pairs = _candidates(columns, n_candidates)
    if in_order:
        pairs = {(i, j) for i, j in pairs if i < j}
    likelihood = _likelihood(columns, max_rows, check_random_state(random_state))
    graph = columns.empty(nx.DiGraph)
    while changes := _best(graph, pairs, likelihood, max_parents, n_standard_errors):
        for j, parents in changes.items():
            graph.remove_edges_from([(i, j) for i in list(graph.pred[j])])
            graph.add_edges_from((i, j) for i in parents)
    for i, j in graph.edges:
        fewer = {j: tuple(k for k in _parents(graph, j) if k != i)}
        gain, _ = likelihood.gain({j: _parents(graph, j)}, fewer)
        graph.edges[i, j]["gain"] = float(gain)
    return columns.named(graph)


def _candidates(columns: Columns, n_candidates: int) -> set[tuple[int, int]]:
    """Pairs, both ways, of columns with much information about each other."""
    varying = columns.varying
    information, _ = pairwise_information(columns, level=1)
    pairs = set()
    for j in varying:
        others = varying[varying != j]
        best = others[np.argsort(-information[j, others], kind="stable")[:n_candidates]]
        pairs |= {(int(j), int(i)) for i in best} | {(int(i), int(j)) for i in best}
    return pairs


def _likelihood(columns: Columns, max_rows: int, random_state) -> ConditionalLikelihood:
    Z, weight = columns.normal_scores(), columns.weight
    if len(Z) > max_rows:
        kept = random_state.permutation(len(Z))[:max_rows]
        Z, weight = Z[kept], weight[kept]
    return ConditionalLikelihood(Z, weight)


def _parents(graph: nx.DiGraph, j: int) -> tuple[int, ...]:
    return tuple(sorted(graph.pred[j]))


def _best(graph, pairs, likelihood, max_parents: int, n_standard_errors: float):
    """New parents of the one or two columns of the best change, None if none helps."""
    best, most = None, 0.0
    for changes, margin in _changes(graph, pairs, max_parents):
        old = {j: _parents(graph, j) for j in changes}
        gain, error = likelihood.gain(changes, old)
        if gain > most and gain > margin * n_standard_errors * error:
            best, most = changes, gain
    return best


def _changes(graph, pairs, max_parents: int):
    """New parents by column for each change of an edge, and whether it needs a margin."""
    for i, j in sorted(pairs):
        parents = _parents(graph, j)
        if i in parents:
            fewer = tuple(k for k in parents if k != i)
            yield {j: fewer}, 0
            if (j, i) in pairs and _may_reverse(graph, i, j, max_parents):
                yield {j: fewer, i: tuple(sorted((*graph.pred[i], j)))}, 1
        elif len(parents) < max_parents and not nx.has_path(graph, j, i):
            yield {j: tuple(sorted((*parents, i)))}, 1


def _may_reverse(graph, i: int, j: int, max_parents: int) -> bool:
    """Whether no other path leads from i to j and i may have one more parent."""
    others = (k for k in graph[i] if k != j)
    return graph.in_degree(i) < max_parents and not any(
        nx.has_path(graph, k, j) for k in others
    )

"""The factorization that a graph implies."""

import networkx as nx

from ._blocks import Block, Factorization
from ._checks import check_kind, on_positions
from ._sharing import Sharing, check_sizes, make_sharing
from ._structure import (
    cliques,
    complete,
    components,
    elimination_contexts,
    largest_clique,
    parts_at_cut_nodes,
)


def factorize(
    graph,
    n_columns: int,
    *,
    column_names=None,
    max_factor_size: int | None = None,
    diffusion: str = "conditional",
    share_weights: bool | str = False,
) -> Factorization:
    """Factorization that a graph implies for a table of `n_columns` columns.

    Parameters
    ----------
    graph : networkx.DiGraph, networkx.Graph or None
        Nodes are positions 0..n_columns-1 or, if `column_names` is given, names. A
        column absent from the graph is independent of the others, with a warning.
    n_columns : int
        Number of columns of the table.
    column_names : sequence of str, default=None
        Names of the columns, if the table has any.
    max_factor_size : int, default=None
        Largest number of columns a factor may have; None sets no limit. It does not
        apply to ``graph=None``, where the factors are as large as the table.
    diffusion : {"auto", "conditional", "joint"}, default="conditional"
        "conditional" makes blocks of one column. "joint" makes a block of every
        connected component (of all together if they share weights), with the maximal
        cliques of the (moral) graph as its factors. "auto" completes each component of
        an undirected graph while its cliques stay within `max_factor_size`; a component
        that would exceed it is cut at its cut nodes, and joint blocks are made of the
        parts that still would.
    share_weights : bool or str, default=False
        Whether factors share their weights: all of one size, or those with equal
        values of the named attribute of nodes or edges.

    Returns
    -------
    Factorization

    Raises
    ------
    TypeError
        If `graph` is neither None nor a networkx graph.
    ValueError
        If the graph is a multigraph, has self-loops, directed cycles or nodes that are
        no columns, if one of its factors exceeds `max_factor_size`, or if it lacks the
        attribute that `share_weights` names.
    """
    labels = tuple(f"x{j}" for j in range(n_columns))
    labels = labels if column_names is None else tuple(map(str, column_names))
    if graph is None:
        return _without_graph(labels, diffusion, share_weights)
    check_kind(graph)
    graph = on_positions(graph, n_columns, column_names)
    sharing = make_sharing(graph, share_weights, labels)
    if diffusion == "joint":
        blocks, markov_graph, source = _joint(graph, together=sharing is not None)
    elif graph.is_directed():
        blocks, markov_graph, source = _families(graph)
    else:
        limit = max_factor_size if diffusion == "auto" else None
        blocks, markov_graph, source = _undirected(graph, limit)
    is_network = graph.is_directed() and diffusion != "joint"
    made = Factorization(tuple(blocks), labels, markov_graph, source, sharing, is_network)
    _check_factor_size(made, max_factor_size)
    if isinstance(share_weights, str):
        check_sizes(sharing, made.cliques, labels)
    return made


def _without_graph(labels, diffusion, share_weights) -> Factorization:
    if isinstance(share_weights, str):
        raise ValueError(
            f"share_weights={share_weights!r} names an attribute of a graph, but "
            "graph=None; pass a graph whose nodes or edges have it."
        )
    n, graph = len(labels), nx.complete_graph(len(labels))
    sharing = Sharing((0,) * n, {}) if share_weights else None
    if diffusion == "joint":
        everything = tuple(range(n))
        blocks = [Block(everything, (), "joint", (everything,))]
        return Factorization(
            tuple(blocks), labels, graph, "no graph (all columns together)", sharing
        )
    blocks = [Block((j,), tuple(range(j))) for j in range(n)]
    return Factorization(
        tuple(blocks), labels, graph, "no graph (all earlier columns)", sharing
    )


def _families(graph: nx.DiGraph):
    """One block for each node, given its parents."""
    blocks = [
        Block((j,), tuple(sorted(graph.predecessors(j))))
        for j in nx.lexicographical_topological_sort(graph)
    ]
    return blocks, nx.moral_graph(graph), "a directed graph"


def _joint(graph, *, together: bool):
    """One block for each connected component, or one for all, which may share weights."""
    source = "an undirected graph"
    if graph.is_directed():
        graph, source = nx.moral_graph(graph), "a directed graph, moralized"
    if together:
        return [_joint_block(graph)], graph, f"{source} (all columns together)"
    blocks = [
        _joint_block(part) if len(part) > 1 else Block(tuple(part), ())
        for part in components(graph)
    ]
    return blocks, graph, f"{source} (columns of a component together)"


def _joint_block(part: nx.Graph, context=()) -> Block:
    columns = tuple(sorted(set(part) - set(context)))
    return Block(columns, context, "joint", cliques(part))


def _undirected(graph: nx.Graph, limit: int | None):
    """Blocks of one column where completion stays within the limit, else joint blocks."""
    blocks, markov_graph = [], graph.copy()
    for part, context, completed in _parts(graph, limit):
        if completed is None:
            blocks.append(_joint_block(part, context))
            continue
        markov_graph.add_edges_from(completed.edges)
        contexts = elimination_contexts(completed, context)
        blocks += [Block((j,), c) for j, c in contexts.items() if j not in context]
    n_added = markov_graph.number_of_edges() - graph.number_of_edges()
    source = "a chordal graph" if nx.is_chordal(graph) else "an undirected graph"
    if n_added:
        source += f", completed with {n_added} edges (min-fill)"
    return blocks, markov_graph, source


def _parts(graph: nx.Graph, limit: int | None):
    """Parts with their contexts and completions; None where that exceeds the limit."""
    for component in components(graph):
        completed = _completed(component, limit)
        if completed is not None:
            yield component, (), completed
            continue
        for part, context in parts_at_cut_nodes(component):
            yield part, context, _completed(part, limit)


def _completed(part: nx.Graph, limit: int | None) -> nx.Graph | None:
    completed = complete(part)
    return completed if limit is None or largest_clique(completed) <= limit else None


def _check_factor_size(factorization: Factorization, max_factor_size) -> None:
    largest = max((f for b in factorization.blocks for f in b.cliques), key=len)
    if max_factor_size is None or len(largest) <= max_factor_size:
        return
    names = [factorization.column_names[j] for j in largest]
    hint = "Remove edges, or raise max_factor_size"
    if "completed" in factorization.source:
        hint += " (FactorizedDiffusionDensity needs no completion with diffusion='auto')"
    raise ValueError(
        f"the factor {names} has {len(largest)} columns, more than "
        f"max_factor_size={max_factor_size} (factorization from "
        f"{factorization.source}). {hint}: the error of the estimate grows with the "
        "largest factor."
    )

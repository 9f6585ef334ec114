"""Checks of a graph, and its copy on the positions of the columns."""

import difflib
import operator

import networkx as nx

from .._columns import refuse_ambiguous
from .._warnings import warn_user


def check_kind(graph) -> None:
    """Raise unless `graph` is a networkx graph without parallel edges."""
    if not isinstance(graph, nx.Graph):
        raise TypeError(
            f"graph must be a networkx.DiGraph, a networkx.Graph, None or 'auto', got "
            f"{type(graph).__name__}; build one with networkx.DiGraph(list_of_edges) or, "
            "without directions, networkx.Graph(list_of_edges)."
        )
    if graph.is_multigraph():
        raise ValueError(
            f"graph is a {type(graph).__name__}, but parallel edges have no meaning "
            "here; convert it with networkx.DiGraph(graph) or networkx.Graph(graph)."
        )


def on_positions(graph, n_columns: int, column_names):
    """Copy of the graph whose nodes are the positions of all columns, with attributes."""
    position = {node: _position(node, n_columns, column_names) for node in graph}
    seen: dict[int, object] = {}
    for node, j in position.items():
        if j in seen:
            raise ValueError(
                f"graph nodes {seen[j]!r} and {node!r} are the same column; name every "
                "column either by its name or by its position, not by both."
            )
        seen[j] = node
    moved = nx.DiGraph() if graph.is_directed() else nx.Graph()
    moved.add_nodes_from(range(n_columns))
    moved.add_nodes_from((position[u], data) for u, data in graph.nodes(data=True))
    moved.add_edges_from(
        (position[u], position[v], data) for u, v, data in graph.edges(data=True)
    )
    _check_structure(moved, range(n_columns) if column_names is None else column_names)
    _warn_absent(sorted(set(range(n_columns)) - set(seen)), column_names)
    return moved


def _position(node, n_columns: int, column_names) -> int:
    if isinstance(node, str):
        return _position_of_name(node, column_names)
    try:
        j = operator.index(node)
    except TypeError:
        j = -1
    if isinstance(node, bool) or not 0 <= j < n_columns:
        names = "" if column_names is None else " or a column name"
        raise ValueError(
            f"graph node {node!r} is not a column; expected a position from 0 to "
            f"{n_columns - 1}{names}. Rename other nodes with networkx.relabel_nodes or "
            'networkx.convert_node_labels_to_integers(graph, ordering="sorted").'
        )
    if column_names is not None:
        refuse_ambiguous(j, list(column_names))
    return j


def _position_of_name(node: str, column_names) -> int:
    if column_names is None:
        raise ValueError(
            f"graph node {node!r} is a name, but X has no column names. Pass a "
            "pandas DataFrame whose columns are all strings, or use positions 0, 1, ... "
            "as nodes. If a transformer came first, keep the names with "
            'set_output(transform="pandas").'
        )
    names = list(column_names)
    if node not in names:
        near = difflib.get_close_matches(node, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else ""
        shown = names if len(names) <= 10 else [*names[:10], "..."]
        raise ValueError(
            f"graph node {node!r} is not a column; {hint or f'the columns are {shown}.'} "
            "Rename nodes with networkx.relabel_nodes."
        )
    return names.index(node)


def _warn_absent(absent: list[int], column_names) -> None:
    if absent:
        shown = absent if column_names is None else [column_names[j] for j in absent]
        warn_user(
            f"columns {shown} are not nodes of the graph and are modelled as independent "
            "of all others; add them with graph.add_node to silence this warning.",
            UserWarning,
        )


def _check_structure(graph, labels) -> None:
    loops = sorted({u for u, _ in nx.selfloop_edges(graph)})
    if loops:
        raise ValueError(
            f"graph has self-loops at {[labels[j] for j in loops]}; a column cannot "
            "depend on itself, remove them with "
            "graph.remove_edges_from(networkx.selfloop_edges(graph))."
        )
    if graph.is_directed() and not nx.is_directed_acyclic_graph(graph):
        _refuse_both_directions(graph, labels)
        cycle = [u for u, _ in nx.find_cycle(graph)]
        path = " -> ".join(repr(labels[j]) for j in [*cycle, cycle[0]])
        raise ValueError(
            f"graph has the directed cycle {path}; a Bayesian network must be acyclic. "
            "Remove one of its edges, or pass an undirected networkx.Graph."
        )


def _refuse_both_directions(graph: nx.DiGraph, labels) -> None:
    both = [(u, v) for u, v in graph.edges if u < v and graph.has_edge(v, u)]
    if both:
        shown = [tuple(labels[j] for j in edge) for edge in both[:5]]
        raise ValueError(
            f"graph has edges in both directions between {shown}. If this is a partially "
            "directed graph (PDAG) of a learner, whose undirected edges are stored "
            "so, direct them first (with pgmpy, graph.to_dag()); if no edge has a "
            "direction, pass networkx.Graph(graph)."
        )

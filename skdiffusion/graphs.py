r"""From a networkx graph to a factorization: an ordered list of blocks.

A factorization writes the joint density as a product of conditional densities,

.. math:: p(x) = \prod_b p(x_b \mid x_{context(b)}),

where the context of a block holds only columns of earlier blocks:

- a ``DiGraph`` (Bayesian network) gives one block per column, its context the parents;
- a chordal ``Graph`` (Markov random field) gives one block per column in the order of a
  maximum cardinality search; the context is the set of neighbours visited before. Each
  column with its context is a clique, and every maximal clique appears;
- any other ``Graph`` is first completed to a chordal one by the min-fill heuristic;
- ``None`` makes every column depend on all columns before it.

This module does not know torch, data or densities.
"""

import difflib
import operator
import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import networkx as nx
from networkx.algorithms.approximation import treewidth_min_fill_in


@dataclass(frozen=True)
class Block:
    """Columns modelled together, given the columns of their context."""

    columns: tuple[int, ...]
    context: tuple[int, ...]
    engine: str = "conditional"

    @property
    def factor(self) -> tuple[int, ...]:
        """All columns the block reads, in ascending order."""
        return tuple(sorted(self.columns + self.context))


@dataclass(frozen=True)
class Factorization:
    """How a joint density is written as a product over blocks.

    Attributes
    ----------
    blocks : tuple of Block
        In an order in which every context precedes its block.
    column_names : tuple of str
        Used for printing.
    markov_graph : networkx.Graph
        Undirected graph on the positions of the columns: two columns are joined when
        some factor holds both. Its missing edges are conditional independences.
    source : str
        What the blocks were derived from, in words.
    """

    blocks: tuple[Block, ...]
    column_names: tuple[str, ...]
    markov_graph: nx.Graph
    source: str

    @property
    def contexts(self) -> dict[int, tuple[int, ...]]:
        """Context of every column, in the order of the blocks."""
        return {j: block.context for block in self.blocks for j in block.columns}

    @property
    def largest_factor(self) -> int:
        """Number of columns of the largest factor, d in the rate of convergence."""
        return max(len(block.factor) for block in self.blocks)

    @cached_property
    def cliques(self) -> tuple[tuple[int, ...], ...]:
        """Maximal factors: the factors that no other factor contains."""
        kept: list[set] = []
        for factor in sorted({b.factor for b in self.blocks}, key=len, reverse=True):
            if not any(set(factor) <= larger for larger in kept):
                kept.append(set(factor))
        return tuple(sorted(tuple(sorted(clique)) for clique in kept))

    @cached_property
    def treewidth(self) -> int:
        """Treewidth of the Markov graph: exact if chordal, else a min-fill bound."""
        if nx.is_chordal(self.markov_graph):
            return max(map(len, nx.find_cliques(self.markov_graph))) - 1
        return treewidth_min_fill_in(self.markov_graph)[0]

    @cached_property
    def generations(self) -> tuple[tuple[int, ...], ...]:
        """Columns grouped so that each group depends on earlier groups only."""
        depth: dict[int, int] = {}
        for block in self.blocks:
            level = 1 + max((depth[j] for j in block.context), default=-1)
            depth.update(dict.fromkeys(block.columns, level))
        levels = range(max(depth.values()) + 1)
        return tuple(tuple(sorted(j for j in depth if depth[j] == k)) for k in levels)

    def joined(self) -> "Factorization":
        """One block of all columns, without context."""
        columns = tuple(range(len(self.column_names)))
        return Factorization(
            (Block(columns, ()),),
            self.column_names,
            nx.complete_graph(len(columns)),
            "no graph (all columns together)",
        )

    def with_engines(self, engines: dict[tuple[int, ...], str]) -> "Factorization":
        """Copy in which the blocks with the given columns carry another engine."""
        blocks = (
            replace(b, engine=engines.get(b.columns, b.engine)) for b in self.blocks
        )
        return replace(self, blocks=tuple(blocks))

    def _label(self, columns) -> str:
        return ", ".join(self.column_names[j] for j in columns)

    def __str__(self) -> str:
        lines = [
            f"Factorization of {len(self.column_names)} columns, from {self.source}",
            f"  largest factor: {self.largest_factor} columns; "
            f"treewidth: {self.treewidth}",
            "  blocks:",
        ]
        for block in self.blocks:
            given = f" | {self._label(block.context)}" if block.context else ""
            lines.append(f"    p({self._label(block.columns)}{given})  [{block.engine}]")
        lines.append("  cliques:")
        lines.extend(f"    {{{self._label(clique)}}}" for clique in self.cliques)
        return "\n".join(lines)

    __repr__ = __str__


def factorize(
    graph, n_columns: int, *, column_names=None, max_factor_size: int | None = None
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

    Returns
    -------
    Factorization

    Raises
    ------
    TypeError
        If `graph` is neither None nor a networkx graph.
    ValueError
        If the graph is a multigraph, has self-loops, directed cycles or nodes that are
        no columns, or if one of its factors exceeds `max_factor_size`.
    """
    labels = tuple(f"x{j}" for j in range(n_columns))
    labels = labels if column_names is None else tuple(map(str, column_names))
    if graph is None:
        blocks = tuple(Block((j,), tuple(range(j))) for j in range(n_columns))
        return Factorization(
            blocks,
            labels,
            nx.complete_graph(n_columns),
            "no graph (all earlier columns)",
        )
    _check_kind(graph)
    graph = _on_positions(graph, n_columns, column_names)
    if graph.is_directed():
        contexts = {
            j: tuple(sorted(graph.predecessors(j)))
            for j in nx.lexicographical_topological_sort(graph)
        }
        markov_graph, source = nx.moral_graph(graph), "a directed graph"
    else:
        markov_graph, source = _complete(graph)
        contexts = _elimination_contexts(markov_graph)
    factorization = Factorization(
        tuple(Block((j,), context) for j, context in contexts.items()),
        labels,
        markov_graph,
        source,
    )
    _check_factor_size(factorization, max_factor_size)
    return factorization


def _check_kind(graph) -> None:
    if not isinstance(graph, nx.Graph):
        raise TypeError(
            f"graph must be a networkx.DiGraph, a networkx.Graph or None, got "
            f"{type(graph).__name__}; build one with networkx.DiGraph(list_of_edges)."
        )
    if graph.is_multigraph():
        raise ValueError(
            f"graph is a {type(graph).__name__}, but parallel edges have no meaning "
            "here; convert it with networkx.DiGraph(graph) or networkx.Graph(graph)."
        )


def _on_positions(graph, n_columns: int, column_names):
    """Copy of the graph whose nodes are the positions of all columns, in order."""
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
    moved.add_edges_from((position[u], position[v]) for u, v in graph.edges)
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
        warnings.warn(
            f"columns {shown} are not nodes of the graph and are modelled as independent "
            "of all others; add them with graph.add_node to silence this warning.",
            UserWarning,
            stacklevel=4,
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
        cycle = [u for u, _ in nx.find_cycle(graph)]
        path = " -> ".join(repr(labels[j]) for j in [*cycle, cycle[0]])
        raise ValueError(
            f"graph has the directed cycle {path}; a Bayesian network must be acyclic. "
            "Remove one of its edges, or pass an undirected networkx.Graph."
        )


def _check_factor_size(factorization: Factorization, max_factor_size) -> None:
    largest = max(factorization.blocks, key=lambda block: len(block.factor)).factor
    if max_factor_size is not None and len(largest) > max_factor_size:
        names = [factorization.column_names[j] for j in largest]
        raise ValueError(
            f"the factor {names} has {len(largest)} columns, more than "
            f"max_factor_size={max_factor_size} (factorization from "
            f"{factorization.source}). Remove edges, or raise max_factor_size: the "
            "error of the estimate grows with the largest factor."
        )


def _complete(graph: nx.Graph) -> tuple[nx.Graph, str]:
    """Chordal graph that contains the given one, by min-fill, and its origin in words."""
    if nx.is_chordal(graph):
        return graph, "a chordal graph"
    completed = graph.copy()
    _, bags = treewidth_min_fill_in(graph)
    for bag in bags:
        completed.add_edges_from((u, v) for u in bag for v in bag if u < v)
    n_added = completed.number_of_edges() - graph.number_of_edges()
    return completed, f"an undirected graph, completed with {n_added} edges (min-fill)"


def _elimination_contexts(graph: nx.Graph) -> dict[int, tuple[int, ...]]:
    """Visiting order and earlier neighbours of a maximum cardinality search.

    On a chordal graph the neighbours visited before a node form a clique with it
    [1]_. Ties go to the smallest position.

    References
    ----------
    .. [1] R. E. Tarjan and M. Yannakakis, "Simple linear-time algorithms to test
           chordality of graphs", SIAM J. Comput. 13(3), 1984, theorem 2.
    """
    contexts: dict[int, tuple[int, ...]] = {}
    n_visited = dict.fromkeys(sorted(graph), 0)
    while n_visited:
        node = max(n_visited, key=n_visited.get)
        del n_visited[node]
        contexts[node] = tuple(sorted(j for j in graph[node] if j in contexts))
        for j in graph[node]:
            if j in n_visited:
                n_visited[j] += 1
    return contexts

"""Which columns and factors are alike, so that they may share their weights."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx


@dataclass(frozen=True)
class Sharing:
    """Labels of columns and of pairs of columns; what carries equal labels is alike.

    Attributes
    ----------
    columns : tuple
        Label of every column.
    pairs : mapping from frozenset of two columns to a label
        Labels of edges, if these tell factors apart.
    """

    columns: tuple[Hashable, ...]
    pairs: Mapping[frozenset, Hashable]

    def kind(self, columns: Sequence[int]) -> tuple:
        """Label of a factor whose slots are these columns, in this order."""
        pairs = (
            self.pairs.get(frozenset((i, j)))
            for k, i in enumerate(columns)
            for j in columns[k + 1 :]
        )
        return tuple(self.columns[j] for j in columns), tuple(pairs)


def make_sharing(graph, share_weights, names: Sequence) -> Sharing | None:
    """Sharing that the parameter `share_weights` declares on a graph.

    Parameters
    ----------
    graph : networkx.Graph or networkx.DiGraph
        On the positions of all columns.
    share_weights : bool or str
        True makes all columns alike; a string names an attribute of nodes or edges.
    names : sequence
        Names of the columns, for messages.
    """
    if not isinstance(share_weights, str):
        return Sharing((0,) * len(graph), {}) if share_weights else None
    nodes = nx.get_node_attributes(graph, share_weights)
    edges = nx.get_edge_attributes(graph, share_weights)
    _check_attribute(graph, share_weights, nodes, edges, names)
    if nodes:
        return Sharing(tuple(nodes.get(j, ("alone", j)) for j in graph), {})
    pairs = {frozenset(edge): label for edge, label in edges.items()}
    around = [frozenset(v for pair, v in pairs.items() if j in pair) for j in graph]
    labels = (label or ("alone", j) for j, label in zip(graph, around, strict=True))
    return Sharing(tuple(labels), pairs)


def numbered(labels) -> list[int]:
    """Positions of labels in the order of their first occurrence."""
    known: dict[Hashable, int] = {}
    return [known.setdefault(label, len(known)) for label in labels]


def check_sizes(sharing: Sharing, factors, names: Sequence) -> None:
    """Raise if factors of different sizes carry the same set of labels."""
    first: dict[tuple, tuple] = {}
    for factor in factors:
        labels, pairs = sharing.kind(factor)
        other = first.setdefault((frozenset(labels), frozenset(pairs)), factor)
        if len(other) != len(factor):
            a, b = ([names[j] for j in columns] for columns in (other, factor))
            raise ValueError(
                f"the factors {a} and {b} carry equal values but have {len(a)} and "
                f"{len(b)} columns, so they cannot share a network. Give their columns "
                "or edges different values, or use share_weights=True, which shares the "
                "factors of each size."
            )


def _check_attribute(graph, name: str, nodes, edges, names) -> None:
    if nodes and edges:
        raise ValueError(
            f"share_weights={name!r} is an attribute of nodes and of edges of the graph; "
            "rename one of the two."
        )
    if not nodes and not edges:
        of_nodes = sorted({str(k) for _, data in graph.nodes(data=True) for k in data})
        of_edges = sorted({str(k) for *_, data in graph.edges(data=True) for k in data})
        raise ValueError(
            f"share_weights={name!r} is no attribute of the graph; its nodes have "
            f"{of_nodes or 'none'}, its edges {of_edges or 'none'}. Set one with "
            "networkx.set_node_attributes, or use True or False."
        )
    # a column without edges may lack the attribute: it is like no other
    whole = graph.edges if edges else (j for j in graph if graph.degree(j))
    missing = sorted(set(whole) - set(edges or nodes))
    if missing:
        shown = [tuple(names[j] for j in e) if edges else names[e] for e in missing[:5]]
        raise ValueError(
            f"share_weights={name!r}: {'edges' if edges else 'nodes'} {shown} have no "
            "such attribute; give it to all of them."
        )
    for value in (edges or nodes).values():
        try:
            hash(value)
        except TypeError as error:
            raise ValueError(
                f"share_weights={name!r}: the value {value!r} cannot be compared; use "
                "strings or numbers."
            ) from error

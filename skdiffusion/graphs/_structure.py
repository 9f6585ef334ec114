"""Structure of undirected graphs: completion, orders, parts, colourings."""

from collections.abc import Iterator, Sequence

import networkx as nx
from networkx.algorithms.approximation import treewidth_min_fill_in

COLOURING_STRATEGIES = ("connected_sequential_bfs", "DSATUR", "largest_first")


def complete(graph: nx.Graph) -> nx.Graph:
    """Chordal graph that contains the given one, by the min-fill heuristic."""
    if nx.is_chordal(graph):
        return graph
    completed = graph.copy()
    _, bags = treewidth_min_fill_in(graph)
    for bag in bags:
        completed.add_edges_from((u, v) for u in bag for v in bag if u < v)
    return completed


def largest_clique(graph: nx.Graph) -> int:
    """Number of nodes of the largest clique."""
    return max(map(len, nx.find_cliques(graph)))


def cliques(graph: nx.Graph) -> tuple[tuple[int, ...], ...]:
    """Maximal cliques, each in ascending order."""
    return tuple(sorted(tuple(sorted(clique)) for clique in nx.find_cliques(graph)))


def elimination_contexts(
    graph: nx.Graph, first: Sequence[int] = ()
) -> dict[int, tuple[int, ...]]:
    """Visiting order and earlier neighbours of a maximum cardinality search.

    On a chordal graph the neighbours visited before a node form a clique with it
    [1]_. Ties go to the smallest position, but the search starts at the node in `first`.

    References
    ----------
    .. [1] R. E. Tarjan and M. Yannakakis, "Simple linear-time algorithms to test
           chordality of graphs", SIAM J. Comput. 13(3), 1984, theorem 2.
    """
    contexts: dict[int, tuple[int, ...]] = {}
    n_visited = dict.fromkeys([*first, *sorted(set(graph) - set(first))], 0)
    while n_visited:
        node = max(n_visited, key=n_visited.get)
        del n_visited[node]
        contexts[node] = tuple(sorted(j for j in graph[node] if j in contexts))
        for j in graph[node]:
            if j in n_visited:
                n_visited[j] += 1
    return contexts


def components(graph: nx.Graph) -> list[nx.Graph]:
    """Connected components, in the order of their smallest nodes."""
    parts = sorted(nx.connected_components(graph), key=min)
    return [graph.subgraph(sorted(part)) for part in parts]


def parts_at_cut_nodes(component: nx.Graph) -> Iterator[tuple[nx.Graph, tuple[int, ...]]]:
    """Two-connected parts of a connected graph, each with its node in earlier ones.

    Given that node, a cut node, a part is independent of all earlier ones. The largest
    part comes first, without such a node.
    """
    waiting = list(map(set, nx.biconnected_components(component)))
    waiting.sort(key=lambda part: (-len(part), min(part)))
    known: set[int] = set()
    while waiting:
        part = next(p for p in waiting if not known or known & p)
        waiting.remove(part)
        yield component.subgraph(sorted(part)), tuple(known & part)
        known |= part


def colouring(graph: nx.Graph, radius: int) -> list[tuple[int, ...]]:
    """Groups of nodes of which no two are within `radius` edges of each other.

    A greedy colouring of the power of the graph, the best of three orders; on a chain
    it has the least number of groups, ``radius + 1``.
    """
    close = nx.power(graph, radius) if radius > 1 else graph
    found = [nx.greedy_color(close, strategy) for strategy in COLOURING_STRATEGIES]
    colour = min(found, key=lambda c: max(c.values()))
    groups: list[list[int]] = [[] for _ in range(1 + max(colour.values()))]
    for node in sorted(colour):
        groups[colour[node]].append(node)
    return [tuple(group) for group in groups]

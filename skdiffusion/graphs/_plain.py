"""Graphs as plain lists, which any format of files can hold."""

import networkx as nx

KEYS = {"directed", "nodes", "edges"}


def to_plain(graph):
    """Nodes and edges of a networkx graph with their attributes; others unchanged."""
    if not isinstance(graph, nx.Graph):
        return graph
    return {
        "directed": graph.is_directed(),
        "nodes": [(node, dict(data)) for node, data in graph.nodes(data=True)],
        "edges": [(u, v, dict(data)) for u, v, data in graph.edges(data=True)],
    }


def from_plain(plain):
    """Graph from the result of `to_plain`."""
    if not (isinstance(plain, dict) and plain.keys() == KEYS):
        return plain
    graph = nx.DiGraph() if plain["directed"] else nx.Graph()
    graph.add_nodes_from(plain["nodes"])
    graph.add_edges_from(plain["edges"])
    return graph

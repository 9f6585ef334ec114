"""Where to draw nodes, and outlines around groups of them."""

import networkx as nx
import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

N_OUTLINE_POINTS = 48


def layout(graph: nx.Graph) -> dict[int, np.ndarray]:
    """Places of nodes, connected components side by side, at least 1 apart.

    Components are drawn by the method of Kamada and Kawai, which keeps distances in the
    plane near to those in the graph.
    """
    placed, left = {}, 0.0
    for nodes in sorted(nx.connected_components(graph), key=lambda c: (-len(c), min(c))):
        part = graph.subgraph(sorted(nodes))
        points = _apart(np.array(list(nx.kamada_kawai_layout(part).values())))
        points = points - [points[:, 0].min() - left, points[:, 1].mean()]
        placed |= dict(zip(part, points, strict=True))
        left = points[:, 0].max() + 1.2
    return placed


def _apart(points: np.ndarray) -> np.ndarray:
    """Points in the turn that needs the least room, at a least distance of 1."""
    if len(points) == 1:
        return np.zeros((1, 2))
    points = points / pdist(points).min()
    turned = [points @ _rotation(angle) for angle in np.radians(np.arange(0, 180, 0.5))]
    # the margin tells lines of all directions apart, which have no area
    room = [np.prod(np.ptp(p, axis=0) + 0.5) for p in turned]
    best = turned[int(np.argmin(np.round(room, 6)))]
    wide, high = np.ptp(best, axis=0)
    return best if wide >= high else best @ _rotation(np.pi / 2)


def _rotation(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s], [-s, c]])


def outline(points: np.ndarray, radius: float) -> np.ndarray:
    """Corners of the convex hull of discs of the given radius around points."""
    angle = np.linspace(0, 2 * np.pi, N_OUTLINE_POINTS, endpoint=False)
    disc = radius * np.c_[np.cos(angle), np.sin(angle)]
    cloud = (points[:, None] + disc).reshape(-1, 2)
    return cloud[ConvexHull(cloud).vertices]


def colours_of_groups(groups) -> list[int]:
    """Number of the colour of each group, such that groups that overlap differ."""
    overlaps = nx.Graph()
    overlaps.add_nodes_from(range(len(groups)))
    overlaps.add_edges_from(
        (a, b)
        for a in range(len(groups))
        for b in range(a)
        if set(groups[a]) & set(groups[b])
    )
    colour = nx.greedy_color(overlaps)
    return [colour[k] for k in range(len(groups))]

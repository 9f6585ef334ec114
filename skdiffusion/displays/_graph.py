"""The graph of a factorization: which columns depend on each other, in which groups."""

import textwrap

import networkx as nx
import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._columns import position
from ._common import CYCLE, GREY, LIGHT, pyplot, single_axes
from ._layout import colours_of_groups, layout, outline

HULL_RADIUS, NODE_RADIUS = 0.34, 0.22
INCHES_PER_UNIT = 1.1
SMALLEST, LARGEST = (4.8, 2.6), (12.0, 11.0)
# letters that fit on a node
LINE_LENGTH = 9
TITLE_LENGTH = 50
ROOM_FOR_LABELS = (0.0, 1.8)


class GraphDisplay:
    """The graph of a fitted factorization, with its factors as coloured groups.

    Lines join columns that depend on each other directly; those that were not in the
    given graph are dashed. Arrows lead from contexts to the columns given them.

    Parameters
    ----------
    factorization : Factorization
        The attribute `factorization_` of a fitted estimator.
    graph : networkx.Graph, networkx.DiGraph or None, default=None
        The graph it came from; None takes all edges as given.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure
    positions_ : dict of int to ndarray of shape (2,)
        Places of the columns.
    hulls_ : list of Polygon
        Outline of each factor, in the order of ``factorization.cliques``.
    arrows_ : list of tuple of int
        Pairs of a context and its column that are joined by arrows.
    added_ : set of frozenset of int
        Pairs of columns joined by dashed lines, which were not in the given graph.

    Examples
    --------
    >>> import networkx as nx
    >>> from skdiffusion import KernelScoreDensity
    >>> from skdiffusion.datasets import make_nonlinear_chain
    >>> from skdiffusion.displays import GraphDisplay
    >>> chain = make_nonlinear_chain(100, n_features=4, random_state=0)
    >>> density = KernelScoreDensity(chain.graph).fit(chain.data)
    >>> len(GraphDisplay.from_estimator(density).hulls_)
    3
    """

    def __init__(self, factorization, *, graph=None):
        self.factorization = factorization
        self.graph = graph

    @classmethod
    def from_estimator(cls, estimator, *, arrows=None, pos=None, ax=None):
        """Draw the graph of a fitted estimator.

        Parameters
        ----------
        estimator : FactorizedDiffusionDensity or KernelScoreDensity
            Fitted.
        arrows, pos, ax
            As for `plot`.

        Returns
        -------
        GraphDisplay
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "factorization_"):
            raise TypeError(
                f"{cls.__name__} shows the factorization_ of an estimator with a graph, "
                "such as FactorizedDiffusionDensity; "
                f"{type(estimator).__name__} has none."
            )
        display = cls(estimator.factorization_, graph=estimator.graph_)
        return display.plot(ax, arrows=arrows, pos=pos)

    def plot(self, ax=None, *, arrows=None, pos=None):
        """Draw the graph.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        arrows : bool, default=None
            Whether lines are arrows from contexts to columns; None is True if the given
            graph is directed. Columns diffused together have no contexts among them.
        pos : dict, default=None
            Places of the columns, by position or name; None finds some.

        Returns
        -------
        self
        """
        self.positions_ = self._places(pos)
        points = np.array([self.positions_[j] for j in sorted(self.positions_)])
        low, high = points.min(axis=0) - 0.7, points.max(axis=0) + 0.7
        size = INCHES_PER_UNIT * (high - low) + ROOM_FOR_LABELS
        self.ax_ = single_axes(ax, np.clip(size, SMALLEST, LARGEST))
        self.figure_ = self.ax_.figure
        self.ax_.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        self.ax_.set_axis_off()
        self._draw_hulls()
        self._draw_edges(arrows)
        self._draw_nodes()
        self._label()
        return self

    def _places(self, pos) -> dict:
        names, graph = self.factorization.column_names, self.factorization.markov_graph
        if pos is None:
            return layout(graph)
        placed = {position(k, names): np.asarray(v, float) for k, v in pos.items()}
        missing = [name for j, name in enumerate(names) if j not in placed]
        if missing:
            raise ValueError(f"pos has no place for the columns {missing}.")
        return placed

    def _draw_hulls(self) -> None:
        polygon, cliques = pyplot().Polygon, self.factorization.cliques
        self.hulls_ = []
        for clique, k in zip(cliques, colours_of_groups(cliques), strict=True):
            points = np.array([self.positions_[j] for j in clique])
            # outlines of different colours that pass a node do not lie on each other
            corners = outline(points, HULL_RADIUS + 0.03 * (k % 3))
            colour = CYCLE[k % len(CYCLE)]
            self.ax_.add_patch(polygon(corners, fc=colour, alpha=0.15, lw=0, zorder=0))
            line = polygon(corners, ec=colour, fill=False, lw=1.2, zorder=0)
            self.hulls_.append(self.ax_.add_patch(line))

    def _draw_edges(self, arrows) -> None:
        factorization, directed = self.factorization, isinstance(self.graph, nx.DiGraph)
        arrows = directed if arrows is None else arrows
        contexts = factorization.contexts.items() if arrows else ()
        self.arrows_ = [(c, j) for j, context in contexts for c in context]
        lines = {frozenset(edge) for edge in factorization.markov_graph.edges}
        lines -= {frozenset(edge) for edge in self.arrows_}
        given = lines if self.graph is None else self._given_edges()
        self.added_ = lines - given
        for edge in lines:
            ends = np.array([self.positions_[j] for j in sorted(edge)])
            style = "--" if edge in self.added_ else "-"
            self.ax_.plot(*ends.T, color=GREY, lw=1.5, ls=style, zorder=1)
        for c, j in self.arrows_:
            self._draw_arrow(self.positions_[c], self.positions_[j])

    def _draw_arrow(self, start, end) -> None:
        edge = NODE_RADIUS * (end - start) / np.linalg.norm(end - start)
        style = {"arrowstyle": "-|>", "color": GREY, "lw": 1.5, "mutation_scale": 15}
        style |= {"shrinkA": 0, "shrinkB": 0}
        self.ax_.annotate("", end - edge, start + edge, arrowprops=style, zorder=1)

    def _given_edges(self) -> set:
        names = self.factorization.column_names
        return {frozenset(position(u, names) for u in edge) for edge in self.graph.edges}

    def _joint_columns(self) -> set:
        blocks = self.factorization.blocks
        return {j for b in blocks if b.engine == "joint" for j in b.columns}

    def _draw_nodes(self) -> None:
        from matplotlib.patheffects import withStroke

        joint, circle = self._joint_columns(), pyplot().Circle
        # names wider than a node stay readable on lines
        halo = withStroke(linewidth=2.5, foreground="white")
        for j, place in self.positions_.items():
            colour = LIGHT if j in joint else "white"
            node = circle(place, NODE_RADIUS, fc=colour, ec=GREY, lw=1.2, zorder=2)
            self.ax_.add_patch(node)
            text = on_lines(self.factorization.column_names[j])
            size = "medium" if len(text) <= LINE_LENGTH // 2 else "small"
            centre = {"ha": "center", "va": "center", "zorder": 3}
            label = self.ax_.text(*place, text, fontsize=size, **centre)
            label.set_path_effects([halo])

    def _label(self) -> None:
        plt, f = pyplot(), self.factorization
        factor = {"fc": CYCLE[0], "alpha": 0.4, "label": "factor: columns that interact"}
        line = {"xdata": [], "ydata": [], "color": GREY}
        dot = {"marker": "o", "mfc": LIGHT, "mec": GREY, "ls": "", "ms": 9}
        handles = [plt.Polygon([[0, 0]], **factor)]
        if self.arrows_:
            label = "from context to column"
            handles.append(plt.Line2D(**line, marker=">", label=label))
        if self.added_:
            directed = isinstance(self.graph, nx.DiGraph)
            label = "parents of one column" if directed else "added by completion"
            handles.append(plt.Line2D(**line, ls="--", label=label))
        if self._joint_columns():
            handles.append(plt.Line2D([], [], label="diffused together", **dot))
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0)}
        self.ax_.legend(handles=handles, ncols=2, frameon=False, **place)
        source = textwrap.fill(f"Factors from {f.source}", TITLE_LENGTH)
        sizes = f"largest factor: {f.largest_factor} columns; treewidth: {f.treewidth}"
        self.ax_.set_title(f"{source}\n{sizes}", fontsize="medium")


def on_lines(name: str) -> str:
    """A long name broken at spaces and underscores, into lines that fit on a node."""
    lines = textwrap.wrap(name.replace("_", "_ "), LINE_LENGTH, break_long_words=False)
    return "\n".join(line.replace("_ ", "_") for line in lines)

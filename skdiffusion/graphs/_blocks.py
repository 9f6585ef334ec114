"""Blocks of columns, and a factorization as a list of them."""

from dataclasses import dataclass, fields, replace
from functools import cached_property

import networkx as nx
from networkx.algorithms.approximation import treewidth_min_fill_in

from ._plain import from_plain, to_plain
from ._sharing import Sharing

MAX_NAMES = 8
MAX_CLIQUES = 24


def generations(contexts: dict[int, tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """Columns grouped so that each group depends on earlier groups only.

    Parameters
    ----------
    contexts : dict
        Context of every column; every context precedes its column.
    """
    depth: dict[int, int] = {}
    for j, context in contexts.items():
        depth[j] = 1 + max((depth[i] for i in context), default=-1)
    levels = range(max(depth.values()) + 1)
    return tuple(tuple(sorted(j for j in depth if depth[j] == k)) for k in levels)


@dataclass(frozen=True)
class Block:
    """Columns modelled together, given the columns of their context.

    Attributes
    ----------
    columns, context : tuple of int
        Positions of columns.
    engine : str
        Kind of model; "joint" before training is diffused together along its factors.
    factors : tuple of tuple of int
        For a joint block, the groups of columns that one small network reads.
    """

    columns: tuple[int, ...]
    context: tuple[int, ...]
    engine: str = "conditional"
    factors: tuple[tuple[int, ...], ...] = ()

    @property
    def factor(self) -> tuple[int, ...]:
        """All columns the block reads, in ascending order."""
        return tuple(sorted(self.columns + self.context))

    @property
    def cliques(self) -> tuple[tuple[int, ...], ...]:
        """Groups of columns that depend on each other directly within the block."""
        return self.factors or (self.factor,)


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
    sharing : Sharing or None
        Which factors share their weights; None if none do.
    is_bayesian_network : bool
        Whether the blocks are the columns given their parents in a directed graph.
    """

    blocks: tuple[Block, ...]
    column_names: tuple[str, ...]
    markov_graph: nx.Graph
    source: str
    sharing: Sharing | None = None
    is_bayesian_network: bool = False

    @property
    def contexts(self) -> dict[int, tuple[int, ...]]:
        """Context of every column, in the order of the blocks."""
        return {j: block.context for block in self.blocks for j in block.columns}

    @property
    def has_joint_blocks(self) -> bool:
        """Whether some columns are diffused together."""
        return any(block.engine == "joint" for block in self.blocks)

    @property
    def labels(self) -> tuple | None:
        """Labels of the columns, equal where they share a scaling; None if none do."""
        return self.sharing.columns if self.sharing else None

    @property
    def structure(self) -> tuple:
        """Blocks without their engines: what two factorizations have in common."""
        return tuple((b.columns, b.context, b.factors) for b in self.blocks)

    @property
    def largest_factor(self) -> int:
        """Number of columns of the largest factor, d in the rate of convergence."""
        return max(map(len, self.cliques))

    @cached_property
    def cliques(self) -> tuple[tuple[int, ...], ...]:
        """Maximal factors: the factors that no other factor contains."""
        kept: list[set] = []
        factors = {factor for block in self.blocks for factor in block.cliques}
        for factor in sorted(factors, key=len, reverse=True):
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
        return generations(self.contexts)

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

    def __getstate__(self):
        names = (field.name for field in fields(self))
        state = {name: getattr(self, name) for name in names}
        return state | {"markov_graph": to_plain(self.markov_graph)}

    def __setstate__(self, state):
        # the class is frozen, and what it caches is computed again
        graph = from_plain(state["markov_graph"])
        vars(self).update(state | {"markov_graph": graph})

    def _label(self, columns) -> str:
        names = [self.column_names[j] for j in columns]
        if len(names) <= MAX_NAMES:
            return ", ".join(names)
        return f"{', '.join(names[:3])}, ..., {names[-1]} ({len(names)} columns)"

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
        shown = self.cliques[:MAX_CLIQUES]
        lines.append("  cliques:")
        lines.extend(f"    {{{self._label(clique)}}}" for clique in shown)
        if len(shown) < len(self.cliques):
            lines.append(f"    ... and {len(self.cliques) - len(shown)} more")
        return "\n".join(lines)

    __repr__ = __str__

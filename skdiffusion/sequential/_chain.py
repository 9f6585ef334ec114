"""A density as a chain of blocks, and what is known of its columns."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ..denoisers import Denoiser
from ..flow import Path
from ..graphs import generations


@dataclass(frozen=True)
class Chain:
    """A density as a list of denoisers that is walked with contexts first.

    Attributes
    ----------
    denoisers : sequence of Denoiser
        Together they own every column once.
    contexts : dict
        Context of every column; every context precedes its column.
    path : Path
        Time grid and solver.
    log_density : callable
        From a denoiser and rows to the log-density of its own columns given their
        contexts, shape (n_samples, n_terms).
    """

    denoisers: list[Denoiser]
    contexts: dict[int, tuple[int, ...]]
    path: Path
    log_density: Callable[[Denoiser, Tensor], Tensor]

    @cached_property
    def blocks(self) -> dict[int, tuple[int, ...]]:
        """For each column the columns that are modelled together with it."""
        return {
            j: (j,) if denoiser.separable else tuple(denoiser.columns)
            for denoiser in self.denoisers
            for j in denoiser.columns
        }

    def with_ancestors(self, columns: Collection[int], forced=()) -> set[int]:
        """Columns on which the law of some columns depends, and these themselves.

        Forced columns depend on nothing.
        """
        found, queue = set(), list(columns)
        while queue:
            j = queue.pop()
            if j not in found:
                found.add(j)
                if j not in forced:
                    queue += [*self.contexts[j], *self.blocks[j]]
        return found

    def groups(self, columns: Collection[int]) -> Iterator[tuple[Denoiser, list[int]]]:
        """Denoisers with those of their columns that are asked for, contexts first."""
        for generation in generations(self.contexts):
            for denoiser in self.denoisers:
                own = [j for j in denoiser.columns if j in generation and j in columns]
                if own:
                    yield denoiser, own


@dataclass(frozen=True)
class Evidence:
    """What is known of the columns, for one or several conditions at once.

    Attributes
    ----------
    value : Tensor of shape (n_conditions, n_features)
        In standardised units; NaN where a column is not fixed.
    low, high : Tensor of shape (n_conditions, n_features)
        Limits of intervals; infinite where there are none.
    fixed, bounded : frozenset of int
        Columns with a value and with an interval.
    forced : frozenset of int
        Fixed columns whose values are set from outside and say nothing of others.
    """

    value: Tensor
    low: Tensor
    high: Tensor
    fixed: frozenset[int]
    bounded: frozenset[int]
    forced: frozenset[int] = frozenset()

    @property
    def telling(self) -> frozenset[int]:
        """Columns that weigh particles."""
        return (self.fixed | self.bounded) - self.forced

    def is_exact(self, chain: Chain) -> bool:
        """Whether all weights are equal: only fixed columns precede telling ones."""
        return all(
            set(chain.contexts[j]) <= self.fixed
            and (chain.blocks[j] == (j,) or set(chain.blocks[j]) <= self.fixed)
            for j in self.telling
        )

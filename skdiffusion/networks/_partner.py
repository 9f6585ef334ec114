"""Models of columns in closed form, to be averaged with networks."""

from typing import Self

from torch import Tensor

from ._columns import ConditionalColumns
from ._conditional import ConditionalNetwork

# least scale of a component in noise floors: spikes, one for each value that repeats,
# need a finer solver than scores have
NARROWEST = 2.0


class ConditionalPartner(ConditionalColumns):
    """Columns that are mixtures of normal distributions given their contexts.

    A subclass has a buffer `mean` of shape (n_own, n_components), says what it is called
    in `name` and how many arrays of the size of `mean` an evaluation of a row holds in
    `arrays_at_once`, extends `sizes`, implements `encode` and `velocity_and_divergence`,
    and is made by a class method `beside` in the coordinates of a network.
    """

    name: str
    arrays_at_once: int
    mean: Tensor

    @classmethod
    def like(cls, network: ConditionalNetwork, **sizes) -> Self:
        """As constructed, in the coordinates of the columns of a network."""
        sizes |= {"context_size": network.coef.shape[1]}
        new = cls(network.columns, network.contexts, **sizes).to(network.coef)
        own, theirs = new.state_dict(), network.state_dict()
        new.load_state_dict({k: theirs.get(k, value) for k, value in own.items()})
        return new

    @property
    def floats_per_row(self) -> int:
        return self.mean.numel() * self.arrays_at_once

    def velocity(self, r_t: Tensor, t: Tensor, code) -> Tensor:
        return self.velocity_and_divergence(r_t, t, code)[0]

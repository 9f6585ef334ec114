"""What training asks of a score network, beside the contract of a denoiser."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .._torch import to_numpy
from ..denoisers import Denoiser


class ScoreNetwork(Denoiser):
    """A denoiser with weights.

    Attributes
    ----------
    t_min : float
        Smallest time.
    dropout : float
        Share of hidden units dropped in training.
    default_dropout : float
        The share that suits the network, if none is asked for.
    n_parts : int
        Number of parts, see Notes.
    noise : torch.Generator or None
        Source of what is dropped; set by training.

    Notes
    -----
    A network falls into parts that train without influencing each other; each may keep
    the weights of another step. Weights that are shared are held as equal copies whose
    gradients are added up, so that nothing but `add_weights`, `tie_weights` and
    `tie_gradients` knows of sharing.
    """

    t_min: float
    dropout: float
    n_parts: int
    default_dropout: float = 0.0
    noise: torch.Generator | None = None

    def drop(self, hidden: Tensor) -> Tensor:
        """Hidden units of which some are dropped, in training only."""
        if not (self.training and self.dropout):
            return hidden
        kept = torch.empty_like(hidden).bernoulli_(1 - self.dropout, generator=self.noise)
        return hidden * kept.div_(1 - self.dropout)

    def weight_decay(self, n_rows: int) -> float:
        """Weight decay that suits the network and so many rows, if none is asked for."""
        return 0.01

    def part_scores(self, terms: Tensor) -> Tensor:
        """Log-density of each part, (n, n_parts), from that of own columns."""
        raise NotImplementedError

    def take_over(self, other: "ScoreNetwork", parts: Tensor) -> None:
        """Copy the weights of some parts, given by a mask of shape (n_parts,)."""
        raise NotImplementedError

    def engines(self) -> dict[tuple[int, ...], str]:
        """Kind of model of the columns of every block, for printing."""
        raise NotImplementedError

    def options(self) -> dict:
        """Keyword arguments of the constructor."""
        raise NotImplementedError

    def add_weights(self, shapes: dict[str, tuple], kinds: Sequence[int]) -> None:
        """Register parameters of zeros; entries of their first axes have these kinds."""
        like = [kinds.index(kind) for kind in kinds]
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))
            if like != list(range(len(like))):
                first = torch.tensor(like)
                self.register_buffer(f"like_{name}", first, persistent=False)

    def _shared(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Parameters with shared entries, and the first entry like each."""
        for name, parameter in self.named_parameters():
            like = getattr(self, f"like_{name}", None)
            if like is not None:
                yield parameter, like

    def tie_weights(self) -> None:
        """Give all entries of a kind the weights of the first of them.

        Copies have equal gradients, but optimisers and averages may round them
        differently, by their place in memory.
        """
        for parameter, like in self._shared():
            parameter.data.copy_(parameter.data[like])

    def tie_gradients(self) -> None:
        """Add up the gradients of all entries of a kind."""
        for parameter, like in self._shared():
            total = torch.zeros_like(parameter.grad)
            parameter.grad = total.index_add_(0, like, parameter.grad)[like]

    def to_state(self) -> dict:
        """Options and weights as plain numbers and numpy arrays."""
        arrays = {name: to_numpy(value) for name, value in self.state_dict().items()}
        return {"network": type(self).__name__, **self.options(), "arrays": arrays}

    @classmethod
    def from_state(cls, state: dict) -> "ScoreNetwork":
        """Network from the result of `to_state`."""
        options = {k: v for k, v in state.items() if k not in ("network", "arrays")}
        network = cls(**options)
        # arrays that a later release added keep their defaults
        arrays = {k: to_numpy(v) for k, v in network.state_dict().items()}
        arrays |= state["arrays"]
        network.load_state_dict(
            {k: torch.tensor(np.asarray(a)) for k, a in arrays.items()}
        )
        return network

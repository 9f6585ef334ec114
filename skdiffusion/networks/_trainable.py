"""What training asks of a score network, beside the contract of a denoiser."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .._torch import load_arrays, to_arrays
from ..denoisers import Denoiser


def _random_bytes(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Bytes of the shape of an array; eight for the price of one random number."""
    words = torch.empty(-(-like.numel() // 8), dtype=torch.int64, device=like.device)
    words.random_(-(2**63), None, generator=generator)
    return words.view(torch.uint8)[: like.numel()].view(like.shape)


class Dropout:
    """Hidden units dropped along one path.

    What is dropped in a layer is drawn when it is first reached and stays dropped, so
    that all evaluations of a path, and derivatives beside values, see one network.
    """

    def __init__(self, share: float, noise: torch.Generator | None):
        self.n_dropped = min(255, round(256 * share))
        self.noise, self.masks = noise, {}

    def mask(self, layer, hidden: Tensor) -> Tensor:
        """Zero for what is dropped in a layer; the rest makes up for it."""
        if layer not in self.masks:
            kept = _random_bytes(hidden, self.noise) >= self.n_dropped
            scale = 256 / (256 - self.n_dropped)
            self.masks[layer] = kept.to(hidden.dtype).mul_(scale)
        return self.masks[layer]


class Code(NamedTuple):
    """What evaluations of a network on one path share.

    Attributes
    ----------
    context : Tensor
        What the network makes of the context.
    dropout : Dropout or None
        In training, if anything is dropped.
    """

    context: Tensor
    dropout: Dropout | None


class ScoreNetwork(Denoiser):
    """A denoiser with weights.

    Attributes
    ----------
    t_min : float
        Smallest time.
    n_parts : int
        Number of parts, see Notes.
    dropout : float
        Share of hidden units dropped in training; set by training.
    noise : torch.Generator or None
        Source of what is dropped; set by training.

    Notes
    -----
    A network falls into parts that train without influencing each other; each may keep
    the weights of another step. Weights that are shared are held as equal copies whose
    gradients are added up by `tie_weights` and `tie_gradients`; besides, a row counts
    for every column that shares (`copies`).
    """

    t_min: float
    n_parts: int
    dropout: float = 0.0
    noise: torch.Generator | None = None

    def code(self, context: Tensor) -> Code:
        """Code of a path along which units are dropped, in training only."""
        drops = self.training and self.dropout > 0
        return Code(context, Dropout(self.dropout, self.noise) if drops else None)

    @staticmethod
    def copies(kinds: Sequence[int]) -> float:
        """Columns of a kind on average: how often a row counts for the weights."""
        return len(kinds) / len(set(kinds))

    def default_dropout(self, n_rows: int) -> float:
        """Dropout that suits the network and so many rows, if none is asked for."""
        raise NotImplementedError

    def default_weight_decay(self, n_rows: int) -> float:
        """Weight decay that suits the network and so many rows, if none is asked for."""
        raise NotImplementedError

    def columns_read(self) -> Tensor:
        """How many columns each part reads beside one that it models, (n_parts,).

        Divided by the number of columns that share the part: a row counts for each.
        """
        raise NotImplementedError

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

    def keep_ranges(self, r: Tensor, context: Tensor) -> None:
        """Remember ranges beyond which inputs level off; rows are the axis before last.

        The process ends at a standard normal, whose draws must stay inside.
        """
        self.own_low.copy_(r.amin(-2).clamp(max=-4.0))
        self.own_high.copy_(r.amax(-2).clamp(min=4.0))
        self.context_low.copy_(context.amin(-2).view_as(self.context_low))
        self.context_high.copy_(context.amax(-2).view_as(self.context_high))

    def to_state(self) -> dict:
        """Options and weights as plain numbers and numpy arrays."""
        name = type(self).__name__
        return {"network": name, **self.options(), "arrays": to_arrays(self)}

    @classmethod
    def from_state(cls, state: dict) -> "ScoreNetwork":
        """Network from the result of `to_state`."""
        options = {k: v for k, v in state.items() if k not in ("network", "arrays")}
        network = cls(**options)
        load_arrays(network, state["arrays"])
        return network

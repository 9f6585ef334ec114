"""Many columns, each given its own context: what all their models have in common.

The coordinate of a column is the residual of its linear regression on its context, in
units of the scale of that residual. Every tensor has the columns on its first axis, so a
part of the columns is a slice of all tensors; contexts are padded to one size with zeros.
"""

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ._features import level_off

# with more, the intermediate results of enough rows would leave the cache
COLUMNS_PER_EVALUATION = 16


class ConditionalColumns(Denoiser):
    """Columns that are independent given their contexts.

    Parameters
    ----------
    columns : sequence of int
        The columns it owns, one block each.
    contexts : sequence of sequence of int
        The context of each column.
    context_size : int, default=None
        Size to which contexts are padded; None is the size of the largest.

    Notes
    -----
    A subclass extends `sizes` by the other keyword arguments of its constructor.
    """

    separable = True

    def __init__(self, columns, contexts, *, context_size=None):
        super().__init__()
        self.columns = tuple(columns)
        self.contexts = tuple(tuple(context) for context in contexts)
        k, largest = len(self.columns), max(map(len, self.contexts))
        C = largest if context_size is None else context_size
        padded = [(*c, *([-1] * (C - len(c)))) for c in self.contexts]
        index = torch.tensor(padded, dtype=torch.long).reshape(k, C)
        self.register_buffer("context_index", index)
        self.colours = torch.ones(1, k)
        self.register_buffer("coef", torch.zeros(k, C, 1))
        self.register_buffer("intercept", torch.zeros(k))
        self.register_buffer("scale", torch.ones(k))
        self.register_buffer("active", torch.ones(k))
        for end in ("low", "high"):
            self.register_buffer(f"context_{end}", torch.zeros(k, 1, C))

    def sizes(self) -> dict:
        """Keyword arguments that make another one of the same shape."""
        return {"context_size": self.coef.shape[1]}

    def select(self, columns) -> "ConditionalColumns":
        keep = [self.columns.index(j) for j in columns]
        contexts = [self.contexts[i] for i in keep]
        part = type(self)(columns, contexts, **self.sizes()).to(self.coef)
        part.load_state_dict({name: x[keep] for name, x in self.state_dict().items()})
        trains = any(weight.requires_grad for weight in self.parameters())
        return part.train(self.training).requires_grad_(trains)

    def split(self) -> list[Denoiser]:
        size = COLUMNS_PER_EVALUATION
        if len(self.columns) <= size:
            return [self]
        starts = range(0, len(self.columns), size)
        return [self.select(self.columns[i : i + size]) for i in starts]

    def gather(self, z: Tensor) -> Tensor:
        """Context of every column, shape (k, n, C), padded with zeros."""
        padded = torch.cat([z, torch.zeros_like(z[:, :1])], dim=1)
        return padded[:, self.context_index].transpose(0, 1)

    def context_inputs(self, z: Tensor) -> Tensor:
        """Context of every column in the precision of the model, levelled off."""
        context = self.gather(z).to(self.coef.dtype)
        return level_off(context, self.context_low, self.context_high)

    def location(self, z: Tensor) -> Tensor:
        """Linear regression on the context, shape (n, k)."""
        linear = torch.bmm(self.gather(z), self.coef.to(z.dtype))
        return linear.squeeze(-1).T + self.intercept

    def to_own(self, z: Tensor) -> tuple[Tensor, Tensor]:
        r = (z[:, list(self.columns)] - self.location(z)) / self.scale
        return r, -torch.log(self.scale.to(z.dtype)).expand_as(r)

    def from_own(self, r: Tensor, z: Tensor) -> Tensor:
        return self.location(z) + self.scale * r

"""Values with several directional derivatives carried along (forward mode).

An array holds the rows of values and below them, direction by direction, their
derivatives, so that every linear operation is one operation on the whole array. Unlike
`dual`, each result is new memory, and torch can differentiate through it.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


class Carried:
    """Values of shape (k, n, H) and their derivatives in c directions.

    Parameters
    ----------
    rows : Tensor of shape (k, (1 + c) * n, H)
        Values first.
    n : int
        Number of rows of values.
    """

    def __init__(self, rows: Tensor, n: int):
        self.rows, self.n = rows, n

    @classmethod
    def constant(cls, value: Tensor) -> "Carried":
        """Values without derivatives."""
        return cls(value, value.shape[1])

    @classmethod
    def seeded(cls, value: Tensor, tangents: Tensor) -> "Carried":
        """Values (k, n, H) with given derivatives (k, c, n, H)."""
        both = torch.cat([value.unsqueeze(1), tangents], dim=1)
        return cls(both.flatten(1, 2), value.shape[1])

    @property
    def value(self) -> Tensor:
        """Values, (k, n, H)."""
        return self.rows[:, : self.n]

    @property
    def tangents(self) -> Tensor:
        """Derivatives, (k, c, n, H)."""
        return self._by_direction()[:, 1:]

    def _by_direction(self) -> Tensor:
        return self.rows.unflatten(1, (-1, self.n))

    @property
    def _is_constant(self) -> bool:
        return self.rows.shape[1] == self.n

    def matmul(self, w: Tensor, add: "Carried | Tensor | None" = None) -> "Carried":
        """Product with w (k, H, K) plus another array, or a constant of the values."""
        if isinstance(add, Carried):
            return Carried(torch.baddbmm(add.rows, self.rows, w), self.n)
        if add is not None and self._is_constant:
            return Carried(torch.baddbmm(add, self.rows, w), self.n)
        product = torch.bmm(self.rows, w)
        if add is not None:
            product[:, : self.n] += add
        return Carried(product, self.n)

    def silu(self, gate: Tensor | None = None) -> "Carried":
        """Silu of the values, multiplied by a gate before if one is given."""
        value = self.value if gate is None else self.value * gate
        if self._is_constant:
            return Carried(F.silu(value), self.n)
        sigmoid = torch.sigmoid(value)
        result = value * sigmoid
        slope = torch.addcmul(sigmoid, result, 1 - sigmoid)
        slope = slope if gate is None else slope * gate
        rows = self._by_direction() * slope.unsqueeze(1)
        rows[:, 0] = result
        return Carried(rows.flatten(1, 2), self.n)

    def zeros(self) -> "Carried":
        """Zeros of the same shape."""
        return Carried(torch.zeros_like(self.rows), self.n)

    def first_nodes(self, k: int) -> "Carried":
        """The first entries of the leading axis."""
        return Carried(self.rows[:k], self.n)

    def slots(self, nodes: Tensor) -> "Carried":
        """Entries of factors side by side: (f, n, s H) for nodes of shape (f, s)."""
        chosen = self.rows[nodes.flatten()].unflatten(0, nodes.shape)
        return Carried(chosen.transpose(1, 2).flatten(2), self.n)

    def add_slots(self, messages: "Carried", nodes: Tensor) -> None:
        """Add what factors send, (f, n, s H), to the nodes of their slots, in place."""
        sent = messages.rows.unflatten(2, (nodes.shape[1], -1)).transpose(1, 2)
        self.rows.index_add_(0, nodes.flatten(), sent.flatten(0, 1))

    def add_scaled(self, other: "Carried", scale: Tensor) -> "Carried":
        """Sum with another array times a factor for each leading entry."""
        return Carried(torch.addcmul(self.rows, other.rows, scale), self.n)

    @classmethod
    def cat(cls, parts: list) -> "Carried":
        """Arrays side by side along the last axis."""
        return cls(torch.cat([part.rows for part in parts], dim=2), parts[0].n)

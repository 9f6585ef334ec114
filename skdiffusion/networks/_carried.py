"""Values with several directional derivatives carried along (forward mode).

An array holds the rows of values and below them, direction by direction, their
derivatives, so that every linear operation is one operation on the whole array. Unlike
`dual`, each result is new memory, and torch can differentiate through it.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class Silu(torch.autograd.Function):
    """y = x s with s = sigmoid(x), and dy = m dx with m = s + y (1 - s).

    By hand, since every array less counts: this is where training for likelihood spends
    its time.
    """

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        """Values x[:, 0] and derivatives x[:, 1:], of shape (k, 1 + c, n, H)."""
        y = torch.empty_like(x)
        s = torch.sigmoid(x[:, 0])
        torch.mul(x[:, 0], s, out=y[:, 0])
        m = torch.addcmul(s, y[:, 0], s, value=-1).add_(y[:, 0])
        torch.mul(x[:, 1:], m.unsqueeze(1), out=y[:, 1:])
        ctx.save_for_backward(x, s, m)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        """Gradient of x; the slope of m is s (1 - s) (2 + x (1 - 2 s))."""
        x, s, m = ctx.saved_tensors
        bend = torch.addcmul(s, s, s, value=-1)
        bend.mul_(torch.addcmul(x[:, 0] + 2, x[:, 0], s, value=-2))
        result = grad * m.unsqueeze(1)
        result[:, 0].addcmul_(bend, torch.einsum("kcnh,kcnh->knh", grad[:, 1:], x[:, 1:]))
        return result


class Affine(torch.autograd.Function):
    """Rows times w, plus a bias on those that are values, plus other rows if given."""

    @staticmethod
    def forward(ctx, rows: Tensor, w: Tensor, bias: Tensor, n: int, onto) -> Tensor:
        """Result of shape (k, (1 + c) n, K); the first n rows of `rows` are values."""
        ctx.save_for_backward(rows, w)
        ctx.n, ctx.shape = n, bias.shape
        product = torch.bmm(rows, w) if onto is None else torch.baddbmm(onto, rows, w)
        product[:, :n] += bias
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        """Gradients of the rows, w, the bias and the other rows."""
        rows, w = ctx.saved_tensors
        needs = ctx.needs_input_grad
        to_rows = torch.bmm(grad, w.transpose(1, 2)) if needs[0] else None
        to_w = torch.bmm(rows.transpose(1, 2), grad) if needs[1] else None
        to_bias = grad[:, : ctx.n].sum_to_size(ctx.shape) if needs[2] else None
        return to_rows, to_w, to_bias, None, grad if needs[4] else None


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

    def matmul(self, w: Tensor, bias: Tensor | None = None, onto=None) -> "Carried":
        """Product with w (k, H, K), plus a constant of the values, plus other rows."""
        onto = None if onto is None else onto.rows
        if bias is not None and not self._is_constant:
            return Carried(Affine.apply(self.rows, w, bias, self.n, onto), self.n)
        product = torch.bmm(self.rows, w) if onto is None else onto.baddbmm(self.rows, w)
        return Carried(product if bias is None else product.add_(bias), self.n)

    def silu(self, gate: Tensor | None = None) -> "Carried":
        """Silu of the values, multiplied by a gate before if one is given."""
        rows = self._by_direction()
        rows = rows if gate is None else rows * gate.unsqueeze(1)
        rows = F.silu(rows) if self._is_constant else Silu.apply(rows)
        return Carried(rows.flatten(1, 2), self.n)

    def drop(self, dropout, layer) -> "Carried":
        """Units of a layer dropped from values and derivatives alike, if any are."""
        if dropout is None:
            return self
        mask = dropout.mask(layer, self.value)
        rows = self._by_direction() * mask.unsqueeze(1)
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

"""A residual network in memory that is used again, with derivatives carried forward.

Scoring and sampling evaluate a network dozens of times on the same rows. New memory for
every intermediate result would cost more than the arithmetic, so all results of a path
are written into one set of arrays. Derivatives with respect to the own columns are
carried along with the values (dual numbers): values are the first n rows of each
array, derivatives the other n. Nothing here can be differentiated by torch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# with n rows and H hidden units: context, gate, and three arrays of 2 n rows
ARRAYS_OF_A_PASS = 8


@dataclass(frozen=True)
class Layer:
    """Weights of a residual block: h + (silu(silu(h) @ w + b) @ w_outer + b_outer)."""

    w_inner: Tensor
    b_inner: Tensor
    w_outer: Tensor
    b_outer: Tensor


class Dual:
    """An array of values and, below them, their derivatives."""

    def __init__(self, k: int, n: int, H: int, like: Tensor):
        self.both = like.new_empty(k, 2 * n, H)
        self.value, self.derivative = self.both[:, :n], self.both[:, n:]

    def part(self, with_derivative: bool) -> Tensor:
        """Values with or without their derivatives."""
        return self.both if with_derivative else self.value


class DualPass:
    """Evaluations of a network at the same context, one after the other.

    Parameters
    ----------
    code : Tensor of shape (k, n, H)
        Part of the first layer that does not change along the path.
    w_own : Tensor of shape (k, 1, H)
        Weights of the own inputs in the first layer.
    layers : sequence of Layer
        Residual blocks.
    w_out, b_out : Tensor of shape (k, H, 1) and (k, 1, 1)
        Output layer.
    """

    def __init__(self, code: Tensor, w_own: Tensor, layers, w_out: Tensor, b_out: Tensor):
        self.code, self.w_own, self.layers = code, w_own, layers
        self.w_out, self.b_out = w_out, b_out
        self.gate = torch.empty_like(code)
        self.hidden, self.activated, self.inner = (
            Dual(*code.shape, like=code) for _ in range(3)
        )

    def run(self, own: Tensor, time_part: Tensor, slope: Tensor | None = None):
        """Output, and its derivative if a slope is given, both of shape (k, n, 1).

        Parameters
        ----------
        own : Tensor of shape (k, n, 1)
            Own inputs.
        time_part : Tensor of shape (k, 1, H)
            Part of the first layer that reads the time.
        slope : Tensor of shape (k, n, 1), default=None
            Derivatives of the own inputs; None halves the cost.
        """
        dual = slope is not None
        h, a, g = self.hidden, self.activated, self.inner
        torch.addcmul(self.code, own, self.w_own, out=h.value).add_(time_part)
        if dual:
            torch.mul(slope, self.w_own, out=h.derivative)
        for layer in self.layers:
            self._silu(h, a, dual)
            torch.bmm(a.part(dual), layer.w_inner, out=g.part(dual))
            g.value.add_(layer.b_inner)
            self._silu(g, a, dual)
            h.part(dual).baddbmm_(a.part(dual), layer.w_outer)
            h.value.add_(layer.b_outer)
        self._silu(h, a, dual)
        value = torch.baddbmm(self.b_out, a.value, self.w_out)
        return value, torch.bmm(a.derivative, self.w_out) if dual else None

    def _silu(self, x: Dual, y: Dual, dual: bool) -> None:
        """Y = x * s with s = sigmoid(x), and dy = (s + y * (1 - s)) * dx."""
        s = torch.sigmoid(x.value, out=self.gate)
        torch.mul(x.value, s, out=y.value)
        if dual:
            torch.addcmul(s, y.value, s, value=-1, out=y.derivative)
            y.derivative.add_(y.value).mul_(x.derivative)

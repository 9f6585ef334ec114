"""The conditional network without gradients, in memory that is used again.

Scoring and sampling evaluate a network dozens of times on the same rows. New memory for
every intermediate result would cost more than the arithmetic, so all results of a path
are written into one set of arrays. Derivatives with respect to the own columns are
carried along with the values (dual numbers): values are the first n rows of each
array, derivatives the other n.
"""

import torch
from torch import Tensor

# with n rows and H hidden units: context, gate, and three arrays of 2 n rows
ARRAYS_OF_A_PASS = 8


class Dual:
    """An array of values and, below them, their derivatives."""

    def __init__(self, both: Tensor, n: int):
        self.both, self.value, self.derivative = both, both[:, :n], both[:, n:]


class FusedPass:
    """Evaluations of a conditional network at the same context, one after the other.

    Parameters
    ----------
    network : ConditionalNetwork
        Its weights are read, not copied.
    first : Tensor of shape (k, n, H)
        Part of the first layer that does not change along the path.
    """

    def __init__(self, network, first: Tensor):
        k, n, H = first.shape
        self.first, self.w_own = first, network.w_own
        self.layers = [
            [w[:, i] for w in (network.w_inner, network.b_inner)]
            + [w[:, i] for w in (network.w_outer, network.b_outer)]
            for i in range(network.n_layers)
        ]
        self.w_out, self.b_out = network.w_out, network.b_out
        self.gate = torch.empty_like(first)
        self.hidden, self.activated, self.inner = (
            Dual(first.new_empty(k, 2 * n, H), n) for _ in range(3)
        )

    def run(self, own: Tensor, slope: Tensor, time_part: Tensor) -> tuple[Tensor, Tensor]:
        """Output and its derivative for own inputs, both of shape (k, n, 1).

        Parameters
        ----------
        own, slope : Tensor of shape (k, n, 1)
            Inputs, and their derivatives with respect to the own columns.
        time_part : Tensor of shape (k, 1, H)
            Part of the first layer that reads the time.
        """
        h, a, g = self.hidden, self.activated, self.inner
        torch.addcmul(self.first, own, self.w_own, out=h.value).add_(time_part)
        torch.mul(slope, self.w_own, out=h.derivative)
        for w_inner, b_inner, w_outer, b_outer in self.layers:
            self._silu_dual(h, a)
            torch.bmm(a.both, w_inner, out=g.both)
            g.value.add_(b_inner)
            self._silu_dual(g, a)
            h.both.baddbmm_(a.both, w_outer)
            h.value.add_(b_outer)
        self._silu_dual(h, a)
        output = torch.bmm(a.both, self.w_out)
        n = own.shape[1]
        return output[:, :n] + self.b_out, output[:, n:]

    def run_value(self, own: Tensor, time_part: Tensor) -> Tensor:
        """Output alone, shape (k, n, 1), at half the cost."""
        h, a, g = self.hidden.value, self.activated.value, self.inner.value
        torch.addcmul(self.first, own, self.w_own, out=h).add_(time_part)
        for w_inner, b_inner, w_outer, b_outer in self.layers:
            self._silu(h, a)
            torch.bmm(a, w_inner, out=g)
            g.add_(b_inner)
            self._silu(g, a)
            h.baddbmm_(a, w_outer)
            h.add_(b_outer)
        self._silu(h, a)
        return torch.bmm(a, self.w_out) + self.b_out

    def _silu(self, x: Tensor, y: Tensor) -> None:
        """Write x * sigmoid(x) to y, and sigmoid(x) to the gate."""
        torch.sigmoid(x, out=self.gate)
        torch.mul(x, self.gate, out=y)

    def _silu_dual(self, x: Dual, y: Dual) -> None:
        """Value, and derivative s + y * (1 - s) times that of x, with s the gate."""
        self._silu(x.value, y.value)
        torch.addcmul(self.gate, y.value, self.gate, value=-1, out=y.derivative)
        y.derivative.add_(y.value).mul_(x.derivative)

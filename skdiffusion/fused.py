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
        self.network, self.first = network, first
        k, n, H = first.shape
        self.gate = torch.empty_like(first)
        self.hidden, self.activated, self.inner = (
            first.new_empty(k, 2 * n, H) for _ in range(3)
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
        net, n = self.network, own.shape[1]
        h, a, g = self.hidden, self.activated, self.inner
        torch.addcmul(self.first, own, net.w_own, out=h[:, :n])
        h[:, :n] += time_part
        torch.mul(slope, net.w_own, out=h[:, n:])
        for layer in range(net.n_layers):
            self._silu(h, a)
            torch.bmm(a, net.w_inner[:, layer], out=g)
            g[:, :n] += net.b_inner[:, layer]
            self._silu(g, a)
            h.baddbmm_(a, net.w_outer[:, layer])
            h[:, :n] += net.b_outer[:, layer]
        self._silu(h, a)
        output = torch.bmm(a, net.w_out)
        return output[:, :n] + net.b_out, output[:, n:]

    def run_value(self, own: Tensor, time_part: Tensor) -> Tensor:
        """Output alone, shape (k, n, 1), at half the cost."""
        net, n = self.network, own.shape[1]
        h, a, g = self.hidden[:, :n], self.activated[:, :n], self.inner[:, :n]
        torch.addcmul(self.first, own, net.w_own, out=h)
        h += time_part
        for layer in range(net.n_layers):
            self._silu_value(h, a)
            torch.bmm(a, net.w_inner[:, layer], out=g)
            g += net.b_inner[:, layer]
            self._silu_value(g, a)
            h.baddbmm_(a, net.w_outer[:, layer])
            h += net.b_outer[:, layer]
        self._silu_value(h, a)
        return torch.bmm(a, net.w_out) + net.b_out

    def _silu_value(self, x: Tensor, y: Tensor) -> None:
        torch.sigmoid(x, out=self.gate)
        torch.mul(x, self.gate, out=y)

    def _silu(self, x: Tensor, y: Tensor) -> None:
        """Y = x * sigmoid(x), and its derivative s + y * (1 - s) times that of x."""
        n = self.gate.shape[1]
        value, derivative = y[:, :n], y[:, n:]
        self._silu_value(x[:, :n], value)
        torch.addcmul(self.gate, value, self.gate, value=-1, out=derivative)
        derivative += value
        derivative *= x[:, n:]

r"""The conditional network: all one-column conditional diffusions in one batch.

Every column j of a factorization with one-column blocks has its own small residual
network for the velocity of its residual r_j given its context c_j. The networks of
all columns run together as grouped matrix products: every parameter has a leading
axis of size `n_own`, contexts are padded to one size with zeros.

The Jacobian with respect to the own columns is diagonal, so carrying one derivative
along with the value (dual numbers) gives the exact divergence of every column.

Outside the range of the training rows the inputs level off, so the velocity stays
bounded and the density has the tails of a normal distribution.
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .denoisers import Denoiser

N_FREQUENCIES = 4
N_TIME_FEATURES = 3 + 2 * N_FREQUENCIES


def time_features(t: Tensor, t_min: float) -> Tensor:
    """Smooth features of the time, shape (..., N_TIME_FEATURES).

    Sines and cosines of u = log(sin t) / log(sin t_min), uniform in training, resolve
    small times; sin t and cos t resolve large ones.
    """
    u = (torch.log(torch.sin(t)) / math.log(math.sin(t_min))).unsqueeze(-1)
    k = math.pi * torch.arange(1, N_FREQUENCIES + 1, dtype=t.dtype, device=t.device)
    plain = [u, torch.sin(t).unsqueeze(-1), torch.cos(t).unsqueeze(-1)]
    return torch.cat([*plain, torch.sin(k * u), torch.cos(k * u)], dim=-1)


def level_off(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Identity on [low, high] that levels off smoothly within about 1 outside."""
    inside = torch.clamp(x, low, high)
    return inside + torch.tanh(x - inside)


def level_off_slope(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Derivative of `level_off`; 1 inside, exponentially small far outside."""
    return 1 - torch.tanh(x - torch.clamp(x, low, high)) ** 2


def silu_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    """x * sigmoid(x) and its derivative."""
    s = torch.sigmoid(x)
    y = x * s
    return y, s + y * (1 - s)


class ConditionalNetwork(Denoiser):
    """Velocities of many columns, each given its own context.

    Parameters
    ----------
    columns : sequence of int
        The columns it owns, one block each.
    contexts : sequence of sequence of int
        The context of each column.
    t_min : float
        Smallest time, which scales the features of the time.
    hidden_size : int
        Width of the residual network of one column.
    n_layers : int
        Number of residual blocks of two layers.
    dropout : float
        Share of hidden units dropped in training.

    Notes
    -----
    With n rows, k columns, contexts of size C, width H and L blocks, one evaluation
    costs n k (C + 2 L H) H multiply-adds and twice that with the divergence.
    """

    def __init__(
        self, columns, contexts, *, t_min, hidden_size=64, n_layers=2, dropout=0.0
    ):
        super().__init__()
        self.columns = tuple(columns)
        self.contexts = tuple(tuple(context) for context in contexts)
        self.t_min = t_min
        self.dropout = dropout
        k, H = len(self.columns), hidden_size
        C = max(map(len, self.contexts))
        padding = [(*context, *([-1] * (C - len(context)))) for context in self.contexts]
        index = torch.tensor(padding, dtype=torch.long).reshape(k, C)
        self.register_buffer("context_index", index)
        self.register_buffer("coef", torch.zeros(k, C, 1))
        self.register_buffer("intercept", torch.zeros(k))
        self.register_buffer("scale", torch.ones(k))
        self.register_buffer("own_range", torch.zeros(2, k))
        self.register_buffer("context_range", torch.zeros(2, k, 1, C))
        self.register_buffer("active", torch.ones(k))
        self.w_own = nn.Parameter(torch.empty(k, 1, H))
        self.w_context = nn.Parameter(torch.empty(k, C, H))
        self.w_time = nn.Parameter(torch.empty(k, N_TIME_FEATURES, H))
        self.b_first = nn.Parameter(torch.zeros(k, 1, H))
        self.w_inner = nn.Parameter(torch.empty(n_layers, k, H, H))
        self.b_inner = nn.Parameter(torch.zeros(n_layers, k, 1, H))
        self.w_outer = nn.Parameter(torch.empty(n_layers, k, H, H))
        self.b_outer = nn.Parameter(torch.zeros(n_layers, k, 1, H))
        self.w_out = nn.Parameter(torch.zeros(k, H, 1))
        self.b_out = nn.Parameter(torch.zeros(k, 1, 1))

    def initialize(self, generator: torch.Generator) -> "ConditionalNetwork":
        """Draw the hidden weights; the output starts at zero velocity."""
        for w in (self.w_own, self.w_context, self.w_time, self.w_inner, self.w_outer):
            bound = 1 / math.sqrt(max(1, w.shape[-2]))
            with torch.no_grad():
                w.uniform_(-bound, bound, generator=generator)
        return self

    def select(self, columns) -> "ConditionalNetwork":
        """The networks of some of the columns."""
        keep = [self.columns.index(j) for j in columns]
        part = copy.copy(self)
        part.columns = tuple(columns)
        part.contexts = tuple(self.contexts[i] for i in keep)
        take = lambda x, axis: x.index_select(axis, torch.tensor(keep, device=x.device))
        part._buffers = {
            name: take(b, 1 if name.endswith("range") else 0)
            for name, b in self._buffers.items()
        }
        part._parameters = {
            name: nn.Parameter(take(p, 1 if name.endswith(("inner", "outer")) else 0))
            for name, p in self._parameters.items()
        }
        return part

    def gather(self, z: Tensor) -> Tensor:
        """Context of every column, shape (k, n, C), padded with zeros."""
        padded = torch.cat([z, torch.zeros_like(z[:, :1])], dim=1)
        return padded[:, self.context_index].transpose(0, 1)

    def location(self, context: Tensor) -> Tensor:
        """Linear regression on the context, shape (n, k)."""
        return torch.bmm(context, self.coef).squeeze(-1).T + self.intercept

    def to_own(self, z: Tensor) -> tuple[Tensor, Tensor]:
        r = (z[:, list(self.columns)] - self.location(self.gather(z))) / self.scale
        return r, -torch.log(self.scale).expand_as(r)

    def from_own(self, r: Tensor, z: Tensor) -> Tensor:
        return self.location(self.gather(z)) + self.scale * r

    def encode(self, z: Tensor) -> Tensor:
        """Part of the first layer that reads the context, shape (k, n, H)."""
        context = level_off(self.gather(z), *self.context_range)
        return torch.baddbmm(self.b_first, context, self.w_context)

    def first_layer(self, r_t: Tensor, t: Tensor, code: Tensor) -> Tensor:
        own = level_off(r_t, *self.own_range).T.unsqueeze(-1) * self.w_own
        features = time_features(t, self.t_min).reshape(-1, N_TIME_FEATURES)
        return code + own + features @ self.w_time

    def velocity(self, r_t: Tensor, t: Tensor, code: Tensor) -> Tensor:
        h = self.first_layer(r_t, t, code)
        for layer in range(len(self.w_inner)):
            a = torch.baddbmm(self.b_inner[layer], F.silu(h), self.w_inner[layer])
            a = F.dropout(F.silu(a), self.dropout, self.training)
            h = h + torch.baddbmm(self.b_outer[layer], a, self.w_outer[layer])
        v = torch.baddbmm(self.b_out, F.silu(h), self.w_out)
        return v.squeeze(-1).T * self.active

    def velocity_and_divergence(self, r_t: Tensor, t: Tensor, code: Tensor):
        h = self.first_layer(r_t, t, code)
        dh = level_off_slope(r_t, *self.own_range).T.unsqueeze(-1) * self.w_own
        for layer in range(len(self.w_inner)):
            a, slope = silu_and_slope(h)
            da = torch.bmm(slope * dh, self.w_inner[layer])
            a, slope = silu_and_slope(
                torch.baddbmm(self.b_inner[layer], a, self.w_inner[layer])
            )
            h = h + torch.baddbmm(self.b_outer[layer], a, self.w_outer[layer])
            dh = dh + torch.bmm(slope * da, self.w_outer[layer])
        a, slope = silu_and_slope(h)
        v = torch.baddbmm(self.b_out, a, self.w_out).squeeze(-1).T * self.active
        dv = torch.bmm(slope * dh, self.w_out).squeeze(-1).T * self.active
        return v, dv

r"""The conditional network: all one-column conditional diffusions in one batch.

Every column j of a factorization with one-column blocks has its own small residual
network for the velocity of its residual r_j given its context c_j. The networks of
all columns run together as grouped matrix products: every parameter has a leading
axis of size `n_own`, contexts are padded to one size with zeros.

The Jacobian with respect to the own columns is diagonal, so one derivative carried along
with the value gives the exact divergence of every column (see `dual`).

Outside the range of the training rows the inputs level off, so the velocity stays
bounded and the density has the tails of a normal distribution.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ._torch import TRAINING_DTYPE, to_numpy, to_tensor
from .denoisers import Denoiser
from .dual import ARRAYS_OF_A_PASS, DualPass, Layer
from .graphs import Block
from .whitening import regress

N_FREQUENCIES = 4
# with more, the intermediate results of enough rows would leave the cache
COLUMNS_PER_EVALUATION = 16
# with more, the time of a training step grew faster than the number of columns
COLUMNS_PER_NETWORK = 64
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
    return level_off_with_slope(x, low, high)[0]


def level_off_with_slope(x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """`level_off` and its derivative: 1 inside, exponentially small far outside."""
    inside = torch.clamp(x, low, high)
    beyond = torch.tanh(x - inside)
    return inside + beyond, 1 - beyond**2


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
    context_size : int, default=None
        Size to which contexts are padded; None is the size of the largest.

    Notes
    -----
    With n rows, k columns, contexts of size C, width H and L blocks, one evaluation
    costs n k (C + 2 L H) H multiply-adds and twice that with the divergence.

    Every parameter and buffer has the columns on its first axis, so a part of the
    columns is a slice of all tensors.
    """

    def __init__(
        self,
        columns,
        contexts,
        *,
        t_min,
        hidden_size=64,
        n_layers=2,
        dropout=0.0,
        context_size=None,
    ):
        super().__init__()
        self.columns = tuple(columns)
        self.contexts = tuple(tuple(context) for context in contexts)
        self.t_min = t_min
        self.n_layers = n_layers
        self.dropout = dropout
        k, H, L = len(self.columns), hidden_size, n_layers
        C = max(map(len, self.contexts)) if context_size is None else context_size
        self._add_constants(k, C)
        shapes = {
            "w_own": (k, 1, H),
            "w_context": (k, C, H),
            "w_time": (k, N_TIME_FEATURES, H),
            "b_first": (k, 1, H),
            "w_inner": (k, L, H, H),
            "b_inner": (k, L, 1, H),
            "w_outer": (k, L, H, H),
            "b_outer": (k, L, 1, H),
            "w_out": (k, H, 1),
            "b_out": (k, 1, 1),
        }
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))

    @property
    def floats_per_row(self) -> int:
        k, H = self.w_out.shape[:2]
        return k * (ARRAYS_OF_A_PASS * H + self.coef.shape[1])

    def engines(self) -> dict[int, str]:
        """Kind of model of every column, for printing."""
        names = ("linear Gaussian", "conditional")
        return {j: names[int(a)] for j, a in zip(self.columns, self.active, strict=True)}

    def to_state(self) -> dict:
        """Options and weights as plain numbers and numpy arrays."""
        arrays = {name: to_numpy(value) for name, value in self.state_dict().items()}
        return {
            **self._options(),
            "columns": self.columns,
            "contexts": self.contexts,
            "arrays": arrays,
        }

    @classmethod
    def from_state(cls, state: dict) -> "ConditionalNetwork":
        """Network from the result of `to_state`."""
        state = dict(state)
        arrays = state.pop("arrays")
        network = cls(state.pop("columns"), state.pop("contexts"), **state)
        network.load_state_dict({k: torch.tensor(a) for k, a in arrays.items()})
        return network

    def _options(self) -> dict:
        return {
            "t_min": self.t_min,
            "hidden_size": self.w_out.shape[1],
            "n_layers": self.n_layers,
            "dropout": self.dropout,
            "context_size": self.coef.shape[1],
        }

    def _add_constants(self, k: int, C: int) -> None:
        """Whitening and ranges of the columns, set by `calibrate`; padded contexts."""
        padded = [(*c, *([-1] * (C - len(c)))) for c in self.contexts]
        index = torch.tensor(padded, dtype=torch.long).reshape(k, C)
        self.register_buffer("context_index", index)
        self.colours = torch.ones(1, k)
        self.register_buffer("coef", torch.zeros(k, C, 1))
        self.register_buffer("intercept", torch.zeros(k))
        self.register_buffer("scale", torch.ones(k))
        self.register_buffer("active", torch.ones(k))
        for end in ("low", "high"):
            self.register_buffer(f"own_{end}", torch.zeros(k))
            self.register_buffer(f"context_{end}", torch.zeros(k, 1, C))

    def initialize(self, generator: torch.Generator) -> "ConditionalNetwork":
        """Draw the hidden weights; the output layer stays zero.

        Zero velocity is the standard normal: training starts at the linear Gaussian
        network on the factorization.
        """
        for w in (self.w_own, self.w_context, self.w_time, self.w_inner, self.w_outer):
            bound = 1 / math.sqrt(max(1, w.shape[-2]))
            with torch.no_grad():
                w.uniform_(-bound, bound, generator=generator)
        return self

    def calibrate(self, regressions, z: Tensor) -> "ConditionalNetwork":
        """Take over the linear regressions of the columns and the ranges of the rows.

        Parameters
        ----------
        regressions : sequence of Regression
            In the order of `columns`. Determined columns keep zero velocity.
        z : Tensor of shape (n_samples, n_features)
            Standardised training rows.
        """
        for i, regression in enumerate(regressions):
            coef = torch.as_tensor(regression.coef).to(self.coef)
            self.coef[i, : len(coef), 0] = coef
            self.intercept[i] = regression.intercept
            self.scale[i] = regression.scale
            self.active[i] = float(not regression.determined)
        context, (r, _) = self.gather(z), self.to_own(z)
        # the process ends at a standard normal, whose draws must stay inside
        self.own_low.copy_(r.amin(0).clamp(max=-4.0))
        self.own_high.copy_(r.amax(0).clamp(min=4.0))
        self.context_low.copy_(context.amin(1, keepdim=True))
        self.context_high.copy_(context.amax(1, keepdim=True))
        return self

    def select(self, columns) -> "ConditionalNetwork":
        keep = [self.columns.index(j) for j in columns]
        contexts = [self.contexts[i] for i in keep]
        part = ConditionalNetwork(columns, contexts, **self._options()).to(self.w_out)
        part.load_state_dict({name: x[keep] for name, x in self.state_dict().items()})
        return part.train(self.training).requires_grad_(self.w_out.requires_grad)

    def split(self) -> list[Denoiser]:
        groups = in_groups(self.columns, COLUMNS_PER_EVALUATION)
        return [self] if len(groups) == 1 else [self.select(group) for group in groups]

    def gather(self, z: Tensor) -> Tensor:
        """Context of every column, shape (k, n, C), padded with zeros."""
        padded = torch.cat([z, torch.zeros_like(z[:, :1])], dim=1)
        return padded[:, self.context_index].transpose(0, 1)

    def location(self, z: Tensor) -> Tensor:
        """Linear regression on the context, shape (n, k)."""
        linear = torch.bmm(self.gather(z), self.coef.to(z.dtype))
        return linear.squeeze(-1).T + self.intercept

    def to_own(self, z: Tensor) -> tuple[Tensor, Tensor]:
        r = (z[:, list(self.columns)] - self.location(z)) / self.scale
        return r, -torch.log(self.scale.to(z.dtype)).expand_as(r)

    def from_own(self, r: Tensor, z: Tensor) -> Tensor:
        return self.location(z) + self.scale * r

    def encode(self, z: Tensor) -> Tensor | DualPass:
        """Part of the first layer that reads the context, shape (k, n, H).

        In evaluation without gradients it comes with the memory of a path.
        """
        context = self.gather(z).to(self.w_own.dtype)
        context = level_off(context, self.context_low, self.context_high)
        code = torch.baddbmm(self.b_first, context, self.w_context)
        if self.training or torch.is_grad_enabled():
            return code
        names = "w_inner", "b_inner", "w_outer", "b_outer"
        layers = [
            Layer(*(getattr(self, name)[:, i] for name in names))
            for i in range(self.n_layers)
        ]
        return DualPass(code, self.w_own, layers, self.w_out, self.b_out)

    def _own_input(self, r_t: Tensor) -> tuple[Tensor, Tensor]:
        """Own input of the first layer and its derivative, both (k, n, 1)."""
        r_t = r_t.to(self.w_own.dtype)
        pair = level_off_with_slope(r_t, self.own_low, self.own_high)
        return tuple(x.T.unsqueeze(-1) for x in pair)

    def _time_input(self, t: Tensor) -> Tensor:
        """Features of one time for all rows, or of a time for each row."""
        return time_features(torch.atleast_1d(t), self.t_min).to(self.w_own)

    def _output(self, h: Tensor) -> Tensor:
        return h.squeeze(-1).T * self.active

    def velocity(self, r_t: Tensor, t: Tensor, code) -> Tensor:
        (own, _), time = self._own_input(r_t), self._time_input(t)
        if isinstance(code, DualPass):
            return self._output(code.run(own, time @ self.w_time)[0])
        inputs = torch.cat([own, time.expand(*own.shape[:2], -1)], dim=2)
        h = torch.baddbmm(code, inputs, torch.cat([self.w_own, self.w_time], dim=1))
        for layer in range(self.n_layers):
            a = torch.bmm(F.silu(h), self.w_inner[:, layer]).add_(self.b_inner[:, layer])
            a = F.dropout(F.silu(a), self.dropout, self.training)
            h = torch.baddbmm(h, a, self.w_outer[:, layer]).add_(self.b_outer[:, layer])
        return self._output(torch.baddbmm(self.b_out, F.silu(h), self.w_out))

    def velocity_and_divergence(self, r_t: Tensor, t: Tensor, code):
        if not isinstance(code, DualPass):
            return super().velocity_and_divergence(r_t, t, code)
        own, slope = self._own_input(r_t)
        v, dv = code.run(own, self._time_input(t) @ self.w_time, slope)
        return self._output(v), self._output(dv)


def initial_networks(
    blocks: Sequence[Block],
    Z,
    weight,
    generator: torch.Generator,
    *,
    t_min: float,
    hidden_size: int,
    **options,
) -> list[ConditionalNetwork]:
    """Untrained networks for one-column blocks: the linear Gaussian network on them.

    Parameters
    ----------
    blocks : sequence of Block
        One column each.
    Z : ndarray of shape (n_samples, n_features)
        Standardised training rows.
    weight : ndarray of shape (n_samples,)
        Positive weights.
    generator : torch.Generator
        Source of the hidden weights.
    t_min, hidden_size, **options
        Keyword arguments of `ConditionalNetwork`.
    """
    networks = []
    z = to_tensor(Z, dtype=TRAINING_DTYPE)
    # the flow spreads a column of scale sin(t_min) to the noise floor tan(t_min)
    constant_scale = math.sin(t_min)
    for bucket in bucket_by_context(blocks, hidden_size):
        contexts = [block.context for block in bucket]
        columns = [block.columns[0] for block in bucket]
        regressions = [
            regress(Z[:, j], Z[:, list(context)], weight, constant_scale=constant_scale)
            for j, context in zip(columns, contexts, strict=True)
        ]
        network = ConditionalNetwork(
            columns, contexts, t_min=t_min, hidden_size=hidden_size, **options
        )
        networks.append(network.initialize(generator).calibrate(regressions, z))
    return networks


def bucket_by_context(blocks: Sequence[Block], hidden_size: int) -> list[list[Block]]:
    """Groups of blocks whose contexts may share one padded size.

    Padding below half the hidden size is cheaper than a network of its own; above it,
    sizes share a bucket up to a factor of two. Groups are limited so that the
    intermediate results of a batch stay of a size that memory handles well.
    """
    buckets: dict[int, list[Block]] = {}
    for block in blocks:
        excess = 2 * len(block.context) / hidden_size
        buckets.setdefault(max(0, math.ceil(math.log2(max(excess, 1)))), []).append(block)
    return [
        group
        for key in sorted(buckets)
        for group in in_groups(buckets[key], COLUMNS_PER_NETWORK)
    ]


def in_groups(items: Sequence, size: int) -> list[Sequence]:
    """Consecutive groups of at most `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]

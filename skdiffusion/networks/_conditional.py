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
from torch import Tensor

from ..dual import ARRAYS_OF_A_PASS, DualPass, Layer
from ..graphs import Block, numbered
from ._carried import Carried
from ._columns import ConditionalColumns
from ._features import N_TIME_FEATURES, level_off_with_slope, time_features
from ._trainable import Code, ScoreNetwork

# with more, the time of a training step grew faster than the number of columns
COLUMNS_PER_NETWORK = 64


class ConditionalNetwork(ConditionalColumns, ScoreNetwork):
    """Velocities of many columns, each given its own context.

    Parameters
    ----------
    columns, contexts, context_size
        As for `ConditionalColumns`.
    t_min : float
        Smallest time, which scales the features of the time.
    hidden_size : int
        Width of the residual network of one column.
    n_layers : int
        Number of residual blocks of two layers.
    kinds : sequence of int, default=None
        Columns of one kind share their weights; None shares none.

    Notes
    -----
    With n rows, k columns, contexts of size C, width H and L blocks, one evaluation
    costs n k (C + 2 L H) H multiply-adds and twice that with the divergence.

    The state has the buffers of `ConditionalColumns` and the weights.
    """

    def __init__(
        self,
        columns,
        contexts,
        *,
        t_min,
        hidden_size=64,
        n_layers=2,
        context_size=None,
        kinds=None,
    ):
        super().__init__(columns, contexts, context_size=context_size)
        self.t_min = t_min
        self.n_layers = n_layers
        k, C = self.context_index.shape
        H, L = hidden_size, n_layers
        for end in ("low", "high"):
            self.register_buffer(f"own_{end}", torch.zeros(k))
        self.kinds = tuple(range(k)) if kinds is None else tuple(kinds)
        self.n_parts = len(set(self.kinds))
        self.register_buffer("part", torch.tensor(numbered(self.kinds)), persistent=False)
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
        self.add_weights(shapes, self.kinds)

    @property
    def floats_per_row(self) -> int:
        k, H = self.w_out.shape[:2]
        return k * (ARRAYS_OF_A_PASS * H + self.coef.shape[1])

    def engines(self) -> dict[tuple[int, ...], str]:
        names = ("linear Gaussian", "conditional")
        own = zip(self.columns, self.active, strict=True)
        return {(j,): names[int(active)] for j, active in own}

    def options(self) -> dict:
        names = "columns", "contexts", "kinds"
        return {name: getattr(self, name) for name in names} | self.sizes()

    def sizes(self) -> dict:
        own = {"hidden_size": self.w_out.shape[1], "n_layers": self.n_layers}
        return {"t_min": self.t_min, **own, **super().sizes()}

    def default_dropout(self, n_rows: int) -> float:
        """0.2 up to 800 rows and in inverse proportion to them beyond.

        A row counts as often as a kind has columns, on average over the network.
        """
        return min(0.2, 160 / (n_rows * self.copies(self.kinds)))

    def default_weight_decay(self, n_rows: int) -> float:
        """0.1 up to 1600 rows, as the dropout beyond.

        With 0.3 at 1600 rows bimodal columns lost a quarter of a nat in all.
        """
        return min(0.1, self.default_dropout(n_rows))

    def columns_read(self) -> Tensor:
        sizes = (self.context_index >= 0).sum(1)
        largest = sizes.new_zeros(self.n_parts)
        return largest.scatter_reduce(0, self.part, sizes, "amax") / self.part.bincount()

    def part_scores(self, terms: Tensor) -> Tensor:
        scores = terms.new_zeros(len(terms), self.n_parts)
        return scores.index_add_(1, self.part, terms)

    def take_over(self, other: "ConditionalNetwork", parts: Tensor) -> None:
        columns = parts[self.part]
        for own, new in zip(self.parameters(), other.parameters(), strict=True):
            own.data[columns] = new.data[columns]

    def initialize(self, generator: torch.Generator) -> "ConditionalNetwork":
        """Draw the hidden weights; the output layer stays zero.

        Zero velocity is the standard normal: training starts at the linear Gaussian
        network on the factorization.
        """
        for w in (self.w_own, self.w_context, self.w_time, self.w_inner, self.w_outer):
            bound = 1 / math.sqrt(max(1, w.shape[-2]))
            with torch.no_grad():
                w.uniform_(-bound, bound, generator=generator)
        self.tie_weights()
        return self

    def whiten(self, regressions) -> "ConditionalNetwork":
        """Take over the linear regressions of the columns.

        Parameters
        ----------
        regressions : sequence of Regression
            In the order of `columns`. Determined columns keep zero velocity.
        """
        for i, regression in enumerate(regressions):
            coef = torch.as_tensor(regression.coef).to(self.coef)
            self.coef[i, : len(coef), 0] = coef
            self.intercept[i] = regression.intercept
            self.scale[i] = regression.scale
            self.active[i] = float(not regression.determined)
        return self

    def calibrate(self, z: Tensor) -> "ConditionalNetwork":
        """Take over the ranges of the training rows, given the regressions.

        Parameters
        ----------
        z : Tensor of shape (n_samples, n_features)
            Standardised training rows.
        """
        self.keep_ranges(self.to_own(z)[0], self.gather(z))
        return self

    def encode(self, z: Tensor) -> Code | DualPass:
        """Part of the first layer that reads the context, shape (k, n, H).

        In evaluation without gradients it comes with the memory of a path.
        """
        code = torch.baddbmm(self.b_first, self.context_inputs(z), self.w_context)
        if self.training or torch.is_grad_enabled():
            return self.code(code)
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
        (own, _), time = self._own_input(r_t), self._time_input(t) @ self.w_time
        if isinstance(code, DualPass):
            return self._output(code.run(own, time)[0])
        return self._output(self._read(Carried.constant(own), time, code).value)

    def velocity_and_divergence(self, r_t: Tensor, t: Tensor, code):
        (own, slope), time = self._own_input(r_t), self._time_input(t) @ self.w_time
        if isinstance(code, DualPass):
            v, dv = code.run(own, time, slope)
            return self._output(v), self._output(dv)
        read = self._read(Carried.seeded(own, slope.unsqueeze(1)), time, code)
        return self._output(read.value), self._output(read.tangents.squeeze(1))

    def _read(self, own: Carried, time: Tensor, code: Code) -> Carried:
        """Velocity, (k, n, 1), from own inputs: what `DualPass` does, differentiable."""
        h = own.matmul(self.w_own, code.context + time)
        for i in range(self.n_layers):
            a = h.silu().matmul(self.w_inner[:, i], self.b_inner[:, i])
            a = a.silu().drop(code.dropout, i)
            h = a.matmul(self.w_outer[:, i], self.b_outer[:, i], onto=h)
        return h.silu().matmul(self.w_out, self.b_out)


def bucket_by_context(
    blocks: Sequence[Block], hidden_size: int, kinds: Sequence[int] | None = None
) -> list[list[Block]]:
    """Groups of blocks whose contexts may share one padded size.

    Padding below half the hidden size is cheaper than a network of its own; above it,
    sizes share a bucket up to a factor of two. Groups are limited so that the
    intermediate results of a batch stay of a size that memory handles well; blocks of
    one kind, which share their weights, stay together.
    """
    buckets: dict[int, dict[int, list[Block]]] = {}
    kinds = range(len(blocks)) if kinds is None else kinds
    for block, kind in zip(blocks, kinds, strict=True):
        excess = 2 * len(block.context) / hidden_size
        size = max(0, math.ceil(math.log2(max(excess, 1))))
        buckets.setdefault(size, {}).setdefault(kind, []).append(block)
    return [
        group for size in sorted(buckets) for group in _together(buckets[size].values())
    ]


def _together(families) -> list[list[Block]]:
    """Groups of at most `COLUMNS_PER_NETWORK` blocks, or of a larger family."""
    groups: list[list[Block]] = []
    for alike in families:
        if not groups or len(groups[-1]) + len(alike) > COLUMNS_PER_NETWORK:
            groups.append([])
        groups[-1] += alike
    return groups

r"""The joint network: message passing on the factor graph of a block of columns.

Given noisy columns, the clean ones have the same factors as without noise, times one
term for each column, so their conditional means, and with them the velocity, are found
by passing messages along the graph. Here the messages are learned:

- every column has a state, read from its noisy value and the time;
- every factor has a small network that reads the values and states of its own columns
  only and adds to their states; the same weights serve in every round;
- the velocity is read from the last state.

This is the sparse weight-sharing network of Kwon, Kim, Ohn and Chae [1]_ in the form of
message passing. After R rounds a column has heard of columns within R steps, so columns
that are farther apart share a probe of the divergence: its cost is the number of colours
of the graph, not of columns.

There is no linear Gaussian part as there is in the conditional network: on a lattice with
two wells at each site the network had to undo what it says of distant columns, and the
divergence from the truth rose by a quarter.

References
----------
.. [1] H. K. Kwon, D. Kim, I. Ohn and M. Chae, "Nonparametric estimation of a
       factorizable density using diffusion models", JMLR 27(22), 2026.
       https://arxiv.org/abs/2501.01783
"""

import math

import networkx as nx
import torch
from torch import Tensor

from ..graphs import colouring
from ._carried import Carried
from ._features import N_TIME_FEATURES, level_off, level_off_with_slope, time_features
from ._trainable import Code, ScoreNetwork

# kinks of the first layer of every column lie here, in standard deviations
KINK_RANGE = 2.5


def half(size: int) -> int:
    """Half of a width, at least one."""
    return max(1, size // 2)


class JointNetwork(ScoreNetwork):
    """Velocity of the columns of a block, diffused together.

    Parameters
    ----------
    columns : sequence of int
        Own columns.
    context : sequence of int
        Columns of the context, which stay clean; perhaps none.
    factors : sequence of sequence of int
        Groups of own columns and columns of the context. Every factor of two or more
        has a network.
    t_min : float
        Smallest time, which scales the features of the time.
    hidden_size : int
        A state has half as many numbers, a layer of a factor of k columns k quarters.
    n_rounds : int
        How often messages are passed.
    column_kinds, factor_kinds : sequence of int, default=None
        Columns (own ones first, then the context) and factors of one kind share their
        weights; None shares none.

    Notes
    -----
    With states of size H and f factors of two columns, an evaluation costs about
    5 f H^2 multiply-adds a round, and with the divergence as often again as there are
    colours.
    """

    n_parts = 1

    def __init__(
        self,
        columns,
        context,
        factors,
        *,
        t_min,
        hidden_size=64,
        n_rounds=4,
        column_kinds=None,
        factor_kinds=None,
    ):
        super().__init__()
        self.columns, self.context = tuple(columns), tuple(context)
        self.factors = tuple(map(tuple, factors))
        self.t_min, self.hidden_size = t_min, hidden_size
        self.n_rounds = n_rounds
        nodes, factors = range(self.n_nodes), range(len(self.factors))
        self.column_kinds = tuple(nodes if column_kinds is None else column_kinds)
        self.factor_kinds = tuple(factors if factor_kinds is None else factor_kinds)
        self.colours = self._probes()
        self._add_constants()
        self._add_columns(half(hidden_size))
        self.sizes = sorted({len(f) for f in self.factors if len(f) > 1})
        for size in self.sizes:
            self._add_factors(size, hidden_size)

    @property
    def n_nodes(self) -> int:
        """Number of own columns and columns of the context."""
        return len(self.columns) + len(self.context)

    def _probes(self) -> Tensor:
        """0/1 probes of shape (n_colours, n_own), from a colouring of the own columns."""
        graph = nx.Graph()
        graph.add_nodes_from(self.columns)
        for factor in self.factors:
            own = [j for j in factor if j in self.columns]
            graph.add_edges_from((i, j) for i in own for j in own if i < j)
        groups = colouring(graph, self.n_rounds)
        probes = [[float(j in group) for j in self.columns] for group in groups]
        return torch.tensor(probes)

    def _add_constants(self) -> None:
        """Scales and ranges of the columns, set by `calibrate`."""
        k, c = len(self.columns), len(self.context)
        self.register_buffer("location", torch.zeros(k))
        self.register_buffer("scale", torch.ones(k))
        self.register_buffer("active", torch.ones(k))
        for end in ("low", "high"):
            self.register_buffer(f"own_{end}", torch.zeros(k))
            self.register_buffer(f"context_{end}", torch.zeros(c))

    def _add_columns(self, H: int) -> None:
        """Networks that read the states from the values and the velocity from states."""
        N, k, T = self.n_nodes, len(self.columns), N_TIME_FEATURES
        of_nodes = {
            "w_value": (N, 1, H),
            "b_value": (N, 1, H),
            "w_value_time": (N, T, H),
            "w_state": (N, H, H),
        }
        of_own = {
            "w_read": (k, 2 * H, H),
            "b_read": (k, 1, H),
            "w_read_time": (k, T, H),
            "w_out": (k, H, 1),
            "b_out": (k, 1, 1),
        }
        self.add_weights(of_nodes, self.column_kinds)
        self.add_weights(of_own, self.column_kinds[:k])
        degree = torch.zeros(N)
        for factor in self.factors:
            if len(factor) > 1:
                degree[self._nodes(factor)] += 1
        keep = torch.arange(N) < k
        scale = torch.where(keep, degree.clamp(min=1).rsqrt(), 0.0)
        self.register_buffer("message_scale", scale.reshape(N, 1, 1), persistent=False)

    def _add_factors(self, size: int, hidden_size: int) -> None:
        """Networks of all factors of one size, with their nodes slot by slot."""
        H, W = half(hidden_size), half(size * hidden_size // 2)
        chosen = [i for i, factor in enumerate(self.factors) if len(factor) == size]
        nodes = [self._nodes(sorted(self.factors[i])) for i in chosen]
        kinds = [self.factor_kinds[i] for i in chosen]
        self.register_buffer(f"nodes_{size}", torch.tensor(nodes), persistent=False)
        F, T = len(chosen), N_TIME_FEATURES
        shapes = {
            "w_values": (F, size, W),
            "w_states": (F, size * H, W),
            "w_time": (F, T, W),
            "w_gate": (F, T, W),
            "b_first": (F, 1, W),
            "w_middle": (F, W, W),
            "b_middle": (F, 1, W),
            "w_message": (F, W, size * H),
        }
        self.add_weights({f"{name}_{size}": s for name, s in shapes.items()}, kinds)

    def _nodes(self, columns) -> list[int]:
        everything = self.columns + self.context
        return [everything.index(j) for j in columns]

    @property
    def floats_per_row(self) -> int:
        H, W = self.w_state.shape[2], 0
        for size in self.sizes:
            n_factors, width = self._weight("w_middle", size).shape[:2]
            W += n_factors * (2 * size * H + 4 * width)
        return (1 + len(self.colours)) * (6 * self.n_nodes * H + W)

    def engines(self) -> dict[tuple[int, ...], str]:
        return {self.columns: "joint"}

    def options(self) -> dict:
        names = "columns", "context", "factors", "t_min", "hidden_size", "n_rounds"
        names += "column_kinds", "factor_kinds"
        return {name: getattr(self, name) for name in names}

    def default_dropout(self, n_rows: int) -> float:
        """0.3 of the hidden units of the factors."""
        return 0.3

    def default_weight_decay(self, n_rows: int) -> float:
        """320 / n_rows, at most 1/2: what a prior on the weights weighs beside the rows.

        A row counts as often as a kind has columns, on average. With 0.05 instead of 0.2
        to 0.3, 2000 rows were learned by heart after a thousand steps; with 0.2 instead
        of 0.05, 8000 rows lost a twentieth of a nat; with 0.5 instead of 0.026, 500 rows
        of 32 alike columns lost two nats.
        """
        return min(0.5, 320 / (n_rows * self.copies(self.column_kinds)))

    def columns_read(self) -> Tensor:
        size = (self.n_nodes - 1) / self.copies(self.column_kinds)
        return self.location.new_tensor([size])

    def part_scores(self, terms: Tensor) -> Tensor:
        return terms.sum(1, keepdim=True)

    def take_over(self, other: "JointNetwork", parts: Tensor) -> None:
        if parts[0]:
            for own, new in zip(self.parameters(), other.parameters(), strict=True):
                own.data.copy_(new.data)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> "JointNetwork":
        """Draw the hidden weights; output and gates stay zero.

        Zero velocity is the standard normal: training starts at independent columns.
        """
        for name, w in self.named_parameters():
            if name.startswith("w_") and not name.startswith(("w_out", "w_gate")):
                bound = 1 / math.sqrt(w.shape[-2])
                w.uniform_(-bound, bound, generator=generator)
        # steep first layers whose kinks cover the range of the data
        sign = torch.sign(self.w_value)
        self.w_value.add_(sign).mul_(2)
        self.b_value.uniform_(-KINK_RANGE, KINK_RANGE, generator=generator)
        self.b_value.mul_(self.w_value)
        self.tie_weights()
        return self

    def calibrate(self, z: Tensor) -> "JointNetwork":
        """Take over the ranges of the training rows, and which columns are constant.

        Parameters
        ----------
        z : Tensor of shape (n_samples, n_features)
            Standardised training rows.
        """
        own, context = z[:, list(self.columns)], z[:, list(self.context)]
        self.active.copy_(own.amax(0) > own.amin(0))
        # columns that share their margins may be constant elsewhere than at zero; the
        # flow spreads a column of scale sin(t_min) to the noise floor tan(t_min)
        self.location.copy_(torch.where(self.active > 0, 0.0, own[0]))
        self.scale.copy_(torch.where(self.active > 0, 1.0, math.sin(self.t_min)))
        self.keep_ranges(self.to_own(z)[0], context)
        return self

    def to_own(self, z: Tensor) -> tuple[Tensor, Tensor]:
        r = (z[:, list(self.columns)] - self.location) / self.scale
        return r, -torch.log(self.scale.to(z.dtype)).expand_as(r)

    def from_own(self, r: Tensor, z: Tensor) -> Tensor:
        return self.location + self.scale * r

    def encode(self, z: Tensor) -> Code:
        """Values of the context that level off outside the training range, (n, c)."""
        context = z[:, list(self.context)].to(self.context_low)
        return self.code(level_off(context, self.context_low, self.context_high))

    def velocity(self, r_t: Tensor, t: Tensor, code: Code) -> Tensor:
        own = level_off(r_t.to(self.own_low), self.own_low, self.own_high)
        values = torch.cat([own, code.context], dim=1).T.unsqueeze(-1)
        read = self._read(Carried.constant(values), t, code.dropout)
        return self._output(read.value)

    def velocity_and_divergence(self, r_t: Tensor, t: Tensor, code: Code):
        own, slope = level_off_with_slope(
            r_t.to(self.own_low), self.own_low, self.own_high
        )
        probes = self.colours.to(slope)
        seeds = torch.einsum("ck,nk->kcn", probes, slope)
        # columns of the context do not move
        seeds = torch.cat([seeds, seeds.new_zeros(len(self.context), *seeds.shape[1:])])
        values = torch.cat([own, code.context], dim=1).T
        carried = Carried.seeded(values.unsqueeze(-1), seeds.unsqueeze(-1))
        read = self._read(carried, t, code.dropout)
        diagonal = torch.einsum("ck,kcnh->knh", probes, read.tangents)
        return self._output(read.value), self._output(diagonal)

    def _output(self, h: Tensor) -> Tensor:
        return h.squeeze(-1).T * self.active

    def _read(self, values: Carried, t: Tensor, dropout) -> Carried:
        """Velocity, (k, n, 1), from values of all nodes (n_nodes, n, 1)."""
        time = time_features(torch.atleast_1d(t), self.t_min).to(self.w_state)
        k = len(self.columns)
        first = values.matmul(self.w_value, time @ self.w_value_time + self.b_value)
        seen = first.silu()
        state = seen.matmul(self.w_state)
        prepared = {size: self._prepare(values, time, size) for size in self.sizes}
        for i in range(self.n_rounds):
            state = self._round(state, prepared, dropout, i)
        known = Carried.cat([state.first_nodes(k), seen.first_nodes(k)])
        hidden = known.matmul(self.w_read, time @ self.w_read_time + self.b_read).silu()
        return hidden.matmul(self.w_out, self.b_out)

    def _weight(self, name: str, size: int) -> Tensor:
        return getattr(self, f"{name}_{size}")

    def _prepare(self, values: Carried, time: Tensor, size: int):
        """What the first layers of the factors get in every round, and their gates."""
        inputs = values.slots(self._weight("nodes", size))
        bias = time @ self._weight("w_time", size) + self._weight("b_first", size)
        gate = 1 + time @ self._weight("w_gate", size)
        return inputs.matmul(self._weight("w_values", size), bias), gate

    def _round(self, state: Carried, prepared: dict, dropout, i: int) -> Carried:
        """States after all factors have sent one message to each of their columns."""
        total = state.zeros()
        for size, (first, gate) in prepared.items():
            nodes = self._weight("nodes", size)
            hidden = state.slots(nodes).matmul(self._weight("w_states", size), onto=first)
            hidden = hidden.silu(gate).matmul(
                self._weight("w_middle", size), self._weight("b_middle", size)
            )
            hidden = hidden.silu().drop(dropout, (i, size))
            total.add_slots(hidden.matmul(self._weight("w_message", size)), nodes)
        return state.add_scaled(total, self.message_scale)

r"""Members of an ensemble in training: networks, optimiser, average, best states.

Parts of networks (columns of their own, columns that share weights, joint blocks) have
no weights in common, and their losses add up, so their trainings run side by side
without influencing each other. Each part keeps the state with the best held-out
log-likelihood.
"""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from .batches import Batches
from .best_states import BestStates
from .networks import ScoreNetwork
from .objectives import Objective
from .records import Options, Rows

MAX_AVERAGE_DECAY = 0.995
# as a share of all steps, and at most so many
WARM_UP, MOST_WARM_UP_STEPS = 0.1, 10
DECAY_FROM = 0.6
# steps between checks, as a multiple of what a check costs
STEPS_PER_COST_OF_CHECK = 3
BATCH_PER_ROW = 4


def learning_rate_factor(step: int, max_iter: int) -> float:
    """Linear warm-up, a plateau, and a linear descent over the last 40 percent."""
    warm_up = min(1.0, (step + 1) / min(WARM_UP * max_iter, MOST_WARM_UP_STEPS))
    return min(warm_up, (1 - step / max_iter) / (1 - DECAY_FROM))


def average_of(networks: Sequence[ScoreNetwork]) -> AveragedModel:
    """Exponential moving average of the weights, quick to forget the first steps."""

    def update(averages, current, n_averaged):
        decay = min(MAX_AVERAGE_DECAY, float((1 + n_averaged) / (10 + n_averaged)))
        torch._foreach_lerp_(averages, current, 1 - decay)

    return AveragedModel(torch.nn.ModuleList(networks), multi_avg_fn=update)


def steps_between_checks(
    networks, n_held_out: int, batch_size: int, objective: Objective
) -> int:
    """Those of the objective, or more where checks would take over a quarter of the time.

    A training step costs about three times the evaluations of its loss.
    """
    n_colours = max(len(network.colours) for network in networks)
    check = n_held_out * objective.evaluations_of_check(n_colours)
    step = 3 * batch_size * objective.evaluations(n_colours)
    every = objective.check_every
    return every * max(1, math.ceil(STEPS_PER_COST_OF_CHECK * check / step / every))


class Member:
    """Networks trained on the same rows, with their average and their best states.

    Parameters
    ----------
    networks : sequence of ScoreNetwork
        Together they own every column once; initialised and calibrated; changed in
        place.
    rows : Rows
        Training rows.
    held_out : Rows or None
        Rows for the selection of the best state and for early stopping. With None the
        average of the last weights is the result.
    options : Options
        Optimisation parameters of the stage.
    generator : torch.Generator
        Source of all randomness of the member.
    objective : Objective
        What is minimised.
    """

    def __init__(
        self,
        networks: Sequence[ScoreNetwork],
        rows: Rows,
        held_out: Rows | None,
        options: Options,
        generator: torch.Generator,
        objective: Objective,
    ):
        self.networks = torch.nn.ModuleList(networks).train()
        self.rows, self.held_out = rows, held_out
        self.generator, self.objective = generator, objective
        batch_size = min(options.batch_size, BATCH_PER_ROW * len(rows))
        self.batches = Batches(rows, batch_size)
        # both copy the networks, which a generator of what they drop would forbid
        self.average, self.best = average_of(networks), None
        self.check_every = objective.check_every
        if held_out is not None:
            self.best = BestStates(networks, held_out, options.tol, objective.grids)
            self.check_every = steps_between_checks(
                networks, len(held_out), batch_size, objective
            )
        self._set_dropout(options)
        self._set_optimizer(options)

    def _set_dropout(self, options: Options) -> None:
        for network in self.networks:
            network.noise, network.dropout = self.generator, options.dropout
            if options.dropout is None:
                network.dropout = network.default_dropout(len(self.rows))

    def _set_optimizer(self, options: Options) -> None:
        groups = []
        for network in self.networks:
            decay = options.weight_decay
            decay = (
                network.default_weight_decay(len(self.rows)) if decay is None else decay
            )
            groups.append({"params": list(network.parameters()), "weight_decay": decay})
        self.optimizer = torch.optim.AdamW(
            groups, lr=options.learning_rate_init, betas=(0.9, 0.99), fused=True
        )
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate_factor(step, options.max_iter)
        )

    # in a thread of its own the gradient mode of the caller would not count either
    @torch.enable_grad()
    def step(self) -> Tensor:
        """One step of the optimiser on a new batch; return the losses of the columns."""
        self.optimizer.zero_grad()
        batch = self.batches.draw(self.generator)
        losses = torch.cat([self._accumulate(n, batch) for n in self.networks])
        self.optimizer.step()
        self.scheduler.step()
        self.average.update_parameters(self.networks)
        for network in (*self.networks, *self.average.module):
            network.tie_weights()
        return losses

    def _accumulate(self, network, batch: Rows) -> Tensor:
        """Losses of the columns of a network; adds to the gradients."""
        losses = self.objective.loss(network, batch, self.generator)
        # the sum, not the mean: every column takes the steps it would take alone
        losses.sum().backward()
        network.tie_gradients()
        return losses.detach()

    def check(self) -> float:
        """Take over better parts of the average; return its held-out log-density."""
        return self.best.update(list(self.average.module.eval()))

    def has_stalled(self, n_iter_no_change: int) -> bool:
        """Whether no part has improved for so many checks."""
        return self.best is not None and self.best.n_checks_since >= n_iter_no_change

    def chosen(self) -> list[ScoreNetwork]:
        """The fitted networks, ready for evaluation."""
        chosen = self.average.module if self.best is None else self.best.networks
        return [network.eval() for network in chosen]

    def going_on(self, options: Options, objective: Objective) -> "Member":
        """A member that goes on from the chosen networks with another objective."""
        return self._copy(self.rows, self.held_out, options, objective)

    def unjudged(self, rows: Rows, options: Options, objective: Objective) -> "Member":
        """A member that goes on from the chosen networks without holding out rows."""
        return self._copy(rows, None, options, objective)

    def _copy(self, rows, held_out, options, objective) -> "Member":
        networks = copy.deepcopy(self.chosen())
        return Member(networks, rows, held_out, options, self.generator, objective)

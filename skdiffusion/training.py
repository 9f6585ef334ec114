r"""Training of score networks: loss, optimisation loop, best states.

Parts of networks (columns of their own, columns that share weights, joint blocks) have
no weights in common, and their losses add up, so their trainings run side by side
without influencing each other. Each part keeps the state with the best held-out
log-likelihood, computed through the probability flow: a lower denoising loss does not
always mean a better density.
"""

import copy
import math
from collections.abc import Callable, Sequence

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from ._warnings import InterruptedFit, warn_user
from .batches import Batches, split
from .flow import Path, log_density
from .networks import ScoreNetwork
from .process import noised, stratified_times, velocity_target
from .records import Options, Record, Rows

MAX_AVERAGE_DECAY = 0.995
WARM_UP_STEPS = 50
DECAY_FROM = 0.6
CHECK_EVERY = 50
# steps between checks, as a multiple of what a check costs
STEPS_PER_COST_OF_CHECK = 3
GAIN_IN_STANDARD_ERRORS = 0.25
VALIDATION_STEPS = 6
CHUNK_ROWS = 256
MIN_ROWS_TO_SPLIT = 50
BATCH_PER_ROW = 4
UNTRAINED = (
    "nothing was trained: of {} rows, fewer than {}, none can be held out to tell "
    "progress from chance. The density is the linear Gaussian network of the graph (of "
    "columns diffused together, independent normal columns). Use more rows, or "
    "early_stopping=False to train without judging."
)
INTERRUPTED = (
    "training was interrupted at step {}; the best weights so far are kept. Fit again "
    "with warm_start=True to go on from them."
)


def velocity_loss(
    network: ScoreNetwork, rows: Rows, t_min: float, generator: torch.Generator
) -> Tensor:
    """Weighted mean squared error of the velocity for each column, shape (n_own,).

    One time and one noise vector are drawn for each row.
    """
    r, _ = network.to_own(rows.z)
    eps = torch.randn(r.shape, generator=generator, dtype=r.dtype, device=r.device)
    t = stratified_times(len(r), t_min, generator=generator, like=r)
    t_column = t.unsqueeze(1)
    v = network.velocity(noised(r, eps, t_column), t, network.encode(rows.z))
    error = v - velocity_target(r, eps, t_column)
    return (rows.weight.unsqueeze(1) * error**2).mean(0)


def row_scores(networks, rows: Rows, t_min: float) -> list[Tensor]:
    """Log-density of every row and part, one matrix for each network."""
    path = Path(t_min, VALIDATION_STEPS)
    with torch.no_grad():
        chunks = [log_density(networks, z, path) for z in rows.z.split(CHUNK_ROWS)]
    terms = torch.cat(chunks)
    return [n.part_scores(terms[:, list(n.columns)]) for n in networks]


def clearly_better(new: Tensor, old: Tensor, weight: Tensor, tol: float) -> Tensor:
    """Which parts gain more than `tol` and than a quarter of its standard error.

    Without the second condition a part would collect chance gains, check after
    check, and drift into overfitting; the fewer the held-out rows, the sooner.

    Parameters
    ----------
    new, old : Tensor of shape (n_samples, n_parts)
        Log-densities of held-out rows.
    weight : Tensor of shape (n_samples,)
        Weights that average to one.
    """
    weighted = weight.unsqueeze(1) * (new - old)
    gain = weighted.mean(0)
    residual = weighted - weight.unsqueeze(1) * gain
    standard_error = residual.square().mean(0).sqrt() / math.sqrt(max(1, len(new) - 1))
    return (gain > tol) & (gain > GAIN_IN_STANDARD_ERRORS * standard_error)


class BestStates:
    """For every part the weights with the best held-out log-likelihood so far."""

    def __init__(self, networks: Sequence[ScoreNetwork], held_out: Rows, tol):
        self.networks = [network.eval() for network in copy.deepcopy(list(networks))]
        self.held_out, self.tol = held_out, tol
        self.scores = row_scores(self.networks, held_out, networks[0].t_min)
        self.n_checks_since = 0

    def update(self, networks: Sequence[ScoreNetwork]) -> float:
        """Take over clearly better parts; return the current mean log-density."""
        scores = row_scores(networks, self.held_out, networks[0].t_min)
        self.n_checks_since += 1
        for i, network in enumerate(networks):
            better = clearly_better(
                scores[i], self.scores[i], self.held_out.weight, self.tol
            )
            self.scores[i] = torch.where(better, scores[i], self.scores[i])
            self.networks[i].take_over(network, better)
            if better.any():
                self.n_checks_since = 0
        return self.mean_log_density(scores)

    def mean_log_density(self, scores: list[Tensor]) -> float:
        """Weighted mean over the held-out rows, in nats and data units."""
        total = sum(score.sum(1) for score in scores) + self.held_out.log_derivative
        return float((self.held_out.weight * total).mean())


def learning_rate_factor(step: int, max_iter: int) -> float:
    """Linear warm-up, a plateau, and a linear descent over the last 40 percent."""
    warm_up = min(1.0, (step + 1) / min(WARM_UP_STEPS, max_iter))
    return min(warm_up, (1 - step / max_iter) / (1 - DECAY_FROM))


def average_of(networks: Sequence[ScoreNetwork]) -> AveragedModel:
    """Exponential moving average of the weights, quick to forget the first steps."""

    def update(averages, current, n_averaged):
        decay = min(MAX_AVERAGE_DECAY, float((1 + n_averaged) / (10 + n_averaged)))
        torch._foreach_lerp_(averages, current, 1 - decay)

    return AveragedModel(torch.nn.ModuleList(networks), multi_avg_fn=update)


def steps_between_checks(networks, n_held_out: int, batch_size: int) -> int:
    """50, or more where checks would take over a quarter of the time.

    A check evaluates the networks 4 times for each step of the solver, with a derivative
    for each colour; a training step costs about three evaluations.
    """
    n_colours = max(len(network.colours) for network in networks)
    evaluations = 4 * VALIDATION_STEPS * (1 + n_colours) * n_held_out
    cost_in_steps = evaluations / (3 * batch_size)
    return CHECK_EVERY * max(
        1, math.ceil(STEPS_PER_COST_OF_CHECK * cost_in_steps / CHECK_EVERY)
    )


def most_checks(max_iter: int) -> int:
    """Largest number of checks in so many steps."""
    return math.ceil(max_iter / CHECK_EVERY)


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
        Optimisation parameters.
    """

    def __init__(
        self,
        networks: Sequence[ScoreNetwork],
        rows: Rows,
        held_out: Rows | None,
        options: Options,
    ):
        self.networks = torch.nn.ModuleList(networks).train()
        self.rows, self.t_min = rows, networks[0].t_min
        self.average = average_of(networks)
        batch_size = min(options.batch_size, BATCH_PER_ROW * len(rows))
        self.batches = Batches(rows, batch_size)
        self.best, self.check_every = None, CHECK_EVERY
        if held_out is not None:
            self.best = BestStates(networks, held_out, options.tol)
            self.check_every = steps_between_checks(networks, len(held_out), batch_size)

    def regularize(self, options: Options, noise: torch.Generator) -> list[dict]:
        """Set what is dropped; return the weights with their decay, for the optimiser."""
        n, groups = len(self.rows), []
        for network in self.networks:
            dropout, decay = options.dropout, options.weight_decay
            network.noise = noise
            network.dropout = network.default_dropout(n) if dropout is None else dropout
            decay = network.default_weight_decay(n) if decay is None else decay
            groups.append({"params": list(network.parameters()), "weight_decay": decay})
        return groups

    def accumulate(self, generator: torch.Generator) -> Tensor:
        """Losses of the columns on a new batch; adds to the gradients."""
        batch = self.batches.draw(generator)
        return torch.cat([self._accumulate(n, batch, generator) for n in self.networks])

    def _accumulate(self, network, batch: Rows, generator: torch.Generator) -> Tensor:
        losses = velocity_loss(network, batch, self.t_min, generator)
        # the sum, not the mean: every column takes the steps it would take alone
        losses.sum().backward()
        network.tie_gradients()
        return losses.detach()

    def follow(self) -> None:
        """Move the averages after a step of the optimiser."""
        self.average.update_parameters(self.networks)
        for network in (*self.networks, *self.average.module):
            network.tie_weights()

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


class Trainer:
    """Fits the members of an ensemble by denoising, side by side.

    Parameters
    ----------
    members : sequence of Member
        All with held-out rows or all without; without, all `max_iter` steps are taken.
    options : Options
        Optimisation parameters; `n_iter_no_change` counts checks.
    generator : torch.Generator
        Source of all randomness.

    Attributes
    ----------
    record : Record
    """

    def __init__(
        self, members: Sequence[Member], options: Options, generator: torch.Generator
    ):
        self.members, self.options, self.generator = members, options, generator
        self.record = Record(options.max_iter)
        self.optimizer = torch.optim.AdamW(
            [group for m in members for group in m.regularize(options, generator)],
            lr=options.learning_rate_init,
            betas=(0.9, 0.99),
            fused=True,
        )
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate_factor(step, options.max_iter)
        )
        self.selects = members[0].best is not None
        if self.selects:
            self._keep_scores([m.best.mean_log_density(m.best.scores) for m in members])

    def run(
        self, report: Callable[[Record], bool | None] = lambda record: None
    ) -> list[list[ScoreNetwork]]:
        """Train until no part improves or `max_iter` is reached.

        Parameters
        ----------
        report : callable
            Called at every check with the record so far; training ends if it returns
            True.

        Returns
        -------
        list of list of ScoreNetwork
            For each member the best held-out weights of every part.

        Raises
        ------
        FloatingPointError
            If the loss is not finite.
        """
        try:
            self._take_steps(report)
        except KeyboardInterrupt:
            self.record.stopped_by = "interrupted"
            warn_user(INTERRUPTED.format(len(self.record.loss_curve)), InterruptedFit)
        return [m.chosen() for m in self.members]

    def _take_steps(self, report) -> None:
        check_every = max(m.check_every for m in self.members)
        patience = self.options.n_iter_no_change
        for step in range(1, self.options.max_iter + 1):
            self._step(step)
            if step % check_every and step < self.options.max_iter:
                continue
            if self.selects:
                self._keep_scores([m.check() for m in self.members])
            if report(self.record):
                self.record.stopped_by = "a callback"
                break
            if all(m.has_stalled(patience) for m in self.members):
                break

    def _step(self, step: int) -> None:
        self.optimizer.zero_grad()
        losses = torch.cat([m.accumulate(self.generator) for m in self.members])
        self.record.loss_curve.append(losses.mean().item())
        _check_finite(self.record.loss_curve[-1], step)
        self.optimizer.step()
        self.scheduler.step()
        for member in self.members:
            member.follow()

    def _keep_scores(self, current: list[float]) -> None:
        """Record the mean over the members of their held-out log-densities."""
        kept = [m.best.mean_log_density(m.best.scores) for m in self.members]
        self.record.validation_scores.append(sum(current) / len(current))
        self.record.validation_steps.append(len(self.record.loss_curve))
        self.record.kept_scores.append(sum(kept) / len(kept))


def fit_networks(
    ensemble: Sequence[Sequence[ScoreNetwork]],
    rows: Rows,
    options: Options,
    generator: torch.Generator,
    report: Callable[[Record], bool | None] = lambda record: None,
) -> tuple[list[list[ScoreNetwork]], Record]:
    """Split off held-out rows, train, and return the networks with what happened.

    Each member of the ensemble holds out other rows, so that all rows are trained on by
    some. With fewer than `MIN_ROWS_TO_SPLIT` rows a held-out part would be too small to
    judge by, and unjudged networks overfit such tables: the untrained networks are
    returned. A `ConvergenceWarning` says so, or if training was too short or too long.
    """
    n_members = len(ensemble)
    if options.validation_fraction == 0:
        parts = [(rows, None)] * n_members
    elif len(rows) < MIN_ROWS_TO_SPLIT:
        message = UNTRAINED.format(len(rows), MIN_ROWS_TO_SPLIT)
        warn_user(message, ConvergenceWarning)
        return [[n.eval() for n in networks] for networks in ensemble], Record(max_iter=0)
    else:
        parts = split(rows, options.validation_fraction, generator, n_members)
    members = [
        Member(networks, *part, options)
        for networks, part in zip(ensemble, parts, strict=True)
    ]
    trainer = Trainer(members, options, generator)
    fitted, record = trainer.run(report), trainer.record
    complaint = record.complaint(n_columns=rows.z.shape[1])
    if complaint:
        warn_user(complaint, ConvergenceWarning)
    return fitted, record


def _check_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the training loss is {loss} at step {step}. Lower learning_rate_init, or "
            "look for extreme values in X."
        )

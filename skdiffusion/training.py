"""Training of ensembles of score networks, first for denoising, then for likelihood."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from sklearn.exceptions import ConvergenceWarning

from ._warnings import InterruptedFit, warn_user
from .batches import split
from .members import Member
from .networks import ScoreNetwork
from .objectives import DENOISING, LIKELIHOOD
from .records import Options, Record, Rows
from .threads import Threads

MIN_ROWS_TO_SPLIT = 50
# of the learning rate, batch and patience of denoising: a gradient of the log-likelihood
# carries no noise of times and noise vectors but costs as much as dozens of those
LIKELIHOOD_RATE = 1 / 5
LIKELIHOOD_BATCH = 1 / 4
LIKELIHOOD_PATIENCE = 1 / 4
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


def most_checks(options: Options) -> int:
    """Largest number of checks of a fit."""
    n_first = math.ceil(options.max_iter / DENOISING.check_every)
    if not options.judges:
        return n_first
    return n_first + math.ceil(options.max_iter_likelihood / LIKELIHOOD.check_every)


def for_likelihood(options: Options) -> Options:
    """Options of the training for likelihood."""
    return replace(
        options,
        learning_rate_init=LIKELIHOOD_RATE * options.learning_rate_init,
        batch_size=max(1, round(LIKELIHOOD_BATCH * options.batch_size)),
        max_iter=options.max_iter_likelihood,
        n_iter_no_change=math.ceil(LIKELIHOOD_PATIENCE * options.n_iter_no_change),
    )


class Trainer:
    """Trains the members of an ensemble for one objective, side by side.

    Parameters
    ----------
    members : sequence of Member
        All with held-out rows or all without; without, all `max_iter` steps are taken.
    options : Options
        Optimisation parameters; `n_iter_no_change` counts checks.
    record : Record, default=None
        Of what happened before; None is a new one.

    Attributes
    ----------
    record : Record
    """

    def __init__(
        self, members: Sequence[Member], options: Options, record: Record | None = None
    ):
        self.members, self.options = members, options
        self.record = Record(options.max_iter) if record is None else record
        self.losses = self.record.current_curve
        self.selects = members[0].best is not None
        if self.selects and record is None:
            self._keep_scores([m.best.mean_log_density() for m in members])

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
            with Threads(len(self.members), self.members[0].rows.z.device) as threads:
                self._take_steps(threads, report)
        except KeyboardInterrupt:
            self.record.stopped_by = "interrupted"
            warn_user(INTERRUPTED.format(self.record.n_iter), InterruptedFit)
        return [m.chosen() for m in self.members]

    def _take_steps(self, threads, report) -> None:
        check_every = max(m.check_every for m in self.members)
        patience = self.options.n_iter_no_change
        for step in range(1, self.options.max_iter + 1):
            self._step(step, threads)
            if step % check_every and step < self.options.max_iter:
                continue
            if self.selects:
                self._keep_scores(threads.map(Member.check, self.members))
            if report(self.record):
                self.record.stopped_by = "a callback"
                break
            if all(m.has_stalled(patience) for m in self.members):
                break

    def _step(self, step: int, threads) -> None:
        losses = torch.cat(threads.map(Member.step, self.members))
        self.losses.append(losses.mean().item())
        _check_finite(self.losses[-1], step)

    def _keep_scores(self, current: list[float]) -> None:
        """Record the mean over the members of their held-out log-densities."""
        kept = [m.best.mean_log_density() for m in self.members]
        self.record.validation_scores.append(sum(current) / len(current))
        self.record.validation_steps.append(self.record.n_iter)
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
    returned. Unjudged networks are not trained for likelihood either, which overfits
    soon. A `ConvergenceWarning` says if training was too short or too long.
    """
    n_members = len(ensemble)
    if not options.judges:
        parts = [(rows, None)] * n_members
    elif len(rows) < MIN_ROWS_TO_SPLIT:
        message = UNTRAINED.format(len(rows), MIN_ROWS_TO_SPLIT)
        warn_user(message, ConvergenceWarning)
        return [[n.eval() for n in networks] for networks in ensemble], Record(max_iter=0)
    else:
        parts = split(rows, options.validation_fraction, generator, n_members)
    members = [
        Member(networks, *part, options, _offspring(generator))
        for networks, part in zip(ensemble, parts, strict=True)
    ]
    trainer = Trainer(members, options)
    fitted, record = trainer.run(report), trainer.record
    if options.judges and options.max_iter_likelihood and not record.stopped_by:
        fitted = _go_on_with_likelihood(members, options, record, report)
    for complaint in record.complaints(n_columns=rows.z.shape[1]):
        warn_user(complaint, ConvergenceWarning)
    return fitted, record


def _go_on_with_likelihood(members, options: Options, record: Record, report):
    options = for_likelihood(options)
    record.begin_likelihood(options.max_iter)
    members = [m.going_on(options, LIKELIHOOD) for m in members]
    return Trainer(members, options, record).run(report)


def _offspring(generator: torch.Generator) -> torch.Generator:
    """A generator of its own, so that members may train at the same time."""
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return torch.Generator(generator.device).manual_seed(int(seed))


def _check_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the training loss is {loss} at step {step}. Lower learning_rate_init, or "
            "look for extreme values in X."
        )

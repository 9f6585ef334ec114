"""Training of ensembles of score networks: denoising, likelihood, steps on all rows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from sklearn.exceptions import ConvergenceWarning

from ._warnings import InterruptedFit, warn_user
from .batches import split
from .blending import with_partners
from .members import Member
from .networks import Ensemble
from .objectives import (
    ALL_ROWS,
    DENOISING,
    LIKELIHOOD,
    options_on_all_rows,
    parts_for_all_rows,
)
from .records import Options, Record, Rows
from .resolution import enough_steps
from .threads import Threads

MIN_ROWS_TO_SPLIT = 50
INTERRUPT = "interrupted"
UNTRAINED = (
    "nothing was trained: of {} rows, fewer than {}, none can be held out to tell "
    "progress from chance. The density is the linear Gaussian network of the graph (of "
    "columns diffused together, independent normal columns). Use more rows, or "
    "early_stopping=False to train without judging."
)
NOT_FINITE = (
    "the training loss is {} at {} {}. Lower learning_rate_init, or look for extreme "
    "values in X."
)
INTERRUPTED = (
    "training was interrupted at step {}; what was learned so far is kept. Fit again "
    "with warm_start=True to go on from them."
)
AVERAGING = "averaging with mixtures and kernels, as held-out rows decide"


def keep_silent(record: Record | str) -> None:
    """Report nothing."""


class Trainer:
    """Trains the members of an ensemble for one objective, side by side.

    Parameters
    ----------
    members : sequence of Member
        All with held-out rows or all without; without, all `max_iter` steps are taken.
    options : Options
        Optimisation parameters of the stage; `n_iter_no_change` counts checks.
    record : Record
        Gets a new stage.
    """

    def __init__(self, members: Sequence[Member], options: Options, record: Record):
        self.members, self.options, self.record = members, options, record
        objective = members[0].objective
        self.stage = record.begin(objective.name, objective.parameter, options.max_iter)
        self.selects = members[0].best is not None
        if self.selects:
            self._keep_scores([m.best.mean_log_density() for m in members])

    def run(
        self, threads: Threads, report: Callable[[Record], bool | None] = keep_silent
    ) -> None:
        """Train until no part improves or `max_iter` is reached.

        Parameters
        ----------
        threads : Threads
            In which members take their steps.
        report : callable
            Called at every check with the record so far; training ends if it returns
            True.

        Raises
        ------
        FloatingPointError
            If the loss is not finite.
        """
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
        loss = torch.cat(threads.map(Member.step, self.members)).mean().item()
        if not math.isfinite(loss):
            raise FloatingPointError(NOT_FINITE.format(loss, self.stage.name, step))
        self.stage.losses.append(loss)

    def _keep_scores(self, current: list[float]) -> None:
        """Record the mean over the members of their held-out log-densities."""
        kept = [m.best.mean_log_density() for m in self.members]
        self.stage.scores.append(sum(current) / len(current))
        self.stage.steps.append(self.record.n_iter)
        self.stage.kept.append(sum(kept) / len(kept))


def fit_networks(
    ensemble: Ensemble,
    rows: Rows,
    options: Options,
    generator: torch.Generator,
    report: Callable[[Record | str], bool | None] = keep_silent,
) -> tuple[Ensemble, Record]:
    """Split off held-out rows, train, and return the networks with what happened.

    Each member of the ensemble holds out other rows, so that all rows are trained on by
    some. With fewer than `MIN_ROWS_TO_SPLIT` rows a held-out part would be too small to
    judge by, and unjudged networks overfit such tables: the untrained networks are
    returned. A `ConvergenceWarning` says so, or if training was too short or too long.
    """
    record = Record()
    if options.validation_fraction > 0 and len(rows) < MIN_ROWS_TO_SPLIT:
        message = UNTRAINED.format(len(rows), MIN_ROWS_TO_SPLIT)
        warn_user(message, ConvergenceWarning)
        untrained = Ensemble([[n.eval() for n in own] for own in ensemble.members])
        _look_how_fine(untrained, rows, record, generator)
        return untrained, record
    with Threads(len(ensemble.members), rows.z.device) as threads:
        members = _first_members(ensemble.members, rows, options, generator, threads)
        members = _through_stages(members, options, record, threads, report)
        fitted = _finished(members, rows, options, record, threads, report)
    _look_how_fine(fitted, rows, record, generator)
    for complaint in record.complaints(n_columns=rows.z.shape[1]):
        warn_user(complaint, ConvergenceWarning)
    return fitted, record


def _first_members(networks, rows, options, generator, threads) -> list[Member]:
    """Members that denoise, each with rows of its own to hold out."""
    parts = [(rows, None)] * len(networks)
    if options.validation_fraction:
        parts = split(rows, options.validation_fraction, generator, len(networks))
    generators = [_offspring(generator) for _ in networks]
    first = DENOISING.options(options)

    def member(given) -> Member:
        untrained, part, own = given
        return Member(untrained, *part, first, own, DENOISING)

    return threads.map(member, list(zip(networks, parts, generators, strict=True)))


def _through_stages(members, options, record: Record, threads, report) -> list[Member]:
    """Members after all stages, or as far as they came."""
    try:
        Trainer(members, DENOISING.options(options), record).run(threads, report)
        later = LIKELIHOOD.options(options)
        if later.max_iter and not record.stopped_by:
            members = threads.map(lambda m: m.going_on(later, LIKELIHOOD), members)
            Trainer(members, later, record).run(threads, report)
    except KeyboardInterrupt:
        _note_interruption(record)
    except FloatingPointError as error:
        if members[0].objective is DENOISING:
            raise
        _note_infinity(record, error)
    return members


def _finished(members, rows, options, record: Record, threads, report) -> Ensemble:
    """Chosen networks and partners, all of which have seen all rows.

    Only networks, as far as they came, if somebody does not want to wait.
    """
    alone = Ensemble([m.chosen() for m in members])
    if members[0].best is None or record.stopped_by == INTERRUPT:
        return alone
    try:
        if options.max_components:
            report(AVERAGING)
        partners, gain = with_partners(members, rows, options, threads)
        # this changes the chosen networks in place
        _show_all_rows(members, rows, options, record, threads, report)
        beside = [own.of_all_rows() for own in partners]
    except KeyboardInterrupt:
        _note_interruption(record)
        return alone
    record.gain_of_partners = gain
    return replace(alone, beside=beside)


def _show_all_rows(members, rows, options, record: Record, threads, report) -> None:
    """Let the chosen networks take steps on all rows: nothing is chosen any more."""
    if record.stopped_by or not options.ends_on_all_rows:
        return
    given = options_on_all_rows(options, len(rows), len(members[0].held_out))
    parts = parts_for_all_rows(members[0].networks, len(rows), record.stages[-1])
    if not (given.max_iter and torch.cat(parts).any()):
        return
    later = threads.map(lambda m: m.unjudged(rows, given, ALL_ROWS), members)
    try:
        Trainer(later, given, record).run(threads, report)
    except FloatingPointError as error:
        _note_infinity(record, error)
        return
    if record.stopped_by:
        return
    pairs = list(zip(members, later, strict=True))
    threads.map(lambda p: p[0].best.take_over_unjudged(p[1].chosen(), parts), pairs)


def _note_infinity(record: Record, error: FloatingPointError) -> None:
    record.stopped_by = "a loss that is not finite"
    warn_user(f"{error} The best weights so far are kept.", ConvergenceWarning)


def _look_how_fine(ensemble: Ensemble, rows, record: Record, generator) -> None:
    """Record how many steps of the solver resolve the density, if there is time."""
    if record.stopped_by == INTERRUPT:
        return
    denoisers, t_min = ensemble.denoisers(), ensemble.t_min
    try:
        record.solver_steps = enough_steps(denoisers, rows, t_min, generator)
    except KeyboardInterrupt:
        _note_interruption(record)


def _note_interruption(record: Record) -> None:
    record.stopped_by = INTERRUPT
    warn_user(INTERRUPTED.format(record.n_iter), InterruptedFit)


def _offspring(generator: torch.Generator) -> torch.Generator:
    """A generator of its own, so that members may train at the same time."""
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return torch.Generator(generator.device).manual_seed(int(seed))

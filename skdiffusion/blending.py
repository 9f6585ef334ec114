"""After training: how much of mixtures and kernels networks are averaged with.

An average of different models is often better than any of them. How much of each enters
is chosen for each column on held-out rows, those of all members together, and zero is
among the choices. Mixtures come first, kernels beside the average with them. In the end
all are fitted to all rows: nothing is chosen any more, and held-out rows would be wasted.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .best_states import RESOLVED, clearly_better, is_resolved, row_terms
from .denoisers import Denoiser
from .flow import Path
from .members import Member
from .networks import ConditionalPartner, PartnerShare, ScoreNetwork, averaged_with
from .objectives import LIKELIHOOD
from .partners import Kernels, Mixtures, can_have_partners, not_determined
from .records import Options, Rows

# share of a partner where rows gain by it, and those that may be clearly better
FIRST, OTHERS = 0.25, (0.5, 0.75, 1.0)
# standard errors by which rows must speak against the first for none to be taken, or
# nats: a few extreme rows can make the error as large as the loss
AGAINST, MOST_LOST = 2.0, 0.1
# beside the standard errors of gains; two equal models differ by nothing
NOTHING = 1e-12
# of a gain, and in multiples of what is allowed anyway: how far the grids may differ then
SOLVER_SHARE, MOST_ALLOWED = 0.1, 3


class Candidate(NamedTuple):
    """A denoiser, a partner of some of its columns, and rows both were not fitted to."""

    base: Denoiser
    partner: ConditionalPartner
    held_out: Rows

    def terms(self, share: Tensor, n_steps: int) -> Tensor:
        """Log-density of every held-out row and column with shares of the partner."""
        average = self.averaged(share).select(self.partner.columns)
        return row_terms(average, self.held_out, Path(self.base.t_min, n_steps))

    def averaged(self, share: Tensor) -> Denoiser:
        """The denoiser averaged with these shares of the partner."""
        return averaged_with(self.base, self.partner, share)


def chosen_share(
    candidates: Sequence[Candidate], tol: float, each: Callable = map
) -> tuple[Tensor, float]:
    """Share of the partners for each of their columns, and the gain of all in nats a row.

    A quarter where held-out rows gain by it, another share if that is clearly better. The
    more the rows speak against a quarter the less is taken, and none where they do by two
    standard errors: these rows have chosen the weights of the networks, so they favour
    them, and the less they tell, the more an average of different models is to be
    trusted. A quarter that loses a tenth of a nat is 0. Where the solver does not resolve
    another share a quarter is taken, and none where it does not resolve that.

    Parameters
    ----------
    candidates : sequence of Candidate
        One of each member; the share is common to them.
    tol : float
        Least gain by which another share than a quarter counts as better.
    each : callable
        Takes a function to all candidates, as `map` does.
    """
    coarse, fine = LIKELIHOOD.grids
    rows = Rows.together([c.held_out for c in candidates])
    partner = candidates[0].partner
    one = partner.coef.new_ones(len(partner.columns))

    def terms(share, n_steps=fine):
        return torch.cat(list(each(lambda c: c.terms(share, n_steps), candidates)))

    none, first = terms(0 * one), terms(FIRST * one)
    others = torch.stack([terms(share * one) for share in OTHERS])
    found, total = 0 * one, 0 * one
    for share in _weighed(none, first, others, rows, tol):
        last = terms(share)
        gain = rows.mean(last - none)
        allowed = (SOLVER_SHARE * gain).clamp(RESOLVED, MOST_ALLOWED * RESOLVED)
        taken = is_resolved(terms(share, coarse), last, rows, allowed)
        found, total = torch.where(taken, share, found), torch.where(taken, gain, total)
    return found, float(total.sum())


def _weighed(
    none: Tensor, first: Tensor, others: Tensor, rows: Rows, tol: float
) -> list[Tensor]:
    """Shares of each column that come into question, the best last.

    From log-densities with none, the first share and others.
    """
    best = torch.stack([rows.mean(x) for x in others]).nan_to_num(-math.inf).argmax(0)
    at_best = others.gather(0, best.expand(1, *first.shape))[0]
    gain, error = rows.mean(first - none), rows.standard_error(first - none)
    # from all of the first share, where it gains, down to none; all where `none` is -inf
    trusted = (1 + gain / (AGAINST * error + NOTHING)).clamp(0, 1).nan_to_num(1)
    better = clearly_better(at_best, first, rows, tol) & (rows.mean(at_best - none) > 0)
    # NaN is not greater
    share = torch.where(gain > -MOST_LOST, FIRST * trusted, 0)
    if not better.any():
        return [share]
    return [share, torch.where(better, torch.tensor(OTHERS).to(share)[best], share)]


class PartnersOfNetworks:
    """What the average of trained networks of the same columns is averaged with.

    Shares are judged beside each network alone, since no row is held out from all, and
    used beside their average.

    Parameters
    ----------
    networks : sequence of ScoreNetwork
        One of each member, in the same coordinates.
    members : sequence of Member
        They have trained the networks.
    rows : Rows
        All rows.
    options : Options
        Of them `max_components` and `tol` count.
    """

    def __init__(
        self,
        networks: Sequence[ScoreNetwork],
        members: Sequence[Member],
        rows: Rows,
        options: Options,
    ):
        self.networks, self.tol = networks, options.tol
        self.held_out = [member.held_out for member in members]
        self.partners, self.shares = [], []
        if options.max_components and can_have_partners(networks[0]):
            own, seed = not_determined(networks[0]), _seed(members[0].generator)
            splits = [(member.rows, member.held_out) for member in members]
            training = [member.rows for member in members]
            self.partners = [
                Mixtures(own, splits, rows, options.max_components, seed),
                Kernels(own, training, rows, seed),
            ]

    def choose(self, each: Callable = map) -> float:
        """Choose the shares of each column; return what held-out rows gain."""
        bases, total, self.shares = self.networks, 0.0, []
        for kind in self.partners:
            judged = zip(bases, kind.of_training_rows(), self.held_out, strict=True)
            candidates = [Candidate(*given) for given in judged]
            share, gain = chosen_share(candidates, self.tol, each)
            bases = [candidate.averaged(share) for candidate in candidates]
            self.shares.append(share)
            total += gain
        return total

    def of_all_rows(self) -> list[PartnerShare]:
        """Partners that take a share of some columns, fitted to all rows."""
        pairs = zip(self.partners, self.shares, strict=True)
        return [
            PartnerShare(kind.of_all_rows(), share).taking_part()
            for kind, share in pairs
            if share.any()
        ]


def with_partners(
    members: Sequence[Member], rows: Rows, options: Options, threads
) -> tuple[list[PartnersOfNetworks], float]:
    """Partners of the chosen networks of members; the gain in nats a row.

    Parameters
    ----------
    members : sequence of Member
        Trained, with held-out rows.
    rows : Rows
        All rows.
    options : Options
        Of them `max_components` and `tol` count.
    threads : Threads
        In which members are judged side by side.
    """
    alike = zip(*(member.chosen() for member in members), strict=True)
    partners = [PartnersOfNetworks(n, members, rows, options) for n in alike]
    return partners, sum(own.choose(threads.map) for own in partners)


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**31, (), generator=generator, device=generator.device))

"""After training: how much of mixtures and kernels networks are averaged with.

An average of different models is often better than any of them. How much of each enters
is chosen for each column on held-out rows, those of all members together, and zero is
among the choices. Mixtures come first, kernels beside the average with them. In the end
all are fitted to all rows: nothing is chosen any more, and held-out rows would be wasted.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .best_states import RESOLVED, clearly_better, is_resolved, row_terms
from .denoisers import Denoiser
from .flow import Path
from .members import Member
from .networks import Beside, ConditionalPartner, ScoreNetwork, averaged_with
from .objectives import LIKELIHOOD
from .partners import Kernels, Mixtures, can_have_partners, not_determined
from .records import Options, Rows

# of the partner in the average; the first is taken unless rows speak against it
SHARES = (0.25, 0.5, 0.75, 1.0)
# standard errors by which rows must speak against it for none of it to be taken
AGAINST = 2.0
# beside the standard errors of gains; two equal models differ by nothing
NOTHING = 1e-12
# of a gain, and in multiples of what is allowed anyway: how far the grids may differ then
SOLVER_SHARE, MOST_ALLOWED = 0.1, 3


class Candidate(NamedTuple):
    """A denoiser, a partner of its columns, and rows that neither has seen."""

    base: Denoiser
    partner: ConditionalPartner
    held_out: Rows

    def terms(self, share: Tensor, n_steps: int) -> Tensor:
        """Log-density of every held-out row and column with shares of the partner."""
        average = averaged_with(self.base, self.partner, share)
        return row_terms(average, self.held_out, Path(self.base.t_min, n_steps))


def best_share(
    candidates: Sequence[Candidate], tol: float, each: Callable = map
) -> tuple[Tensor, float]:
    """Share of the partners for each of their columns, and the gain of all in nats a row.

    A quarter where held-out rows gain by it, another share if that is clearly better. The
    more the rows speak against a quarter the less is taken, and none where they do by two
    standard errors: these rows have chosen the weights of the networks, so they favour
    them, and the less they tell, the more an average of different models is to be
    trusted. Shares that the solver does not resolve are 0.

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
    shares = torch.tensor((0.0, *SHARES)).to(candidates[0].partner.coef)
    k = len(candidates[0].partner.columns)

    def terms(share, n_steps):
        return torch.cat(list(each(lambda c: c.terms(share, n_steps), candidates)))

    by_share = torch.stack([terms(share.expand(k), fine) for share in shares])
    share = _chosen(by_share, shares, rows, tol)
    last = terms(share, fine)
    gain = rows.mean(last - by_share[0])
    allowed = (SOLVER_SHARE * gain).clamp(RESOLVED, MOST_ALLOWED * RESOLVED)
    taken = is_resolved(terms(share, coarse), last, rows, allowed)
    return torch.where(taken, share, 0), float(gain[taken].sum())


def _chosen(by_share: Tensor, shares: Tensor, rows: Rows, tol: float) -> Tensor:
    """Share for each column, from log-densities with 0, the first and other shares."""
    none, first, *others = by_share
    best = torch.stack([rows.mean(x) for x in others]).argmax(0)
    places = (best + 2).expand(1, *first.shape)
    better = clearly_better(by_share.gather(0, places)[0], first, rows, tol)
    gain, error = rows.mean(first - none), rows.standard_error(first - none)
    # from all of the first share, where it gains, down to none
    trusted = (1 + gain / (AGAINST * error + NOTHING)).clamp(0, 1)
    return torch.where(better, shares[best + 2], shares[1] * trusted)


class AveragedNetworks:
    """Trained networks of the same columns, and what their average is averaged with.

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
            self.partners = [
                Mixtures(own, splits, rows, options.max_components, seed),
                Kernels(own, splits, rows, seed),
            ]

    def choose(self, each: Callable = map) -> float:
        """Choose the shares of each column; return what held-out rows gain."""
        bases, total, self.shares = self.networks, 0.0, []
        for kind in self.partners:
            judged = kind.of_training_rows()
            pairs = list(zip(bases, judged, strict=True))
            candidates = [
                Candidate(base.select(partner.columns), partner, held_out)
                for (base, partner), held_out in zip(pairs, self.held_out, strict=True)
            ]
            share, gain = best_share(candidates, self.tol, each)
            bases = [averaged_with(*pair, share) for pair in pairs]
            self.shares.append(share)
            total += gain
        return total

    def beside(self) -> list[Beside]:
        """Partners that take a share of some columns, fitted to all rows."""
        pairs = zip(self.partners, self.shares, strict=True)
        return [Beside(p.of_all_rows(), share) for p, share in pairs if share.any()]


def with_partners(
    members: Sequence[Member], rows: Rows, options: Options, threads
) -> tuple[list[AveragedNetworks], float]:
    """Chosen networks of members with their partners; the gain in nats a row.

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
    averaged = [AveragedNetworks(n, members, rows, options) for n in alike]
    return averaged, sum(a.choose(threads.map) for a in averaged)


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**31, (), generator=generator, device=generator.device))

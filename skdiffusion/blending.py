"""After training: how much of mixtures and kernels a network is averaged with.

An average of different models is often better than any of them. How much of each enters
is chosen for each column on held-out rows, and zero is among the choices. Mixtures come
first, kernels beside the average with them. In the end all are fitted to all rows:
nothing is chosen any more, and held-out rows would be wasted.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .best_states import RESOLVED, clearly_better, is_resolved, row_terms
from .denoisers import Denoiser
from .flow import Path
from .members import Member
from .networks import Blend, ConditionalNetwork, ConditionalPartner, averaged_with
from .objectives import LIKELIHOOD
from .partners import Kernels, Mixtures, can_have_partners, not_determined
from .records import Options, Rows

# of the partner in the average; the first is taken unless rows speak against it
SHARES = (0.25, 0.5, 0.75, 1.0)
# standard errors by which rows must speak against it, and by which another share must be
# better
AGAINST, BETTER = 0.25, 1.0
# of a gain, and in multiples of what is allowed anyway: how far the grids may differ then
SOLVER_SHARE, MOST_ALLOWED = 0.1, 3


def best_share(
    base: ConditionalNetwork | Blend,
    partner: ConditionalPartner,
    held_out: Rows,
    tol: float,
) -> tuple[Tensor, float]:
    """Share of the partner for each of its columns, and the gain of all in nats a row.

    A quarter, unless held-out rows speak against it; another share if it is surely
    better. These rows have chosen the weights of the network, so they favour it;
    and the less they tell, the more an average of different models is to be trusted.
    Shares that the solver does not resolve are 0.
    """
    coarse, fine = (Path(base.t_min, n) for n in LIKELIHOOD.grids)
    candidates = torch.tensor((0.0, *SHARES)).to(partner.coef)
    base, k = base.select(partner.columns), len(partner.columns)
    blends = [Blend(base, partner, share.expand(k)) for share in candidates[1:]]
    terms = torch.stack([row_terms(d, held_out, fine) for d in (base, *blends)])
    first = _first_shares(terms, held_out)
    chosen = _departing(terms, first, held_out, tol)
    best = _terms_of(terms, chosen)
    gain = held_out.mean(best - terms[0])
    again = row_terms(Blend(base, partner, candidates[chosen]), held_out, coarse)
    allowed = (SOLVER_SHARE * gain).clamp(RESOLVED, MOST_ALLOWED * RESOLVED)
    taken = is_resolved(again, best, held_out, allowed) & (chosen > 0)
    return torch.where(taken, candidates[chosen], 0), float(gain[taken].sum())


def _first_shares(terms: Tensor, rows: Rows) -> Tensor:
    """Place of the least share for columns whose rows do not speak against it, else 0."""
    gain = terms[1] - terms[0]
    return (rows.mean(gain) > -AGAINST * rows.standard_error(gain)).long()


def _departing(terms: Tensor, first: Tensor, rows: Rows, tol: float) -> Tensor:
    """Places of the best shares where these are surely better, else the first."""
    best = torch.stack([rows.mean(x) for x in terms]).argmax(0)
    pair = _terms_of(terms, best), _terms_of(terms, first)
    return torch.where(clearly_better(*pair, rows, tol, BETTER), best, first)


def _terms_of(terms: Tensor, places: Tensor) -> Tensor:
    """Log-density of every row and column with the shares at places, (n, n_own)."""
    return terms.gather(0, places.expand(1, *terms[0].shape))[0]


def with_partners(
    members: Sequence[Member], options: Options, threads
) -> tuple[list[list["AveragedNetwork"]], float]:
    """Chosen networks of members with their partners; the mean gain in nats a row.

    Parameters
    ----------
    members : sequence of Member
        Trained, with held-out rows.
    options : Options
        Of them `max_components` and `tol` count.
    threads : Threads
        In which shares are chosen, member by member.
    """
    # mixtures one after the other: warnings are silenced for all threads at once
    ensemble = [
        [AveragedNetwork(network, member, options) for network in member.chosen()]
        for member in members
    ]
    gains = threads.map(lambda member: sum(a.choose() for a in member), ensemble)
    return ensemble, sum(gains) / len(gains)


class AveragedNetwork:
    """A trained network, and the partners that it may be averaged with.

    Parameters
    ----------
    network : ScoreNetwork
    member : Member
        It has trained the network.
    options : Options
        Of them `max_components` and `tol` count.
    """

    def __init__(self, network, member: Member, options: Options):
        self.network, self.held_out, self.tol = network, member.held_out, options.tol
        self.partners, self.shares = [], []
        if options.max_components and can_have_partners(network):
            seed = _seed(member.generator)
            own = not_determined(network)
            self.partners = [
                Mixtures(own, member, options.max_components, seed),
                Kernels(own, member, seed),
            ]

    def choose(self) -> float:
        """Choose the shares of each column; return what held-out rows gain."""
        base, total, self.shares = self.network, 0.0, []
        for partner in self.partners:
            judged = partner.of_training_rows()
            share, gain = best_share(base, judged, self.held_out, self.tol)
            base, total = averaged_with(base, judged, share), total + gain
            self.shares.append(share)
        return total

    def fitted_to(self, rows: Rows) -> Denoiser:
        """The network, averaged with partners of given rows as was chosen."""
        base = self.network
        for partner, share in zip(self.partners, self.shares, strict=True):
            if share.any():
                base = averaged_with(base, partner.fitted_to(rows), share)
        return base


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**31, (), generator=generator, device=generator.device))

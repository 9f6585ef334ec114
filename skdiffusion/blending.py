"""After training: networks averaged with partners, as far as held-out rows gain from it.

Networks have little bias and much chance error, mixtures of a few normal distributions
the reverse, so an average of their velocities is often better than either. Kernel
estimates err elsewhere again: they know rows that nearly repeat, and with few rows or
small factors they are hard to beat. Mixtures come first, kernels after them; how much of
each enters is chosen for each column, and zero is among the choices. In the end both are
fitted to all rows: nothing is chosen any more, and held-out rows would be wasted.
"""

from collections.abc import Sequence

import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from .bandwidths import LeaveOneOut, best_bandwidths
from .best_states import RESOLVED, is_resolved, row_terms, standard_error
from .denoisers import Denoiser
from .flow import Path
from .members import Member
from .mixtures import (
    MAX_FAMILY,
    Family,
    family_regressions,
    fit_mixture,
    largest,
    refitted,
)
from .networks import (
    Bandwidths,
    Blend,
    ConditionalKernels,
    ConditionalMixture,
    ConditionalNetwork,
    ConditionalPartner,
)
from .objectives import LIKELIHOOD
from .records import Options, Rows

# of the partner in the average
SHARES = (0.25, 0.5, 0.75, 1.0)
# standard errors by which rows must speak against a quarter of a partner
AGAINST = 0.5
# of a gain, and in multiples of what is allowed anyway: how far the grids may differ then
SOLVER_SHARE, MOST_ALLOWED = 0.1, 3
# rows beyond these make kernels dear
MAX_KERNELS = 10_000
# rows at which the likelihood of bandwidths is evaluated
MAX_LEFT_OUT = 300


def can_blend(network) -> bool:
    """Whether mixtures of its families may help a network.

    Not if columns share weights: their rows taken together leave little to gain.
    """
    return (
        isinstance(network, ConditionalNetwork)
        and network.n_parts == len(network.columns)
        and bool(network.active.any())
        and network.context_index.shape[1] < MAX_FAMILY
    )


def families_of(network: ConditionalNetwork) -> list[Family]:
    """Columns of a network that are not determined, each followed by its context."""
    own = zip(network.columns, network.contexts, network.active, strict=True)
    return [(j, *context) for j, context, active in own if active]


def mixture_beside(
    network: ConditionalNetwork, mixtures: dict[Family, GaussianMixture]
) -> ConditionalMixture:
    """What mixtures of the largest families of a network say of its columns."""
    found = family_regressions(families_of(network), mixtures)
    known = {family[0]: regressions for family, regressions in found.items()}
    return ConditionalMixture.beside(network, [known.get(j) for j in network.columns])


def bandwidths_beside(
    network: ConditionalNetwork, rows: Rows, generator: torch.Generator
) -> list[Bandwidths | None]:
    """Bandwidths of the residual and the context of each column of a network.

    They maximise the likelihood of some rows, each left out in turn; None for columns
    that are determined by their contexts.
    """
    z, weight = rows.z.double(), rows.weight.double()
    order = torch.randperm(len(z), generator=generator, device=generator.device)
    residuals = network.to_own(z)[0]
    found: list[Bandwidths | None] = []
    for i, context in enumerate(network.contexts):
        table = residuals[:, [i]], z[:, list(context)], weight, order[:MAX_LEFT_OUT]
        active = network.active[i] > 0
        found.append(best_bandwidths(LeaveOneOut(*table)) if active else None)
    return found


def best_share(
    base: Denoiser, partner: ConditionalPartner, held_out: Rows, tol: float
) -> tuple[Tensor, float]:
    """Share of the partner for each column, and the gain of all columns in nats a row.

    A quarter, unless held-out rows speak against it; another share if it is a standard
    error better. These rows have chosen the weights of the network, so they favour it;
    and the less they tell, the more an average of different models is to be trusted.
    Shares that the solver does not resolve are 0.
    """
    coarse, fine = (Path(base.t_min, n) for n in LIKELIHOOD.grids)
    candidates = torch.tensor((0.0, *SHARES)).to(partner.coef)
    k = len(base.columns)
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
    # not where nothing is gained or lost: columns that their contexts determine
    return (rows.mean(gain) > -AGAINST * standard_error(gain, rows)).long()


def _departing(terms: Tensor, first: Tensor, rows: Rows, tol: float) -> Tensor:
    """Places of the best shares where these are surely better, else the first."""
    best = torch.stack([rows.mean(x) for x in terms]).argmax(0)
    gain = _terms_of(terms, best) - _terms_of(terms, first)
    surely = rows.mean(gain) > standard_error(gain, rows).clamp(min=tol)
    return torch.where(surely, best, first)


def _terms_of(terms: Tensor, places: Tensor) -> Tensor:
    """Log-density of every row and column with the shares at places, (n, n_own)."""
    return terms.gather(0, places.expand(1, *terms[0].shape))[0]


def with_partners(
    members: Sequence[Member], options: Options, threads
) -> tuple[list[list["Company"]], float]:
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
        [Company(network, member, options) for network in member.chosen()]
        for member in members
    ]
    gains = threads.map(lambda member: sum(c.choose() for c in member), ensemble)
    return ensemble, sum(gains) / len(gains)


class Company:
    """A trained network, with mixtures and kernels beside it if they may help."""

    def __init__(self, network, member: Member, options: Options):
        self.network, self.member, self.tol = network, member, options.tol
        self.partners, self.chosen = [], []
        if options.max_components and can_blend(network):
            mixtures = Mixtures(network, member, options.max_components)
            self.partners = [mixtures, Kernels(network, member)]

    def choose(self) -> float:
        """Choose the shares of each column; return what held-out rows gain."""
        base, total = self.network, 0.0
        for partner in self.partners:
            judged = partner.of_training_rows()
            share, gain = best_share(base, judged, self.member.held_out, self.tol)
            base, total = _beside(base, judged, share), total + gain
            self.chosen.append((partner, share))
        return total

    def fitted_to(self, rows: Rows) -> Denoiser:
        """The network, averaged with partners of given rows if held-out rows gained."""
        base = self.network
        for partner, share in self.chosen:
            if share.any():
                base = _beside(base, partner.fitted_to(rows), share)
        return base


def _beside(base: Denoiser, partner: ConditionalPartner, share: Tensor) -> Denoiser:
    """Average with a partner of those columns that take a share of it."""
    columns = [j for j, s in zip(partner.columns, share.tolist(), strict=True) if s]
    return Blend(base, partner.select(columns), share[share > 0]) if columns else base


class Mixtures:
    """Gaussian mixtures of the largest families of a network."""

    def __init__(self, network: ConditionalNetwork, member: Member, max_components: int):
        self.network, generator = network, member.generator
        seed = torch.randint(2**31, (), generator=generator, device=generator.device)
        self.seed = int(seed)
        self.mixtures = {
            family: fit_mixture(
                *(_arrays(part, family) for part in (member.rows, member.held_out)),
                max_components=max_components,
                seed=self.seed,
            )
            for family in largest(families_of(network))
        }

    def of_training_rows(self) -> ConditionalMixture:
        """Mixtures whose number of components held-out rows chose."""
        return mixture_beside(self.network, self.mixtures)

    def fitted_to(self, rows: Rows) -> ConditionalMixture:
        """Mixtures of as many components of other rows."""
        mixtures = {
            family: refitted(mixture, *_arrays(rows, family), seed=self.seed)
            for family, mixture in self.mixtures.items()
        }
        return mixture_beside(self.network, mixtures)


class Kernels:
    """Kernel estimates of the columns of a network given their contexts."""

    def __init__(self, network: ConditionalNetwork, member: Member):
        self.network, self.member = network, member

    def of_training_rows(self) -> ConditionalKernels:
        """Kernels on rows of the training; each of them in turn has judged the others."""
        rows, generator = self.member.rows, self.member.generator
        self.bandwidths = bandwidths_beside(self.network, rows, generator)
        return self.fitted_to(rows)

    def fitted_to(self, rows: Rows) -> ConditionalKernels:
        """Kernels on other rows with the bandwidths of the training."""
        if len(rows) > MAX_KERNELS:
            generator = self.member.generator
            order = torch.randperm(len(rows), generator=generator, device=rows.z.device)
            rows = rows.take(order[:MAX_KERNELS])
        return ConditionalKernels.beside(
            self.network, rows.z, rows.weight, self.bandwidths
        )


def _arrays(rows: Rows, family: Family):
    """Columns of a family and weights of rows, as arrays."""
    return tuple(x.double().cpu().numpy() for x in (rows.z[:, family], rows.weight))

"""After training: networks averaged with mixtures, as far as held-out rows gain from it.

Networks have little bias and much chance error, mixtures of a few normal distributions
the reverse, so an average of their velocities is often better than either. How much of
the mixture enters is chosen for each column; zero is among the choices. In the end
mixtures are fitted to all rows: nothing is chosen any more, and held-out rows would be
wasted.
"""

from collections.abc import Sequence

import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from .best_states import RESOLVED, clearly_better, is_resolved, row_terms
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
from .networks import Blend, ConditionalMixture, ConditionalNetwork
from .objectives import LIKELIHOOD
from .records import Options, Rows

# of the mixture in the average
SHARES = (0.25, 0.5, 0.75, 1.0)
# of a gain, and in multiples of what is allowed anyway: how far the grids may differ then
SOLVER_SHARE, MOST_ALLOWED = 0.1, 3


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


def best_share(
    network: ConditionalNetwork, mixture: ConditionalMixture, held_out: Rows, tol: float
) -> tuple[Tensor, float]:
    """Share of the mixture for each column, and the gain of all columns in nats a row.

    Shares that do not clearly gain are 0, and those that the solver does not resolve.
    """
    coarse, fine = (Path(network.t_min, n) for n in LIKELIHOOD.grids)
    candidates = torch.tensor((0.0, *SHARES)).to(network.intercept)
    k = len(network.columns)
    blends = [Blend(network, mixture, share.expand(k)) for share in candidates[1:]]
    terms = torch.stack([row_terms(d, held_out, fine) for d in (network, *blends)])
    gain, best = torch.stack([held_out.mean(x - terms[0]) for x in terms]).max(0)
    chosen = row_terms(Blend(network, mixture, candidates[best]), held_out, coarse)
    allowed = (SOLVER_SHARE * gain).clamp(RESOLVED, MOST_ALLOWED * RESOLVED)
    best_terms = terms.gather(0, best.expand(1, *chosen.shape))[0]
    taken = clearly_better(best_terms, terms[0], held_out, tol)
    taken &= is_resolved(chosen, best_terms, held_out, allowed)
    return torch.where(taken, candidates[best], 0), float(gain[taken].sum())


def with_mixtures(
    members: Sequence[Member], options: Options, threads
) -> tuple[list[list["Partners"]], float]:
    """Chosen networks of members with mixtures beside them; the mean gain in nats a row.

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
        [Partners(network, member, options) for network in member.chosen()]
        for member in members
    ]
    gains = threads.map(lambda member: sum(p.choose() for p in member), ensemble)
    return ensemble, sum(gains) / len(gains)


class Partners:
    """A trained network, with mixtures beside it if they may help."""

    def __init__(self, network, member: Member, options: Options):
        self.network, self.held_out, self.tol = network, member.held_out, options.tol
        self.mixtures, self.share = {}, torch.zeros(len(network.columns))
        if options.max_components and can_blend(network):
            generator, device = member.generator, member.generator.device
            self.seed = int(torch.randint(2**31, (), generator=generator, device=device))
            self.mixtures = {
                family: self._fit(family, member.rows, options.max_components)
                for family in largest(families_of(network))
            }

    def _fit(self, family: Family, rows: Rows, max_components: int) -> GaussianMixture:
        """Mixture of training rows; held-out rows choose how many components."""
        tables = [_arrays(part, family) for part in (rows, self.held_out)]
        return fit_mixture(*tables, max_components=max_components, seed=self.seed)

    def choose(self) -> float:
        """Choose the share of each column; return what held-out rows gain."""
        if not self.mixtures:
            return 0.0
        mixture = mixture_beside(self.network, self.mixtures)
        self.share, gain = best_share(self.network, mixture, self.held_out, self.tol)
        return gain

    def fitted_to(self, rows: Rows) -> Denoiser:
        """The network, averaged with mixtures of given rows if held-out rows gained."""
        if not self.share.any():
            return self.network
        mixtures = {
            family: refitted(mixture, *_arrays(rows, family), seed=self.seed)
            for family, mixture in self.mixtures.items()
        }
        mixture = mixture_beside(self.network, mixtures)
        return Blend(self.network, mixture, self.share)


def _arrays(rows: Rows, family: Family):
    """Columns of a family and weights of rows, as arrays."""
    return tuple(x.double().cpu().numpy() for x in (rows.z[:, family], rows.weight))

"""After training: networks averaged with mixtures, as far as held-out rows gain from it.

Networks have little bias and much chance error, mixtures of a few normal distributions
the reverse, so an average of their velocities is often better than either. How much of
the mixture enters is chosen for each column; zero is among the choices.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .best_states import RESOLVED, clearly_better, is_resolved, row_terms
from .denoisers import Denoiser
from .flow import Path
from .members import Member
from .mixtures import MAX_FAMILY, family_regressions, fit_mixture
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


def mixture_beside(
    network: ConditionalNetwork, member: Member, max_components: int
) -> ConditionalMixture:
    """Mixtures of the families of a network, fitted to the rows it was trained on."""
    own = zip(network.columns, network.contexts, strict=True)
    families = [(j, *context) for j, context in own]
    wanted = [f for f, active in zip(families, network.active, strict=True) if active]
    known = family_regressions(wanted, lambda f: _fit(f, member, max_components))
    return ConditionalMixture.beside(network, [known.get(f) for f in families])


def _fit(family: tuple[int, ...], member: Member, max_components: int):
    """Mixture of the columns of a family; held-out rows choose how many components."""
    tables = [
        (rows.z[:, family].double().cpu().numpy(), rows.weight.double().cpu().numpy())
        for rows in (member.rows, member.held_out)
    ]
    generator, device = member.generator, member.generator.device
    seed = int(torch.randint(2**31, (), generator=generator, device=device))
    return fit_mixture(*tables, max_components=max_components, seed=seed)


def best_share(
    network: ConditionalNetwork, mixture: ConditionalMixture, held_out: Rows, tol: float
) -> tuple[Tensor, float]:
    """Share of the mixture for each column, and the gain of all columns in nats a row."""
    coarse, fine = (Path(network.t_min, n) for n in LIKELIHOOD.grids)
    share = torch.zeros_like(network.intercept)
    start = best = row_terms(network, held_out, fine)
    for candidate in SHARES:
        blend = Blend(network, mixture, torch.full_like(share, candidate))
        terms = row_terms(blend, held_out, fine)
        better = clearly_better(terms, best, held_out.weight, tol)
        share = torch.where(better, candidate, share)
        best = torch.where(better, terms, best)
    gain = held_out.mean(best - start)
    allowed = (SOLVER_SHARE * gain).clamp(RESOLVED, MOST_ALLOWED * RESOLVED)
    chosen = row_terms(Blend(network, mixture, share), held_out, coarse)
    resolved = is_resolved(chosen, best, held_out, allowed)
    return torch.where(resolved, share, 0), float(gain[resolved].sum())


def blended(
    members: Sequence[Member], options: Options, threads
) -> tuple[list[list[Denoiser]], float]:
    """Chosen networks of members, those that gain averaged with mixtures; the mean gain.

    Parameters
    ----------
    members : sequence of Member
        Trained, with held-out rows.
    options : Options
        Of them `max_components` and `tol` count.
    threads : Threads
        In which shares are chosen, member by member.
    """
    # one after the other: warnings are silenced for all threads at once
    prepared = [_prepared(member, options.max_components) for member in members]
    both = threads.map(lambda given: _averages(*given, options.tol), prepared)
    ensemble, gains = zip(*both, strict=True)
    return list(ensemble), sum(gains) / len(gains)


def _prepared(member: Member, max_components: int) -> tuple:
    """Chosen networks, mixtures beside those that they may help, and held-out rows."""
    networks = member.chosen()
    mixtures = [
        mixture_beside(network, member, max_components) if can_blend(network) else None
        for network in networks
    ]
    return networks, mixtures, member.held_out


def _averages(networks, mixtures, held_out: Rows, tol: float) -> tuple[list, float]:
    """Networks, or averages of them where that gains, and what they gain in all."""
    chosen, total = [], 0.0
    for network, mixture in zip(networks, mixtures, strict=True):
        if mixture is not None:
            share, gain = best_share(network, mixture, held_out, tol)
            network = Blend(network, mixture, share) if share.any() else network
            total += gain
        chosen.append(network)
    return chosen, total

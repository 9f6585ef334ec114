"""What a trained network may be averaged with: mixtures and kernel estimates.

Networks have little bias and much chance error, mixtures of a few normal distributions
the reverse. Kernel estimates err elsewhere again: they know rows that nearly repeat, and
with few rows or small factors they are hard to beat. Both are fitted twice: to the
training rows of a member, so that its held-out rows can judge them, and then, when
nothing is left to be judged, to all rows.
"""

from functools import cached_property

import torch
from torch import Tensor

from .bandwidths import LeaveOneOut, best_bandwidths
from .members import Member
from .mixtures import MAX_FAMILY, Family, family_regressions, fit_mixture, refitted
from .mixtures import largest as largest_families
from .networks import ConditionalKernels, ConditionalMixture, ConditionalNetwork
from .records import Rows

# more rows than these are drawn from: kernels on all of them would be dear
MAX_KERNELS = 10_000
# rows at which the likelihood of bandwidths is evaluated: they need not be exact
MAX_LEFT_OUT = 300


def can_have_partners(network) -> bool:
    """Whether a network may be averaged with mixtures and kernels of its columns.

    Not if columns share weights: their rows taken together leave little to gain. Nor
    with wide contexts: covariances would have more entries than most tables have rows,
    and no two rows would be near each other.
    """
    return (
        isinstance(network, ConditionalNetwork)
        and network.n_parts == len(network.columns)
        and bool(network.active.any())
        and network.context_index.shape[1] < MAX_FAMILY
    )


def not_determined(network: ConditionalNetwork) -> ConditionalNetwork:
    """The columns of a network that their contexts do not determine."""
    columns = zip(network.columns, network.active.tolist(), strict=True)
    return network.select([j for j, active in columns if active])


class Mixtures:
    """Gaussian mixtures of the largest families of a network.

    Parameters
    ----------
    network : ConditionalNetwork
        Columns that are not determined.
    member : Member
        Its held-out rows choose the numbers of components.
    max_components : int
    seed : int
    """

    def __init__(self, network, member: Member, max_components: int, seed: int):
        self.network, self.seed = network, seed
        own = zip(network.columns, network.contexts, strict=True)
        self.families = [(j, *context) for j, context in own]
        self.mixtures = {}
        for family in largest_families(self.families):
            training, held_out = (
                _arrays(rows, family) for rows in (member.rows, member.held_out)
            )
            self.mixtures[family] = fit_mixture(
                training, held_out, max_components=max_components, seed=seed
            )

    def of_training_rows(self) -> ConditionalMixture:
        """Mixtures of the training rows."""
        return self._beside_network(self.mixtures)

    def fitted_to(self, rows: Rows) -> ConditionalMixture:
        """Mixtures of as many components of other rows."""
        mixtures = {
            family: refitted(mixture, *_arrays(rows, family), seed=self.seed)
            for family, mixture in self.mixtures.items()
        }
        return self._beside_network(mixtures)

    def _beside_network(self, mixtures) -> ConditionalMixture:
        found = family_regressions(self.families, mixtures)
        known = {family[0]: regressions for family, regressions in found.items()}
        return ConditionalMixture.beside(
            self.network, [known[j] for j in self.network.columns]
        )


class Kernels:
    """Kernel estimates of the columns of a network given their contexts.

    Parameters
    ----------
    network : ConditionalNetwork
        Columns that are not determined.
    member : Member
        Its training rows choose the bandwidths, each left out in turn.
    seed : int
        Of the rows that are drawn where there are too many.
    """

    def __init__(self, network: ConditionalNetwork, member: Member, seed: int):
        self.network, self.member, self.seed = network, member, seed

    @cached_property
    def bandwidths(self) -> list[tuple[float, float]]:
        """Of the residual and the context of each column."""
        rows, generator = self._drawn(self.member.rows), self.member.generator
        z, weight = rows.z.double(), rows.weight.double()
        order = torch.randperm(len(z), generator=generator, device=generator.device)
        residuals = self.network.to_own(z)[0].split(1, dim=1)
        return [
            best_bandwidths(
                LeaveOneOut(own, z[:, list(context)], weight, order[:MAX_LEFT_OUT])
            )
            for own, context in zip(residuals, self.network.contexts, strict=True)
        ]

    def of_training_rows(self) -> ConditionalKernels:
        """Kernels on training rows."""
        return self.fitted_to(self.member.rows)

    def fitted_to(self, rows: Rows) -> ConditionalKernels:
        """Kernels on other rows with the same bandwidths."""
        rows = self._drawn(rows)
        return ConditionalKernels.beside(
            self.network, rows.z, rows.weight, self.bandwidths
        )

    def _drawn(self, rows: Rows) -> Rows:
        """At most `MAX_KERNELS` of the rows, the same at every call."""
        if len(rows) <= MAX_KERNELS:
            return rows
        device = rows.z.device
        generator = torch.Generator(device).manual_seed(self.seed)
        order = torch.randperm(len(rows), generator=generator, device=device)
        return rows.take(order[:MAX_KERNELS])


def _arrays(rows: Rows, family: Family):
    """Columns of a family and weights of rows, as arrays."""
    columns: Tensor = rows.z[:, family]
    return tuple(x.double().cpu().numpy() for x in (columns, rows.weight))

"""What a trained network may be averaged with: mixtures and kernel estimates.

Networks have little bias and much chance error, mixtures of a few normal distributions
the reverse. Kernel estimates err elsewhere again: they know rows that nearly repeat, and
with few rows or small factors they are hard to beat. Both are fitted to the training rows
of each member, so that its held-out rows can judge them, and then, when nothing is left
to be judged, once to all rows.
"""

from functools import cached_property

import numpy as np
import torch
from scipy.stats import gmean
from torch import Tensor

from .bandwidths import LeaveOneOut, best_bandwidths
from .mixtures import MAX_FAMILY, Family, family_regressions, fit_mixtures, refitted
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
    splits : sequence of pair of Rows
        Training and held-out rows of each member; the held-out rows choose the numbers of
        components.
    rows : Rows
        All rows.
    max_components : int
    seed : int
        Of draws and first clusters.
    """

    def __init__(self, network, splits, rows: Rows, max_components: int, seed: int):
        self.network, self.rows, self.seed = network, rows, seed
        self.n_members = len(splits)
        own = zip(network.columns, network.contexts, strict=True)
        self.families = [(j, *context) for j, context in own]
        self.mixtures = {
            family: fit_mixtures(
                [[_arrays(part, family) for part in split] for split in splits],
                max_components=max_components,
                seed=seed,
            )
            for family in largest_families(self.families)
        }

    def of_training_rows(self) -> list[ConditionalMixture]:
        """Mixtures of the training rows of each member."""
        return [
            self._beside_network({f: m[i] for f, m in self.mixtures.items()})
            for i in range(self.n_members)
        ]

    def of_all_rows(self) -> ConditionalMixture:
        """Mixtures of as many components of all rows."""
        # any member's is a start
        mixtures = {
            family: refitted(starts[0], *_arrays(self.rows, family), seed=self.seed)
            for family, starts in self.mixtures.items()
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
    training : sequence of Rows
        Training rows of each member; they choose the bandwidths, each left out in turn.
        All rows would know too many that nearly repeat: held-out rows have less of them.
    rows : Rows
        All rows.
    seed : int
        Of the rows that are drawn where there are too many.
    """

    def __init__(self, network: ConditionalNetwork, training, rows: Rows, seed: int):
        self.network, self.training, self.rows = network, training, rows
        self.seed = seed

    @cached_property
    def bandwidths(self) -> np.ndarray:
        """Of the residual and the context of each column, (n_members, n_columns, 2)."""
        return np.array([self._best_bandwidths(self._drawn(t)) for t in self.training])

    def _best_bandwidths(self, rows: Rows) -> list[tuple[float, float]]:
        z, weight = rows.z.double(), rows.weight.double()
        left_out = self._order(len(z))[:MAX_LEFT_OUT]
        residuals = self.network.to_own(z)[0].split(1, dim=1)
        return [
            best_bandwidths(LeaveOneOut(own, z[:, list(context)], weight, left_out))
            for own, context in zip(residuals, self.network.contexts, strict=True)
        ]

    def of_training_rows(self) -> list[ConditionalKernels]:
        """Kernels on the training rows of each member."""
        pairs = zip(self.training, self.bandwidths, strict=True)
        return [self._on(training, bandwidths) for training, bandwidths in pairs]

    def of_all_rows(self) -> ConditionalKernels:
        """Kernels on all rows with geometric means of the members' bandwidths."""
        return self._on(self.rows, gmean(self.bandwidths))

    def _on(self, rows: Rows, bandwidths: np.ndarray) -> ConditionalKernels:
        rows = self._drawn(rows)
        given = rows.z, rows.weight, bandwidths.tolist()
        return ConditionalKernels.beside(self.network, *given)

    def _drawn(self, rows: Rows) -> Rows:
        """At most `MAX_KERNELS` of the rows, the same at every call."""
        if len(rows) <= MAX_KERNELS:
            return rows
        return rows.take(self._order(len(rows))[:MAX_KERNELS])

    def _order(self, n: int) -> Tensor:
        """Places of rows in an order that is the same at every call."""
        device = self.rows.z.device
        generator = torch.Generator(device).manual_seed(self.seed)
        return torch.randperm(n, generator=generator, device=device)


def _arrays(rows: Rows, family: Family):
    """Columns of a family and weights of rows, as arrays."""
    columns: Tensor = rows.z[:, family]
    return tuple(x.double().cpu().numpy() for x in (columns, rows.weight))

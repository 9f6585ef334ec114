"""Averages of networks with closed forms, each column with a share of its own."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .._torch import load_arrays, to_arrays, to_numpy
from ..denoisers import Denoiser
from ._conditional import ConditionalNetwork
from ._kernels import ConditionalKernels
from ._mixture import ConditionalMixture
from ._partner import ConditionalPartner

PARTNERS = {kind.name: kind for kind in (ConditionalMixture, ConditionalKernels)}


class Blend(Denoiser):
    """Average of the velocities of a network and a partner, column by column.

    An average of velocities is a velocity, so the flow along it describes one density.

    Parameters
    ----------
    base : ConditionalNetwork or Blend
    partner : ConditionalPartner
        Of some or all columns, in the coordinates of the network.
    share : Tensor of shape (n_columns of the partner,)
        Weight of the partner in the average for each of its columns, from 0 to 1.
    """

    def __init__(self, base: Denoiser, partner: ConditionalPartner, share):
        super().__init__()
        self.base, self.partner = base, partner
        self.columns, self.colours = base.columns, base.colours
        self.separable = base.separable
        self.places = [base.columns.index(j) for j in partner.columns]
        self.register_buffer("share", torch.as_tensor(share).to(partner.coef))

    @property
    def floats_per_row(self) -> int:
        # one after the other: one at a time fills the cache
        return max(self.base.floats_per_row, self.partner.floats_per_row)

    @property
    def t_min(self) -> float:
        """Smallest time."""
        return self.base.t_min

    def engines(self) -> dict[tuple[int, ...], str]:
        """Kind of model of every column, for printing."""
        return self.base.engines()

    def to_own(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.base.to_own(z)

    def from_own(self, r: Tensor, z: Tensor) -> Tensor:
        return self.base.from_own(r, z)

    def encode(self, z: Tensor) -> tuple:
        return self.base.encode(z), self.partner.encode(z)

    def velocity(self, r_t: Tensor, t: Tensor, code: tuple) -> Tensor:
        v = self.base.velocity(r_t, t, code[0])
        return self._averaged(v, self.partner.velocity(r_t[:, self.places], t, code[1]))

    def velocity_and_divergence(self, r_t: Tensor, t: Tensor, code: tuple):
        own = self.base.velocity_and_divergence(r_t, t, code[0])
        r_t = r_t[:, self.places]
        theirs = self.partner.velocity_and_divergence(r_t, t, code[1])
        return tuple(self._averaged(*parts) for parts in zip(own, theirs, strict=True))

    def _averaged(self, own: Tensor, theirs: Tensor) -> Tensor:
        new, places = own.clone(), self.places
        new[:, places] = torch.lerp(own[:, places], theirs, self.share)
        return new

    def split(self) -> list[Denoiser]:
        parts = self.base.split()
        return [averaged_with(part, self.partner, self.share) for part in parts]

    def select(self, columns) -> Denoiser:
        return averaged_with(self.base.select(columns), self.partner, self.share)

    def to_state(self) -> dict:
        """State of the network, and a list of what it is averaged with in turn."""
        partner, state = self.partner, self.base.to_state()
        beside = {
            "partner": partner.name,
            "columns": partner.columns,
            "sizes": partner.sizes(),
            "arrays": to_arrays(partner),
            "share": to_numpy(self.share),
        }
        return {**state, "beside": [*state.get("beside", ()), beside]}


def averaged_with(base: Denoiser, partner: ConditionalPartner, share: Tensor) -> Denoiser:
    """Average with a partner of those columns that take a share; perhaps of none."""
    shares = dict(zip(partner.columns, share, strict=True))
    columns = [j for j in base.columns if shares.get(j, 0) > 0]
    if not columns:
        return base
    return Blend(base, partner.select(columns), torch.stack([shares[j] for j in columns]))


def averaged_by_state(network: ConditionalNetwork, states: Sequence[dict]) -> Denoiser:
    """A network averaged in turn with what the list in its state has beside it."""
    base, contexts = network, dict(zip(network.columns, network.contexts, strict=True))
    for state in states:
        columns = state["columns"]
        own = [contexts[j] for j in columns]
        partner = PARTNERS[state["partner"]](columns, own, **state["sizes"])
        load_arrays(partner, state["arrays"])
        base = Blend(base, partner, torch.tensor(np.asarray(state["share"])))
    return base


def partner_shares(ensemble: Sequence[Sequence[Denoiser]]) -> dict[str, np.ndarray]:
    """Attributes `mixture_shares_` and `kernel_shares_`: means over the members.

    A partner that comes later thins those before it.
    """
    n_columns = sum(len(network.columns) for network in ensemble[0])
    found = {f"{name}_shares_": np.zeros(n_columns) for name in PARTNERS}
    for denoiser in (denoiser for member in ensemble for denoiser in member):
        left = np.full(n_columns, 1 / len(ensemble))
        while isinstance(denoiser, Blend):
            share, columns = to_numpy(denoiser.share), list(denoiser.partner.columns)
            found[f"{denoiser.partner.name}_shares_"][columns] += left[columns] * share
            left[columns] *= 1 - share
            denoiser = denoiser.base
    return found

"""Averages of networks with coarser models, each column with a share of its own."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .._torch import load_arrays, to_arrays, to_numpy
from ..denoisers import Denoiser
from ._average import AverageOfNetworks
from ._conditional import ConditionalNetwork
from ._kernels import ConditionalKernels
from ._mixture import ConditionalMixture
from ._partner import ConditionalPartner

PARTNERS = {"mixture": ConditionalMixture, "kernel": ConditionalKernels}


class Blend(AverageOfNetworks):
    """Average of the velocities of a network and a partner, column by column.

    Parameters
    ----------
    base : ConditionalNetwork or Blend
    partner : ConditionalPartner
        Of some or all columns, in the coordinates of the network.
    share : Tensor of shape (n_columns of the partner,)
        Weight of the partner in the average for each of its columns, from 0 to 1.
    """

    def __init__(self, base: Denoiser, partner: ConditionalPartner, share):
        super().__init__([base, partner])
        self.register_buffer("share", torch.as_tensor(share).to(partner.coef))
        self.places = [base.columns.index(j) for j in partner.columns]

    @property
    def t_min(self) -> float:
        """Smallest time."""
        return self.members[0].t_min

    def engines(self) -> dict[tuple[int, ...], str]:
        """Kind of model of every column, for printing."""
        return self.members[0].engines()

    def velocity(self, r_t: Tensor, t: Tensor, code: list) -> Tensor:
        base, partner = self.members
        v = base.velocity(r_t, t, code[0])
        return self._averaged(v, partner.velocity(r_t[:, self.places], t, code[1]))

    def velocity_and_divergence(self, r_t: Tensor, t: Tensor, code: list):
        base, partner = self.members
        both = base.velocity_and_divergence(r_t, t, code[0])
        theirs = partner.velocity_and_divergence(r_t[:, self.places], t, code[1])
        return tuple(self._averaged(*parts) for parts in zip(both, theirs, strict=True))

    def _averaged(self, own: Tensor, theirs: Tensor) -> Tensor:
        new, places = own.clone(), self.places
        new[:, places] = torch.lerp(own[:, places], theirs, self.share)
        return new

    def split(self) -> list[Denoiser]:
        return [self._beside(part) for part in self.members[0].split()]

    def select(self, columns) -> Denoiser:
        return self._beside(self.members[0].select(columns))

    def _beside(self, base: Denoiser) -> Denoiser:
        """Some columns of the network, with the partner of those that have one."""
        partner = self.members[1]
        columns = [j for j in base.columns if j in partner.columns]
        if not columns:
            return base
        share = self.share[[partner.columns.index(j) for j in columns]]
        return Blend(base, partner.select(columns), share)

    def to_state(self) -> dict:
        """State of the network, and a list of what it is averaged with in turn."""
        base, partner = self.members
        state = base.to_state()
        beside = {
            "partner": _name(partner),
            "columns": partner.columns,
            "sizes": partner.sizes(),
            "arrays": to_arrays(partner),
            "share": to_numpy(self.share),
        }
        return {**state, "beside": [*state.get("beside", ()), beside]}

    @classmethod
    def from_state(cls, network: ConditionalNetwork, states: Sequence[dict]) -> Denoiser:
        """A network averaged in turn with what the list in its state has beside it."""
        base = network
        for state in states:
            kind = PARTNERS[state["partner"]]
            contexts = dict(zip(network.columns, network.contexts, strict=True))
            columns = state["columns"]
            own = [contexts[j] for j in columns]
            partner = kind(columns, own, **state["sizes"])
            load_arrays(partner, state["arrays"])
            base = cls(base, partner, torch.tensor(np.asarray(state["share"])))
        return base


def _name(partner: ConditionalPartner) -> str:
    return next(name for name, kind in PARTNERS.items() if isinstance(partner, kind))


def partner_shares(ensemble: Sequence[Sequence[Denoiser]]) -> dict[str, np.ndarray]:
    """Attributes with the mean over members of the share of each kind of partner."""
    n_columns = sum(len(network.columns) for network in ensemble[0])
    found = {f"{name}_shares_": np.zeros(n_columns) for name in PARTNERS}
    for denoiser in (denoiser for member in ensemble for denoiser in member):
        left = np.full(n_columns, 1 / len(ensemble))
        while isinstance(denoiser, Blend):
            share, (base, partner) = to_numpy(denoiser.share), denoiser.members
            columns = list(partner.columns)
            found[f"{_name(partner)}_shares_"][columns] += left[columns] * share
            left[columns] *= 1 - share
            denoiser = base
    return found

"""What training leaves: networks of members, and partners beside their averages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._torch import load_arrays, to_arrays, to_numpy
from ..denoisers import Denoiser
from ._average import averages
from ._blend import averaged_with
from ._conditional import ConditionalNetwork
from ._joint import JointNetwork
from ._kernels import ConditionalKernels
from ._mixture import ConditionalMixture
from ._partner import ConditionalPartner
from ._trainable import ScoreNetwork

NETWORKS = {network.__name__: network for network in (ConditionalNetwork, JointNetwork)}
PARTNERS = {kind.name: kind for kind in (ConditionalMixture, ConditionalKernels)}


def network_from_state(state: dict) -> ScoreNetwork:
    """Network of any kind from the result of its `to_state`."""
    return NETWORKS[state["network"]].from_state(state)


class PartnerShare(NamedTuple):
    """A partner and the share of each of its columns, from 0 to 1."""

    partner: ConditionalPartner
    share: Tensor

    def taking_part(self) -> "PartnerShare":
        """Only the columns with a share."""
        has_share = self.share > 0
        columns = zip(self.partner.columns, has_share.tolist(), strict=True)
        partner = self.partner.select([j for j, has in columns if has])
        return PartnerShare(partner, self.share[has_share])

    def to(self, like: Tensor) -> "PartnerShare":
        """The same in the precision and on the device of a tensor."""
        return PartnerShare(self.partner.to(like), self.share.to(like))

    def to_state(self) -> dict:
        """Everything as plain numbers and numpy arrays."""
        partner = self.partner
        return {
            "partner": partner.name,
            "columns": partner.columns,
            "contexts": partner.contexts,
            "sizes": partner.sizes(),
            "arrays": to_arrays(partner),
            "share": to_numpy(self.share),
        }

    @classmethod
    def from_state(cls, state: dict) -> "PartnerShare":
        """Partner of any kind and its shares from the result of `to_state`."""
        own = state["columns"], state["contexts"]
        partner = PARTNERS[state["partner"]](*own, **state["sizes"])
        load_arrays(partner, state["arrays"])
        return cls(partner, torch.tensor(np.asarray(state["share"])))


@dataclass(frozen=True)
class Ensemble:
    """Networks, averaged over the members, then with partners in turn.

    Attributes
    ----------
    members : sequence of sequence of ScoreNetwork
        The networks of each member own every column once, alike in all members.
    beside : sequence of sequence of PartnerShare
        Of each network of a member, in turn; empty if no network has any.
    """

    members: Sequence[Sequence[ScoreNetwork]]
    beside: Sequence[Sequence[PartnerShare]] = ()

    @property
    def t_min(self) -> float:
        """Smallest time."""
        return self.members[0][0].t_min

    def to(self, like: Tensor) -> "Ensemble":
        """The same with all numbers in the precision and on the device of a tensor."""
        members = [[network.to(like) for network in own] for own in self.members]
        beside = [[one.to(like) for one in own] for own in self.beside]
        return Ensemble(members, beside)

    def engines(self) -> dict[tuple[int, ...], str]:
        """Kind of model of the columns of every block, for printing."""
        return {c: e for n in self.members[0] for c, e in n.engines().items()}

    def denoisers(self) -> list[Denoiser]:
        """Averages that together own every column once."""
        found = averages(self.members)
        for i, beside in enumerate(self.beside):
            for partner, share in beside:
                found[i] = averaged_with(found[i], partner, share)
        return found

    def shares(self) -> dict[str, np.ndarray]:
        """Attributes `mixture_shares_` and `kernel_shares_`, (n_columns,).

        A partner that comes later thins those before it.
        """
        n_columns = sum(len(network.columns) for network in self.members[0])
        found = {name: np.zeros(n_columns) for name in PARTNERS}
        for partner, share in (beside for own in self.beside for beside in own):
            columns, share = list(partner.columns), to_numpy(share)
            for earlier in found.values():
                earlier[columns] *= 1 - share
            found[partner.name][columns] += share
        return {f"{name}_shares_": shares for name, shares in found.items()}

    def to_state(self) -> dict:
        """Everything as plain numbers and numpy arrays."""
        return {
            "members": [[n.to_state() for n in networks] for networks in self.members],
            "beside": [[one.to_state() for one in own] for own in self.beside],
        }

    @classmethod
    def from_state(cls, state: dict) -> "Ensemble":
        """Ensemble from the result of `to_state`."""
        members = [
            [network_from_state(n) for n in networks] for networks in state["members"]
        ]
        beside = [
            [PartnerShare.from_state(one) for one in own] for own in state["beside"]
        ]
        return cls(members, beside)

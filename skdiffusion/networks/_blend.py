"""Averages of networks with mixtures, each column with a share of its own."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .._torch import load_arrays, to_arrays, to_numpy
from ..denoisers import Denoiser
from ._average import AverageOfNetworks
from ._conditional import ConditionalNetwork
from ._mixture import ConditionalMixture


class Blend(AverageOfNetworks):
    """Average of the velocities of a network and a mixture, column by column.

    Parameters
    ----------
    network : ConditionalNetwork
    mixture : ConditionalMixture
        Beside the network.
    share : Tensor of shape (n_own,)
        Weight of the mixture in the average for each column, from 0 to 1.
    """

    def __init__(self, network: ConditionalNetwork, mixture: ConditionalMixture, share):
        super().__init__([network, mixture])
        self.register_buffer("share", torch.as_tensor(share).to(network.coef))

    @property
    def t_min(self) -> float:
        """Smallest time."""
        return self.members[0].t_min

    def engines(self) -> dict[tuple[int, ...], str]:
        """Kind of model of every column, for printing."""
        return self.members[0].engines()

    def _mean(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.lerp(*parts, self.share)

    def split(self) -> list[Denoiser]:
        parts = [member.split() for member in self.members]
        shares = self.share.split([len(part.columns) for part in parts[0]])
        return [Blend(*part) for part in zip(*parts, shares, strict=True)]

    def select(self, columns) -> "Blend":
        share = self.share[[self.columns.index(j) for j in columns]]
        return Blend(*(member.select(columns) for member in self.members), share)

    def to_state(self) -> dict:
        """State of the network, and beside it what it is averaged with."""
        network, mixture = self.members
        beside = {
            "n_components": mixture.log_weight.shape[1],
            "arrays": to_arrays(mixture),
            "share": to_numpy(self.share),
        }
        return {**network.to_state(), "mixture": beside}

    @classmethod
    def from_state(cls, network: ConditionalNetwork, state: dict) -> "Blend":
        """Blend of a network and what its state has beside it."""
        sizes = {
            "n_components": state["n_components"],
            "context_size": network.coef.shape[1],
        }
        mixture = ConditionalMixture(network.columns, network.contexts, **sizes)
        load_arrays(mixture, state["arrays"])
        return cls(network, mixture, torch.tensor(np.asarray(state["share"])))


def mixture_shares(ensemble: Sequence[Sequence[Denoiser]]) -> np.ndarray:
    """Mean over members of the share of the mixture, column by column."""
    shares = np.zeros(sum(len(network.columns) for network in ensemble[0]))
    for network in (network for member in ensemble for network in member):
        if isinstance(network, Blend):
            shares[list(network.columns)] += to_numpy(network.share) / len(ensemble)
    return shares

"""Averages of networks: what they agree on remains, their chance errors cancel."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..denoisers import Denoiser


class AverageOfNetworks(Denoiser):
    """Average of the velocities of denoisers of the same columns and coordinates.

    An average of velocities is a velocity, so the flow along it describes one density,
    as that of a single network does.

    Parameters
    ----------
    members : sequence of Denoiser
        They agree in `columns`, `colours`, `to_own` and `from_own`.
    """

    def __init__(self, members: Sequence[Denoiser]):
        super().__init__()
        self.members = torch.nn.ModuleList(members)
        self.columns, self.colours = members[0].columns, members[0].colours
        self.separable = members[0].separable

    @property
    def floats_per_row(self) -> int:
        # members are evaluated one after the other: one at a time fills the cache
        return max(member.floats_per_row for member in self.members)

    def to_own(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.members[0].to_own(z)

    def from_own(self, r: Tensor, z: Tensor) -> Tensor:
        return self.members[0].from_own(r, z)

    def encode(self, z: Tensor) -> list:
        return [member.encode(z) for member in self.members]

    def velocity(self, r_t: Tensor, t: Tensor, code: list) -> Tensor:
        pairs = zip(self.members, code, strict=True)
        return _mean([m.velocity(r_t, t, c) for m, c in pairs])

    def velocity_and_divergence(self, r_t: Tensor, t: Tensor, code: list):
        pairs = zip(self.members, code, strict=True)
        both = [m.velocity_and_divergence(r_t, t, c) for m, c in pairs]
        return tuple(_mean(parts) for parts in zip(*both, strict=True))

    def split(self) -> list[Denoiser]:
        parts = zip(*(member.split() for member in self.members), strict=True)
        return [average(part) for part in parts]

    def select(self, columns) -> Denoiser:
        return average([member.select(columns) for member in self.members])


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return sum(parts) / len(parts)


def average(members: Sequence[Denoiser]) -> Denoiser:
    """Average of denoisers; a single one is its own."""
    return members[0] if len(members) == 1 else AverageOfNetworks(members)


def averages(ensemble: Sequence[Sequence[Denoiser]]) -> list[Denoiser]:
    """Averages over the members of an ensemble of their denoisers of the same columns."""
    return [average(alike) for alike in zip(*ensemble, strict=True)]

"""Averages of networks with closed forms, each column with a share of its own."""

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ._partner import ConditionalPartner


class Blend(Denoiser):
    """Average of the velocities of a network and a partner, column by column.

    An average of velocities is a velocity, so the flow along it describes one density.

    Parameters
    ----------
    base : Denoiser
        Separable: a conditional network, an average of them or another blend.
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


def averaged_with(base: Denoiser, partner: ConditionalPartner, share: Tensor) -> Denoiser:
    """Average with a partner of those columns that take a share; perhaps of none."""
    shares = dict(zip(partner.columns, share, strict=True))
    columns = [j for j in base.columns if shares.get(j, 0) > 0]
    if not columns:
        return base
    return Blend(base, partner.select(columns), torch.stack([shares[j] for j in columns]))

"""Weighted rows for several conditions at once: normalisers, errors, resampling."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ._chain import Evidence

RESAMPLE_BELOW = 0.5
# effective particles below which there is no standard error
FEWEST = 3.0


@dataclass
class Particles:
    """Weighted rows for each condition.

    Attributes
    ----------
    z : Tensor of shape (n_conditions * n_particles, n_features)
        Standardised rows, those of a condition one after the other.
    log_weight : Tensor of shape (n_conditions, n_particles)
        Since the last resampling.
    log_normalizer : Tensor of shape (n_conditions,)
        Logarithm of the mean weights up to the last resampling.
    variance : Tensor of shape (n_conditions,)
        Relative variance of the normaliser up to the last resampling.
    """

    z: Tensor
    log_weight: Tensor
    log_normalizer: Tensor
    variance: Tensor

    @classmethod
    def start(cls, evidence: Evidence, n_particles: int) -> "Particles":
        """Particles of weight one with the known values, and zeros elsewhere."""
        z = evidence.value.nan_to_num(0.0).repeat_interleave(n_particles, dim=0)
        zeros = z.new_zeros(len(evidence.value))
        return cls(z, z.new_zeros(len(zeros), n_particles), zeros, zeros.clone())

    @property
    def n_particles(self) -> int:
        return self.log_weight.shape[1]

    @property
    def effective_sizes(self) -> Tensor:
        """Effective number of particles of each condition; 0 if all weights vanish.

        The number of independent rows from which the normaliser would be as certain:
        what was lost before a resampling stays lost.
        """
        return 1 / (self.variance + 1 / self._kong)

    @property
    def _kong(self) -> Tensor:
        """Effective sample size of the weights since the last resampling."""
        twice = 2 * self.log_weight.logsumexp(1) - (2 * self.log_weight).logsumexp(1)
        return twice.exp().nan_to_num(0.0)

    @property
    def log_normalizers(self) -> Tensor:
        """Estimated log-density (or log-probability) of the evidence."""
        mean = self.log_weight.logsumexp(1) - math.log(self.n_particles)
        return self.log_normalizer + mean

    @property
    def standard_errors(self) -> Tensor:
        """Of `log_normalizers`, in nats, by the delta method.

        Infinite where hardly any particle agrees with the evidence: the weights of so
        few say nothing of those that were not drawn.
        """
        error = (self.variance + self._relative_variance()).sqrt()
        # with one particle, which is exact, the size may be rounded
        few = self.effective_sizes < min(FEWEST, 0.999 * self.n_particles)
        return torch.where(few, torch.inf, error)

    def _relative_variance(self) -> Tensor:
        return (1 / self._kong - 1 / self.n_particles).clamp(min=0)

    def repeated(self, values: Tensor) -> Tensor:
        """Values of each condition, for each of its particles."""
        return values.repeat_interleave(self.n_particles, dim=0)

    def weigh(self, log_weight: Tensor) -> None:
        """Multiply the weights; the logarithms are given for each row of z."""
        self.log_weight = self.log_weight + log_weight.view_as(self.log_weight)

    def resample_if_poor(self, generator: torch.Generator) -> None:
        """Resample conditions whose effective size fell below half the particles."""
        size = self._kong
        poor = (size > 0) & (size < RESAMPLE_BELOW * self.n_particles)
        if not poor.any():
            return
        kept = torch.arange(self.n_particles).to(poor.device).expand_as(self.log_weight)
        drawn = self.draw(self.n_particles, generator)
        self.z = self._rows(torch.where(poor[:, None], drawn, kept))
        relative = self._relative_variance()
        self.variance = self.variance + torch.where(poor, relative, 0.0)
        self.log_normalizer = torch.where(poor, self.log_normalizers, self.log_normalizer)
        self.log_weight = torch.where(poor[:, None], 0.0, self.log_weight)

    def draw(self, n_draws: int, generator: torch.Generator) -> Tensor:
        """Positions of so many particles of each condition, by systematic resampling."""
        share = self.log_weight.softmax(1)
        shift = torch.rand(
            len(share), 1, generator=generator, dtype=share.dtype, device=share.device
        )
        levels = (torch.arange(n_draws).to(share) + shift) / n_draws
        found = torch.searchsorted(share.cumsum(1), levels, right=True)
        return found.clamp(max=self.n_particles - 1)

    def drawn(self, n_draws: int, generator: torch.Generator) -> Tensor:
        """Rows of equal weight, shape (n_conditions * n_draws, n_features)."""
        return self._rows(self.draw(n_draws, generator))

    def _rows(self, index: Tensor) -> Tensor:
        rows = self.z.view(*self.log_weight.shape, -1)
        chosen = index.unsqueeze(-1).expand(-1, -1, rows.shape[-1])
        return rows.gather(1, chosen).flatten(0, 1)

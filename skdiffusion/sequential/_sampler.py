"""The walk along the blocks: draw what is unknown, weigh by what is known."""

import torch
from torch import Tensor

from .. import flow
from ..chunks import by_chunks
from ..denoisers import Denoiser
from ._chain import Chain, Evidence
from ._particles import Particles
from ._proposals import fit_proposal
from ._truncated import truncated_normal

# rows from which the proposals of a joint block are made
N_REFERENCE = 2000
# width, in normal coordinates, of an interval in which a density counts as constant
NARROW = 0.01


class Sampler:
    """Particles of a chain, and their completion to rows.

    Parameters
    ----------
    chain : Chain
        The density.
    evidence : Evidence
        What is known.
    generator : torch.Generator
        Source of all randomness.
    """

    def __init__(self, chain: Chain, evidence: Evidence, generator: torch.Generator):
        self.chain, self.evidence, self.generator = chain, evidence, generator
        self.needed = chain.with_ancestors(evidence.telling, evidence.forced)

    @property
    def is_exact(self) -> bool:
        """Whether normalisers and draws have no Monte Carlo error."""
        return self.evidence.is_exact(self.chain)

    def draws(self, n_draws: int, n_particles: int) -> tuple[Tensor, Tensor]:
        """Rows of equal weight, so many for each condition one after the other.

        Also the effective number of particles behind those of each condition, infinite
        where they are exact.
        """
        if self.is_exact:
            z = self.weighted(n_draws).z
            sizes = z.new_full((len(self.evidence.value),), torch.inf)
        else:
            particles = self.weighted(max(n_particles, n_draws))
            z = particles.drawn(n_draws, self.generator)
            sizes = particles.effective_sizes
        return self.completed(z), sizes

    def weighted(self, n_particles: int) -> Particles:
        """Particles in the columns that have a say in the evidence."""
        particles = Particles.start(self.evidence, n_particles)
        for denoiser, own in self.chain.groups(self.needed - self.evidence.forced):
            if denoiser.separable:
                self._visit_columns(particles, denoiser, own)
            else:
                self._visit_block(particles, denoiser)
        return particles

    def completed(self, z: Tensor) -> Tensor:
        """Rows with the columns drawn that have no say in the evidence."""
        z = z.clone()
        rest = set(self.chain.contexts) - self.needed - self.evidence.fixed
        for denoiser, own in self.chain.groups(rest):
            self._draw(z, denoiser.select(tuple(own)))
        return z

    def _visit_columns(self, particles: Particles, denoiser, own: list[int]) -> None:
        """Known columns of one generation, then those in intervals, then the others."""
        fixed = [j for j in own if j in self.evidence.fixed]
        bounded = [j for j in own if j in self.evidence.bounded]
        drawn = [j for j in own if j not in fixed and j not in bounded]
        if fixed:
            particles.weigh(self._log_density(denoiser.select(tuple(fixed)), particles.z))
        if bounded or drawn:
            particles.resample_if_poor(self.generator)
        if bounded:
            self._draw_inside(particles, denoiser.select(tuple(bounded)))
        if drawn:
            self._draw(particles.z, denoiser.select(tuple(drawn)))

    def _visit_block(self, particles: Particles, denoiser: Denoiser) -> None:
        """A joint block: known as a whole, not at all, or in part."""
        own = set(denoiser.columns)
        known = own & self.evidence.fixed
        if known == own:
            particles.weigh(self._log_density(denoiser, particles.z))
            return
        particles.resample_if_poor(self.generator)
        if known:
            self._propose(particles, denoiser, sorted(known))
        else:
            self._draw(particles.z, denoiser)
        bounded = sorted(own & self.evidence.bounded)
        low, high = self._limits(particles, bounded)
        inside = (particles.z[:, bounded] >= low) & (particles.z[:, bounded] <= high)
        particles.weigh(torch.where(inside.all(1), 0.0, -torch.inf).to(low))

    def _draw(self, z: Tensor, part: Denoiser) -> None:
        noise = self._noise(z, len(part.columns))
        z[:, list(part.columns)] = self._from_normal(part, z, noise)

    def _draw_inside(self, particles: Particles, part: Denoiser) -> None:
        """Columns drawn from their conditionals, restricted to the intervals."""
        own, z = list(part.columns), particles.z
        limits = self._limits(particles, own)
        a, b = (self._to_normal(part, z, limit) for limit in limits)
        uniform = torch.rand(
            a.shape, generator=self.generator, dtype=z.dtype, device=z.device
        )
        noise, log_probability = truncated_normal(a, b, uniform)
        # the error of the solver may carry a draw beyond a limit
        x = self._from_normal(part, z, noise).clamp(*limits)
        narrow = b - a < NARROW
        if narrow.any():
            # a difference of two distribution functions would be their rounding
            low, high = limits
            x = torch.where(narrow, low + uniform * (high - low), x)
            z[:, own] = torch.where(narrow, (low + high) / 2, x)
            by_density = self._terms(part, z) + (high - low).log()
            log_probability = torch.where(narrow, by_density, log_probability)
        z[:, own] = x
        particles.weigh(log_probability.sum(1))

    def _propose(self, particles: Particles, denoiser: Denoiser, known) -> None:
        """Unknown columns of a joint block, by importance sampling."""
        unknown = [j for j in denoiser.columns if j not in known]
        given = [*known, *self.chain.contexts[denoiser.columns[0]]]
        reference = self._reference(given + unknown)
        proposal = fit_proposal(reference[:, given], reference[:, unknown])
        z = particles.z
        z[:, unknown], log_density = proposal.draw(z[:, given], self.generator)
        particles.weigh(self._log_density(denoiser, z) - log_density)

    def _reference(self, columns) -> Tensor:
        """Rows of the density without evidence, in the columns asked for."""
        z = self.evidence.value.new_zeros(N_REFERENCE, self.evidence.value.shape[1])
        for denoiser, own in self.chain.groups(self.chain.with_ancestors(columns)):
            self._draw(z, denoiser.select(tuple(own)))
        return z

    def _limits(self, particles: Particles, columns: list[int]) -> tuple[Tensor, Tensor]:
        """Ends of the intervals of some columns, for each particle."""
        low, high = self.evidence.low[:, columns], self.evidence.high[:, columns]
        return particles.repeated(low), particles.repeated(high)

    def _from_normal(self, part: Denoiser, z: Tensor, noise: Tensor) -> Tensor:
        walk = lambda z, e: flow.own_from_normal(part, z, e, self.chain.path)
        return by_chunks(walk, [z, noise], [part])

    def _to_normal(self, part: Denoiser, z: Tensor, values: Tensor) -> Tensor:
        """Noise that belongs to values of the own columns, which may be infinite."""
        rows = z.clone()
        rows[:, list(part.columns)] = torch.where(values.isinf(), 0.0, values)
        walk = lambda z: flow.own_to_normal(part, z, self.chain.path)
        return torch.where(values.isinf(), values, by_chunks(walk, [rows], [part]))

    def _log_density(self, part: Denoiser, z: Tensor) -> Tensor:
        """Log-density of own columns together, shape (n,)."""
        return self._terms(part, z).sum(1)

    def _terms(self, part: Denoiser, z: Tensor) -> Tensor:
        """Terms of the log-density of own columns given their contexts."""
        return by_chunks(lambda z: self.chain.log_density(part, z), [z], [part])

    def _noise(self, z: Tensor, n_columns: int) -> Tensor:
        shape = (len(z), n_columns)
        return torch.randn(
            shape, generator=self.generator, dtype=z.dtype, device=z.device
        )

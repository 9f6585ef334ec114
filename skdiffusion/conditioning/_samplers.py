"""What an estimator lends to sequential Monte Carlo, and the units of the answer."""

import numpy as np

from .._torch import make_generator, resolve_device, to_numpy, to_tensor
from ..conditions import Conditions
from ..sequential import Evidence, Particles, Sampler


def make_sampler(density, conditions: Conditions, random_state, forced=()) -> Sampler:
    """Sampler of a fitted density under conditions in data units."""
    device = resolve_device(density.device)
    margins = density.margins_
    columns = (conditions.value, conditions.low, conditions.high)
    value, low, high = (to_tensor(margins.forward(a), device=device) for a in columns)
    evidence = Evidence(value, low, high, frozenset(forced))
    chain = density._chain([*conditions.fixed, *conditions.bounded])
    return Sampler(chain, evidence, make_generator(random_state, device))


def log_normalizers(
    density, conditions: Conditions, particles: Particles, forced=()
) -> np.ndarray:
    """Estimated log-densities of the conditions, in data units."""
    telling = [j for j in conditions.fixed if j not in forced]
    change = density.margins_.log_derivatives(conditions.value)[:, telling].sum(axis=1)
    return to_numpy(particles.log_normalizers) + change

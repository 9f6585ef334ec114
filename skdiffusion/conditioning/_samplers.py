"""What an estimator lends to sequential Monte Carlo, and the units of the answer."""

import numpy as np

from .._torch import make_generator, resolve_device, to_numpy, to_tensor
from .._warnings import warn_user
from ..conditions import Conditions
from ..sequential import Evidence, Particles, Sampler

# effective particles below which a condition counts as impossible
MIN_EFFECTIVE_SIZE = 10


def make_sampler(density, conditions: Conditions, random_state, forced=()) -> Sampler:
    """Sampler of a fitted density under conditions in data units."""
    device = resolve_device(density.device)
    margins = density.margins_
    said = (conditions.value, conditions.low, conditions.high)
    # a limit may be infinite in standard units: it is out of reach, and remains known
    with np.errstate(over="ignore"):
        value, low, high = (to_tensor(margins.forward(a), device=device) for a in said)
    columns = (frozenset(c) for c in (conditions.fixed, conditions.bounded, forced))
    evidence = Evidence(value, low, high, *columns)
    chain = density._chain([*conditions.fixed, *conditions.bounded])
    return Sampler(chain, evidence, make_generator(random_state, device))


def warn_of_few(sizes: np.ndarray, n_particles: int) -> None:
    """Warn of rows on whose known columns hardly any particle agrees."""
    poor = np.flatnonzero(~(sizes >= MIN_EFFECTIVE_SIZE))
    if len(poor):
        warn_user(
            f"the answers for {len(poor)} rows, such as row {poor[0]}, rest on fewer "
            f"than {MIN_EFFECTIVE_SIZE} effective particles: their known cells are "
            f"unusual. Use more particles (n_particles was {n_particles}), or check "
            "these rows."
        )


def log_normalizers(
    density, conditions: Conditions, particles: Particles, forced=()
) -> np.ndarray:
    """Estimated log-densities of the conditions, in data units."""
    telling = [j for j in conditions.fixed if j not in forced]
    change = density.margins_.log_derivatives(conditions.value)[:, telling].sum(axis=1)
    return to_numpy(particles.log_normalizers) + change

"""Missing cells, drawn given the others."""

import numpy as np

from .._torch import to_numpy
from ..conditions import Conditions
from ._samplers import make_sampler

# particles held in memory at once
MAX_PARTICLES = 2**18


def impute(density, X: np.ndarray, n_draws: int, n_particles: int, random_state):
    """Rows with NaN replaced by draws given the other cells, (n_draws, *X.shape).

    Also the effective sample size of each row; infinite where nothing was missing.
    """
    filled = np.repeat(X[None], n_draws, axis=0)
    sizes = np.full(len(X), np.inf)
    missing = np.isnan(X)
    patterns, which = np.unique(missing, axis=0, return_inverse=True)
    at_once = max(1, MAX_PARTICLES // max(n_particles, n_draws))
    for k in np.flatnonzero(patterns.any(axis=1)):
        alike = np.flatnonzero(which.ravel() == k)
        for rows in np.split(alike, range(at_once, len(alike), at_once)):
            filled[:, rows], sizes[rows] = _draw_missing(
                density, X[rows], n_draws, n_particles, random_state
            )
    return filled, sizes


def _draw_missing(density, X, n_draws, n_particles, random_state):
    """Draws for rows in which the same cells are missing, and effective sizes."""
    sampler = make_sampler(density, Conditions.on_values(X), random_state)
    z, sizes = sampler.draws(n_draws, n_particles)
    drawn = density.margins_.inverse(to_numpy(z))
    drawn = drawn.reshape(len(X), n_draws, -1).swapaxes(0, 1)
    return np.where(np.isnan(X), drawn, X), to_numpy(sizes)

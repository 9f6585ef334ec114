"""Missing cells, drawn given the others."""

import numpy as np

from .._torch import to_numpy
from ..conditions import Conditions
from ._samplers import make_sampler


def impute(density, X: np.ndarray, n_draws: int, n_particles: int, random_state):
    """Rows with NaN replaced by draws given the other cells, (n_draws, *X.shape).

    Also the effective sample size of each row; infinite where nothing was missing.
    """
    filled = np.repeat(X[None], n_draws, axis=0)
    sizes = np.full(len(X), np.inf)
    missing = np.isnan(X)
    patterns, which = np.unique(missing, axis=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        rows = np.flatnonzero(which.ravel() == k)
        if pattern.any():
            drawn, sizes[rows] = _draw_missing(
                density, X[rows], n_draws, n_particles, random_state
            )
            filled[:, rows] = drawn
    return filled, sizes


def _draw_missing(density, X, n_draws, n_particles, random_state):
    """Draws for rows in which the same cells are missing, and effective sizes."""
    sampler = make_sampler(density, Conditions.on_values(X), random_state)
    z, sizes = sampler.draws(n_draws, n_particles)
    drawn = density.margins_.inverse(to_numpy(z))
    drawn = drawn.reshape(len(X), n_draws, -1).swapaxes(0, 1)
    return np.where(np.isnan(X), drawn, X), to_numpy(sizes)

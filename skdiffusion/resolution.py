"""How many steps the solver needs for a fitted model.

Smooth densities need half as many as those with ties or with narrow peaks, so the number
follows the model: the fewest steps whose log-densities stay what they are when the steps
are halved.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .chunks import by_chunks
from .denoisers import Denoiser
from .flow import Path, log_density
from .process import noise_floor
from .records import Rows

CANDIDATES = (8, 10, 12, 16, 24, 32)
# root mean square, in nats a row, by which log-densities may differ from those of half
# the step, for one column; errors of columns add up like their standard deviations
TOLERANCE = 1e-3
# largest mean difference for each column: errors of one sign do not average out
MEAN_TOLERANCE = 2.5e-4
# in noise floors: components that stand for repeated values are two wide or more
TO_FLANKS = 3.0
# rows to judge by; they were trained on, and fresh ones have up to twice the error
N_ROWS = 200


def enough_steps(
    denoisers: Sequence[Denoiser],
    rows: Rows,
    t_min: float,
    generator: torch.Generator,
) -> int:
    """Fewest steps of the solver that resolve the log-density, up to the last candidate.

    Parameters
    ----------
    denoisers : sequence of Denoiser
        Together they own every column once.
    rows : Rows
        Of which some are drawn to judge by.
    t_min : float
        Smallest time.
    generator : torch.Generator
        Draws these rows.
    """
    order = torch.randperm(len(rows), generator=generator, device=rows.z.device)
    some, n_columns = rows.take(order[:N_ROWS]), rows.z.shape[1]
    z = half_noised(denoisers, some.z, t_min, generator)
    known: dict[int, Tensor] = {}

    def scores(n_steps: int) -> Tensor:
        if n_steps not in known:
            path = Path(t_min, n_steps)
            known[n_steps] = by_chunks(
                lambda z: log_density(denoisers, z, path), [z], denoisers
            ).sum(1, keepdim=True)
        return known[n_steps]

    for n_steps in CANDIDATES[:-1]:
        difference = scores(n_steps) - scores(2 * n_steps)
        is_small = some.mean(difference.square()).sqrt() <= TOLERANCE * n_columns**0.5
        if is_small and some.mean(difference).abs() <= MEAN_TOLERANCE * n_columns:
            return n_steps
    return CANDIDATES[-1]


def half_noised(denoisers, z: Tensor, t_min: float, generator: torch.Generator) -> Tensor:
    """Rows, every other one with noise of `TO_FLANKS` noise floors.

    Rows that repeat lie on the tops of peaks; most of the mass of a peak, and of the
    error of coarse steps, is on its flanks. With noise of one floor a column of four
    values had a mass of 1.01.
    """
    half, rows = z[::2], z.clone()
    for denoiser in denoisers:
        r, _ = denoiser.to_own(half)
        noise = torch.randn(r.shape, generator=generator, dtype=r.dtype, device=r.device)
        r = r + TO_FLANKS * noise_floor(t_min) * noise
        rows[::2, list(denoiser.columns)] = denoiser.from_own(r, half).to(z)
    return rows

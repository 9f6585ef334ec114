"""Evaluation in chunks of rows whose intermediate results stay in the cache.

Chunks are taken side by side, as many as torch has threads.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .denoisers import Denoiser
from .threads import Threads

# numbers a denoiser may hold at once, so that they stay in the cache of a processor
CHUNK_NUMBERS = 2**20
# padded chunks are multiples of 64 rows: with 16, the rounding of a row depended on its
# place in the chunk for odd sizes of the network
GRANULE, GRANULE_PADDED = 32, 64


def by_chunks(
    function: Callable[..., Tensor],
    tensors: Sequence[Tensor],
    denoisers: Sequence[Denoiser],
    *,
    pad: bool = False,
) -> Tensor:
    """Apply a function of tensors to chunks of their rows, without gradients.

    Parameters
    ----------
    function : callable
        From tensors to a tensor of as many rows.
    tensors : sequence of Tensor
        With equally many rows.
    denoisers : sequence of Denoiser
        What the function evaluates; the largest sets the size of the chunks.
    pad : bool, default=False
        Whether all chunks have one size: the rounding of matrix products may depend on
        their size, and a score must not depend on how many rows are asked for.
    """
    numbers = max(denoiser.floats_per_row for denoiser in denoisers)
    granule = GRANULE_PADDED if pad else GRANULE
    size = granule * max(1, CHUNK_NUMBERS // (granule * numbers))
    n_rows = len(tensors[0])
    if pad:
        tensors = [_padded(x, -n_rows % size) for x in tensors]
    chunks = list(zip(*(x.split(size) for x in tensors), strict=True))

    # gradients are switched off thread by thread
    @torch.no_grad()
    def evaluate(chunk: tuple[Tensor, ...]) -> Tensor:
        return function(*chunk)

    with Threads(len(chunks), tensors[0].device) as threads:
        return torch.cat(threads.map(evaluate, chunks))[:n_rows]


def _padded(x: Tensor, n_missing: int) -> Tensor:
    return torch.cat([x, x.new_zeros(n_missing, *x.shape[1:])])

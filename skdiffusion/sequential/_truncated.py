"""Standard normal variables restricted to intervals."""

import numpy as np
import torch
from scipy.special import log_ndtr, ndtri_exp
from torch import Tensor

from .._torch import to_numpy


def truncated_normal(low: Tensor, high: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Quantiles of a standard normal variable in [low, high], and log P(low < e < high).

    By logarithms of probabilities, which keep their digits however far the interval
    lies from zero.

    Parameters
    ----------
    low, high : Tensor
        Limits, perhaps infinite.
    uniform : Tensor
        Levels in (0, 1).

    Returns
    -------
    noise, log_probability : Tensor
        The probability of an interval both of whose ends are infinitely far is zero.
    """
    a, b, u = (to_numpy(x) for x in (low, high, uniform))
    # right of zero probabilities round to one; left of it they keep their digits
    right = a > 0
    a, b = np.where(right, -b, a), np.where(right, -a, b)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_a, log_b = log_ndtr(a), log_ndtr(b)
        ratio = np.exp(log_a - log_b)
        log_probability = log_b + np.log1p(-ratio)
        noise = ndtri_exp(log_b + np.log(u + (1 - u) * ratio))
    possible = np.isfinite(noise) & ~np.isnan(log_probability)
    noise = np.where(possible, np.where(right, -noise, noise), 0.0)
    log_probability = np.where(possible, log_probability, -np.inf)
    return tuple(torch.as_tensor(x).to(low) for x in (noise, log_probability))

"""Standard normal variables restricted to intervals."""

import torch
from torch import Tensor
from torch.special import log_ndtr, ndtr, ndtri


def truncated_normal(low: Tensor, high: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Quantiles of a standard normal variable in [low, high], and log P(low < e < high).

    Parameters
    ----------
    low, high : Tensor
        Limits, perhaps infinite.
    uniform : Tensor
        Levels in (0, 1).
    """
    # right of zero probabilities round to one; left of it they keep their digits
    right = low > 0
    a, b = torch.where(right, -high, low), torch.where(right, -low, high)
    log_probability = log_ndtr(b) + torch.log(-torch.expm1(log_ndtr(a) - log_ndtr(b)))
    noise = ndtri(ndtr(a) + uniform * (ndtr(b) - ndtr(a)))
    # beyond 37 standard deviations the quantile is lost in rounding; the limit is not
    noise = noise.clamp(a, b)
    return torch.where(right, -noise, noise), log_probability

"""Inputs of the score networks: features of the time, values that level off."""

import math

import torch
from torch import Tensor

N_FREQUENCIES = 4
N_TIME_FEATURES = 3 + 2 * N_FREQUENCIES


def time_features(t: Tensor, t_min: float) -> Tensor:
    """Smooth features of the time, shape (..., N_TIME_FEATURES).

    Sines and cosines of u = log(sin t) / log(sin t_min), uniform in training, resolve
    small times; sin t and cos t resolve large ones.
    """
    u = (torch.log(torch.sin(t)) / math.log(math.sin(t_min))).unsqueeze(-1)
    k = math.pi * torch.arange(1, N_FREQUENCIES + 1, dtype=t.dtype, device=t.device)
    plain = [u, torch.sin(t).unsqueeze(-1), torch.cos(t).unsqueeze(-1)]
    return torch.cat([*plain, torch.sin(k * u), torch.cos(k * u)], dim=-1)


def level_off(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Identity on [low, high] that levels off smoothly within about 1 outside."""
    return level_off_with_slope(x, low, high)[0]


def level_off_with_slope(x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """`level_off` and its derivative: 1 inside, exponentially small far outside."""
    inside = torch.clamp(x, low, high)
    beyond = torch.tanh(x - inside)
    return inside + beyond, 1 - beyond**2

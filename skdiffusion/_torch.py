"""The border between numpy and torch: dtype, device, random generators.

Estimators speak numpy, the floors below speak torch; conversions happen here only.
"""

import numpy as np
import torch
from torch import Tensor

TRAINING_DTYPE = torch.float32
EVALUATION_DTYPE = torch.float64


def resolve_device(device: str | torch.device) -> torch.device:
    """Device named by an estimator's parameter; "auto" is CUDA where there is one."""
    if str(device) == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is not a torch device; use 'cpu', 'cuda', 'cuda:0' or "
            "'auto'."
        ) from error
    if resolved.type not in ("cpu", "cuda"):
        raise ValueError(
            f"device={device!r} is not supported; use 'cpu', 'cuda', 'cuda:0' or 'auto'. "
            "Log-densities are computed in float64, which other devices lack."
        )
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} was asked for, but torch finds no CUDA device here; use "
            "device='cpu' or device='auto'."
        )
    return resolved


def to_tensor(array, *, dtype=EVALUATION_DTYPE, device="cpu") -> Tensor:
    """Tensor with its own memory: read-only or reversed arrays are copied first."""
    return torch.tensor(np.ascontiguousarray(array), dtype=dtype, device=device)


def to_numpy(tensor: Tensor) -> np.ndarray:
    """Array of a tensor on any device, detached from its graph."""
    return tensor.detach().cpu().numpy()


def make_generator(random_state: np.random.RandomState, device="cpu"):
    """Torch generator seeded from a numpy random state; global states stay untouched."""
    seed = int(random_state.randint(np.iinfo(np.int32).max))
    return torch.Generator(device=device).manual_seed(seed)


def to_arrays(module: torch.nn.Module) -> dict[str, np.ndarray]:
    """State of a module as numpy arrays."""
    return {name: to_numpy(value) for name, value in module.state_dict().items()}


def load_arrays(module: torch.nn.Module, arrays: dict) -> None:
    """Take over a state from the result of `to_arrays`."""
    tensors = {name: torch.tensor(np.asarray(a)) for name, a in arrays.items()}
    module.load_state_dict(tensors)

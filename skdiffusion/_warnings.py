"""Warnings that point at the line of the user's code that caused them."""

import sys
import warnings

# with wrappers that scikit-learn and torch put around methods of an estimator
INSIDE = ("skdiffusion", "sklearn.callback", "sklearn.utils", "torch.utils._contextlib")


class InterruptedFit(UserWarning):
    """A fit was interrupted from the keyboard and kept its best weights."""


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost call that comes from outside the library."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and _is_inside(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_inside(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in INSIDE)

"""Densities derived from a fitted one: given some columns, and of some columns.

The estimator lends its chain of denoisers and its margins; sequential Monte Carlo does
the rest (see `sequential`).
"""

from ._conditional import ConditionalDensity
from ._interventions import intervened
from ._marginal import MarginalDensity
from ._missing import impute
from ._samplers import MIN_EFFECTIVE_SIZE, warn_of_few

__all__ = [
    "MIN_EFFECTIVE_SIZE",
    "ConditionalDensity",
    "MarginalDensity",
    "impute",
    "intervened",
    "warn_of_few",
]

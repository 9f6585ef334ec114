"""Density estimation with diffusion models that know how the columns depend.

A scikit-learn-compatible estimator for the joint density of the columns of a table,
with or without a networkx graph of their dependences.
"""

from . import datasets, graphs, metrics
from ._factorized import FactorizedDiffusionDensity

__version__ = "0.1.0.dev0"

__all__ = ["FactorizedDiffusionDensity", "datasets", "graphs", "metrics"]

"""Density estimation with diffusion models that know how the columns depend.

scikit-learn-compatible estimators for the joint density of the columns of a table,
with or without a networkx graph of their dependences.
"""

from . import datasets, displays, graphs, metrics, outliers
from ._factorized import FactorizedDiffusionDensity
from ._kernel import KernelScoreDensity
from .outliers import DensityOutlierDetector

__version__ = "0.1.0.dev0"

__all__ = [
    "DensityOutlierDetector",
    "FactorizedDiffusionDensity",
    "KernelScoreDensity",
    "datasets",
    "displays",
    "graphs",
    "metrics",
    "outliers",
]

"""Density estimation with diffusion models that know how the columns depend.

scikit-learn-compatible estimators for the joint density of the columns of a table,
with or without a networkx graph of their dependences.
"""

from . import datasets, displays, graphs, metrics, outliers, pipeline, transformers
from ._factorized import FactorizedDiffusionDensity
from ._kernel import KernelScoreDensity
from .outliers import DensityOutlierDetector
from .pipeline import DensityPipeline, make_density_pipeline

__version__ = "0.1.0.dev0"

__all__ = [
    "DensityOutlierDetector",
    "DensityPipeline",
    "FactorizedDiffusionDensity",
    "KernelScoreDensity",
    "datasets",
    "displays",
    "graphs",
    "make_density_pipeline",
    "metrics",
    "outliers",
    "pipeline",
    "transformers",
]

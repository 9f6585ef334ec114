"""Pipelines that are densities of the rows they are given, not of transformed ones.

By the change of variables, the density of a row x is that of its image z = T(x) times the
volume change: log p(x) = log q(T(x)) + log |det dT/dx|. scikit-learn's `Pipeline` leaves
the second term out.
"""

from ._pipeline import DensityPipeline, make_density_pipeline

__all__ = ["DensityPipeline", "make_density_pipeline"]

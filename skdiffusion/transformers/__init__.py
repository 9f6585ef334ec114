"""Transformers of bounded and skewed columns that know their derivative.

Each maps an interval onto the whole line, column by column, so that a density of the
images is a density of the rows: :class:`skdiffusion.pipeline.DensityPipeline` needs
nothing else. They keep the order, the number and the names of the columns.
"""

from ._maps import LogitTransformer, LogTransformer, MonotoneTransformer

__all__ = ["LogTransformer", "LogitTransformer", "MonotoneTransformer"]

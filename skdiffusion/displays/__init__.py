"""Pictures of fitted densities, in the way of scikit-learn's displays.

``XxxDisplay.from_estimator(estimator, ...)`` computes what is shown and draws it; the
display holds the numbers, and `plot` draws them again, elsewhere or otherwise. Needs
matplotlib (``pip install matplotlib``), which is imported when something is
drawn.
"""

from ._density import DensityDisplay
from ._flow import FlowDisplay
from ._graph import GraphDisplay
from ._pairs import PairsDisplay
from ._probability_integral import ProbabilityIntegralDisplay
from ._training import TrainingDisplay

__all__ = [
    "DensityDisplay",
    "FlowDisplay",
    "GraphDisplay",
    "PairsDisplay",
    "ProbabilityIntegralDisplay",
    "TrainingDisplay",
]

"""Comparing density estimators, and checking one against itself and against rows.

Works with any estimator that has `score_samples`: scikit-learn's `KernelDensity` and
`GaussianMixture` as well as ours.

- Which one is better? `mean_log_density`, `compare`, `paired_difference`, and, where the
  truth is known, `total_variation`.
- Is it a density? `normalization`, `integration_error`.
- Does it agree with rows it has not seen? `calibration_test`, `two_sample_test`.
"""

from ._calibration import CalibrationTest, calibration_test, probability_integrals
from ._comparison import Comparison, compare
from ._integration import IntegrationError, integration_error
from ._log_densities import (
    PairedDifference,
    mean_log_density,
    paired_difference,
    total_variation,
)
from ._normalization import Normalization, normalization
from ._two_samples import TwoSampleTest, two_sample_test

__all__ = [
    "CalibrationTest",
    "Comparison",
    "IntegrationError",
    "Normalization",
    "PairedDifference",
    "TwoSampleTest",
    "calibration_test",
    "compare",
    "integration_error",
    "mean_log_density",
    "normalization",
    "paired_difference",
    "probability_integrals",
    "total_variation",
    "two_sample_test",
]

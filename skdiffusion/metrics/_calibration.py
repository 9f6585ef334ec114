r"""Whether a density is calibrated: probability integral transforms of rows.

If rows follow the density, the transform of Rosenblatt [1]_ turns them into independent
standard normal columns; `to_normal` of an estimator is such a transform.

References
----------
.. [1] M. Rosenblatt, "Remarks on a multivariate transformation", Annals of Mathematical
       Statistics 23(3), 1952.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from .._estimators import check_answers, column_names
from .._validation import check_choice

TESTS = {
    "cramer-von-mises": lambda u: stats.cramervonmises(u, "uniform"),
    "kolmogorov-smirnov": lambda u: stats.kstest(u, "uniform"),
}
RADIUS = "all columns"


@dataclass(frozen=True)
class CalibrationTest:
    """Tests of probability integral transforms against the uniform distribution.

    Attributes
    ----------
    names : tuple of str
        Names of the columns and, last, "all columns" for the squared length of the row.
    statistics, p_values : tuple of float
        One for each name.
    p_value : float
        Of all tests together, by Bonferroni's correction: the smallest of `p_values`
        times their number, at most 1. Small if the density is not that of the rows.
    test : str
        Which test was used.
    n_samples : int
        Number of rows.
    """

    names: tuple[str, ...]
    statistics: tuple[float, ...]
    p_values: tuple[float, ...]
    p_value: float
    test: str
    n_samples: int

    def __str__(self) -> str:
        width = max(map(len, self.names))
        lines = [f"Calibration on {self.n_samples} rows ({self.test} test)"]
        lines.append(f"  {'':{width}}  statistic  p-value")
        table = zip(self.names, self.statistics, self.p_values, strict=True)
        lines += [f"  {name:{width}}  {s:9.4f}  {p:7.3g}" for name, s, p in table]
        return "\n".join([*lines, f"  together: p-value {self.p_value:.3g}"])


def probability_integrals(estimator, X) -> np.ndarray:
    """Distribution function of each column given earlier ones, (n_samples, n_features).

    Parameters
    ----------
    estimator : object with `to_normal`
        Fitted density estimator.
    X : array-like of shape (n_samples, n_features)
        Rows.
    """
    return stats.norm.cdf(_normals(estimator, X))


def calibration_test(estimator, X, *, test="cramer-von-mises") -> CalibrationTest:
    """Test whether rows follow a density, column by column and all together.

    The rows are turned into columns that are independent and standard normal if they
    follow the density. Tested are the distribution of every such column and of the
    squared length of the rows, which is chi-squared with as many degrees of freedom as
    there are columns and feels if columns depend on each other.

    Parameters
    ----------
    estimator : object with `to_normal`
        Fitted density estimator. `to_normal(X)` returns an array of shape
        (n_samples, n_features).
    X : array-like of shape (n_samples, n_features)
        Held-out rows: on training rows a density looks better than it is.
    test : {"cramer-von-mises", "kolmogorov-smirnov"}, default="cramer-von-mises"
        Test of uniformity. The first is better at small shifts of a whole column.

    Returns
    -------
    CalibrationTest

    Raises
    ------
    TypeError
        If the estimator has no `to_normal`.

    Notes
    -----
    With many rows any estimate is found wrong; the statistics say by how much. Values
    that repeat exactly are not uniform under any density.
    """
    check_choice("test", test, TESTS)
    z = _normals(estimator, X)
    u = np.c_[stats.norm.cdf(z), stats.chi2.cdf((z**2).sum(axis=1), z.shape[1])]
    found = [TESTS[test](column) for column in u.T]
    p_values = tuple(float(f.pvalue) for f in found)
    return CalibrationTest(
        names=(*column_names(estimator, X), RADIUS),
        statistics=tuple(float(f.statistic) for f in found),
        p_values=p_values,
        p_value=min(1.0, len(p_values) * min(p_values)),
        test=test,
        n_samples=len(z),
    )


def _normals(estimator, X) -> np.ndarray:
    check_answers(estimator, "to_normal", purpose="a test of calibration")
    z = np.asarray(estimator.to_normal(X), dtype=np.float64)
    if z.ndim != 2 or np.isnan(z).any():
        raise ValueError(
            f"to_normal of {type(estimator).__name__} must return an array of shape "
            f"(n_samples, n_features) without NaN, got shape {z.shape} with "
            f"{int(np.isnan(z).sum())} NaN."
        )
    return z

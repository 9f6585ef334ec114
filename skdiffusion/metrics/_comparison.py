"""A table of fitted densities, compared on the same rows."""

from dataclasses import asdict, dataclass

import numpy as np
from sklearn.pipeline import Pipeline

from .._estimators import check_answers, log_density
from .._validation import check_weight
from ._log_densities import PairedDifference, paired_difference


@dataclass(frozen=True)
class ComparedDensity:
    """One line of a comparison, in nats per row.

    Attributes
    ----------
    name : str
    mean, standard_error : float
        Mean log-density, and the standard error of this mean. Minus infinity and NaN if
        the density is zero at some row.
    difference, difference_error : float
        Mean difference to the best density, never positive, and the standard error of
        this difference row by row: the number to judge by.
    n_zero : int
        At how many rows the density is zero.
    """

    name: str
    mean: float
    standard_error: float
    difference: float
    difference_error: float
    n_zero: int


@dataclass(frozen=True)
class Comparison:
    """Fitted densities, the best one first; prints as a table.

    Attributes
    ----------
    entries : tuple of ComparedDensity
    n_samples : int
        Number of rows.
    """

    entries: tuple[ComparedDensity, ...]
    n_samples: int

    def to_frame(self):
        """The table as a pandas DataFrame, with the names as its index."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_frame needs pandas: pip install pandas.") from error
        return pd.DataFrame(map(asdict, self.entries)).set_index("name")

    def __str__(self) -> str:
        width = max(len(e.name) for e in self.entries)
        title = f"Mean log-density of {self.n_samples} rows, in nats (standard errors)"
        lines = [title, f"  {'':{width}}  {'per row':>18}  {'minus the best':>18}"]
        for e in self.entries:
            mean = f"{e.mean:.3f} ({e.standard_error:.3f})"
            behind = f"{e.difference:.3f} ({e.difference_error:.3f})"
            zero = f"  zero at {e.n_zero} rows" if e.n_zero else ""
            best = "best" if e is self.entries[0] else behind
            lines.append(f"  {e.name:{width}}  {mean:>18}  {best:>18}{zero}")
        return "\n".join(lines)


def compare(estimators, X, sample_weight=None) -> Comparison:
    """Compare fitted densities by their log-densities of the same held-out rows.

    Parameters
    ----------
    estimators : dict of str to estimator, or list of estimators
        Fitted, all with `score_samples`: ours, `KernelDensity`, `GaussianMixture`, ... In
        a list they are named by their classes. A pipeline must be a `DensityPipeline`.
    X : array-like of shape (n_samples, n_features)
        Rows that no estimator has seen.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    Comparison
        Sorted from the highest mean to the lowest. A density that is zero at some row of
        positive weight has the mean minus infinity; among those, fewer such rows come
        first, and differences between two of them are NaN.

    Raises
    ------
    TypeError
        If `estimators` is neither a dict nor a list, one has no `score_samples`, or
        one is a plain `Pipeline`, whose log-densities are those of transformed rows.
    ValueError
        If there are none, or a log-density is NaN or plus infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.mixture import GaussianMixture
    >>> from sklearn.neighbors import KernelDensity
    >>> from skdiffusion.metrics import compare
    >>> X = np.random.RandomState(0).standard_normal((400, 2))
    >>> fitted = [KernelDensity().fit(X[:200]), GaussianMixture().fit(X[:200])]
    >>> print(compare(fitted, X[200:]))
    Mean log-density of 200 rows, in nats (standard errors)
                                per row      minus the best
      GaussianMixture    -2.8... (0.0...)                best
      KernelDensity      -3.0... (0.0...)     -0.1... (0.0...)
    """
    named = _named(estimators)
    for name, estimator in named.items():
        check_answers(estimator, "score_samples", purpose=f"compare ({name!r})")
        _refuse_other_units(name, estimator)
    scores = {n: log_density(e, X) for n, e in named.items()}
    weight = check_weight(sample_weight, next(iter(scores.values())))
    counts = weight > 0
    scores, weight = {n: s[counts] for n, s in scores.items()}, weight[counts]
    best = scores[min(scores, key=lambda name: _rank(scores[name], weight))]
    entries = [_entry(name, found, best, weight) for name, found in scores.items()]
    entries.sort(key=lambda e: _rank(scores[e.name], weight))
    return Comparison(tuple(entries), len(best))


def _refuse_other_units(name: str, estimator) -> None:
    # a subclass, such as DensityPipeline, may bring its log-densities back
    if type(estimator) is Pipeline and len(estimator) > 1:
        raise TypeError(
            f"{name!r} is a plain Pipeline, whose log-densities are those of transformed "
            "rows and cannot be compared with others. Use DensityPipeline with the same "
            "steps, which gives them in the units of X."
        )


def _rank(found: np.ndarray, weight: np.ndarray) -> tuple:
    """Sorts the better density first: its mean, then how seldom it is zero."""
    return -np.average(found, weights=weight), np.isneginf(found).sum()


def _entry(name: str, found, best, weight) -> ComparedDensity:
    mean = paired_difference(np.zeros(len(found)), found, weight)
    behind = PairedDifference(np.nan, np.nan)
    if found is best:
        behind = PairedDifference(0.0, 0.0)
    elif np.isfinite(best).all():
        behind = paired_difference(best, found, weight)
    return ComparedDensity(
        name=name,
        mean=0.0 - mean.mean,
        standard_error=mean.standard_error,
        difference=0.0 - behind.mean,
        difference_error=behind.standard_error,
        n_zero=int(np.isneginf(found).sum()),
    )


def _named(estimators) -> dict:
    if isinstance(estimators, dict):
        named = {str(name): estimator for name, estimator in estimators.items()}
    elif isinstance(estimators, list | tuple):
        named = {}
        for estimator in estimators:
            kind = type(estimator).__name__
            alike = sum(type(e) is type(estimator) for e in named.values())
            named[f"{kind} ({alike + 1})" if alike else kind] = estimator
    else:
        raise TypeError(
            "estimators must be a dict of names to fitted estimators, or a list of them; "
            f"got {type(estimators).__name__}."
        )
    if not named:
        raise ValueError("estimators is empty; give at least one fitted estimator.")
    return named

"""How scikit-learn's transformers change volumes, class by class.

A density of transformed rows is a density of the rows if the transformation is invertible
and onto, and if its Jacobian determinant is known. A rule says this for one class.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils.validation import validate_data

# standard deviations from the mean beyond which the end of an image cuts off no mass
FAR = 10
EPS = np.finfo(np.float64).eps
# how near the ends of its range QuantileTransformer clips, in the units of the column
QUANTILE_MARGIN = 1e-7
# largest share of the rows that may lie within this margin
QUANTILE_SHARE = 1e-4


def none(transformer) -> None:
    """No reason to refuse."""


@dataclass(frozen=True)
class Rule:
    """What is known about the transformers of one class.

    Attributes
    ----------
    log_det : callable
        Of a fitted transformer and rows: log |det J| of each row, -inf outside the
        support.
    before, after : callable
        Of a transformer before and after it is fitted: why it is refused, or None.
    inverse : callable
        Of a fitted transformer and images: the rows.
    """

    log_det: Callable
    before: Callable = none
    after: Callable = none
    inverse: Callable = lambda transformer, Z: transformer.inverse_transform(Z)


def rows(transformer, X) -> np.ndarray:
    """Rows as float64, with the columns that the transformer has seen in fit."""
    return validate_data(transformer, X, dtype=np.float64, reset=False)


def _columns(transformer, chosen: np.ndarray) -> list:
    """Names of columns, or their positions."""
    names = getattr(transformer, "feature_names_in_", np.arange(len(chosen)))
    return np.asarray(names)[chosen].tolist()


def _constant(log_det: Callable) -> Callable:
    """Rule for a Jacobian that is the same everywhere."""
    return lambda transformer, X: np.full(len(rows(transformer, X)), log_det(transformer))


def _divided(transformer) -> float:
    scale = transformer.scale_
    return 0.0 if scale is None else -float(np.log(np.abs(scale)).sum())


def _multiplied(transformer) -> float:
    return -_divided(transformer)


def _clips(transformer) -> str | None:
    if getattr(transformer, "clip", False):
        return (
            "clip=True moves all rows outside the range of training onto its border, "
            "where no density is left. Set clip=False"
        )
    return None


def _is_no_identity(transformer) -> str | None:
    if transformer.func is None and transformer.inverse_func is None:
        return None
    return (
        "the derivative of its function is not known. Use "
        "skdiffusion.transformers.MonotoneTransformer(func, inverse_func, log_slope)"
    )


def _ends(transformer) -> np.ndarray:
    """Where the images of each column end, before they are standardised."""
    lambdas, ends = transformer.lambdas_, np.full(len(transformer.lambdas_), np.inf)
    if transformer.method == "box-cox":
        beyond, short = lambdas, lambdas != 0
    else:
        beyond = np.where(lambdas < 0, lambdas, lambdas - 2)
        short = (lambdas < 0) | (lambdas > 2)
    ends[short] = -1 / beyond[short]
    return ends


def _ends_near(transformer) -> str | None:
    ends = _ends(transformer)
    if transformer.standardize:
        scaler = transformer._scaler
        far = np.abs(ends - scaler.mean_) >= FAR * scaler.scale_
    else:
        far = np.isinf(ends)
    if far.all():
        return None
    onto = "lambda = 0" if transformer.method == "box-cox" else "lambda in [0, 2]"
    return (
        f"columns {_columns(transformer, ~far)} have lambda "
        f"{np.round(transformer.lambdas_[~far], 3).tolist()}. Only with {onto} is "
        f"{transformer.method} onto the whole line; otherwise its images end, here at "
        f"{np.round(ends[~far], 3).tolist()} before they are standardised, and the "
        "density would lose the mass beyond. Use "
        "skdiffusion.transformers.LogTransformer for such columns, or a scaler"
    )


def _power(transformer, X) -> np.ndarray:
    """Log-derivatives of the powers, and of the scaler.

    Box-Cox: x to the power of lambda - 1, for x > 0. Yeo-Johnson: (1 + |x|) to the power
    of lambda - 1 for x >= 0, of 1 - lambda for x < 0; I.-K. Yeo and R. A. Johnson, "A new
    family of power transformations to improve normality or symmetry", Biometrika 87
    (2000), equation 2.1.
    """
    X, powers = rows(transformer, X), transformer.lambdas_ - 1
    if transformer.method == "box-cox":
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = np.where(X > 0, powers * np.log(X), -np.inf)
    else:
        slopes = powers * np.sign(X) * np.log1p(np.abs(X))
    # the only place where scikit-learn keeps the scale
    scaled = _divided(transformer._scaler) if transformer.standardize else 0.0
    return slopes.sum(axis=1) + scaled


def _quantiles_before(transformer) -> str | None:
    if transformer.output_distribution == "uniform":
        return (
            "its images end at 0 and 1 and the density would lose the mass beyond. Set "
            "output_distribution='normal'"
        )
    return None


def _quantiles_after(transformer) -> str | None:
    quantiles = transformer.quantiles_
    if len(quantiles) < 2:
        return "it has a single quantile, so that all rows have one image"
    gaps = np.diff(quantiles, axis=0)
    flat = (gaps <= 0).any(axis=0)
    if flat.any():
        return (
            f"columns {_columns(transformer, flat)} have quantiles that repeat, so that "
            "the images have gaps and the density would lose the mass in them. Use fewer "
            "n_quantiles, or leave out columns of repeated values"
        )
    share = QUANTILE_MARGIN * transformer.references_[1] / gaps[[0, -1]]
    narrow = (share > QUANTILE_SHARE).any(axis=0)
    if narrow.any():
        return (
            f"columns {_columns(transformer, narrow)} are so narrow that many rows lie "
            f"within {QUANTILE_MARGIN:g} of their ends, where the transformer clips. Put "
            "a StandardScaler before it"
        )
    return None


def _quantiles(transformer, X) -> np.ndarray:
    """Slope between two quantiles, divided by the normal density of the image."""
    images = np.asarray(transformer.transform(X))
    X = rows(transformer, X)
    quantiles, last = transformer.quantiles_, len(transformer.quantiles_) - 2
    slopes = transformer.references_[1] / np.diff(quantiles, axis=0)
    terms = -stats.norm.logpdf(images)
    for j, (x, q) in enumerate(zip(X.T, quantiles.T, strict=True)):
        segment = np.clip(np.searchsorted(q, x, side="right") - 1, 0, last)
        inside = (q[0] <= x) & (x <= q[-1])
        terms[:, j] += np.where(inside, np.log(slopes[segment, j]), -np.inf)
    return terms.sum(axis=1)


def _rank_is_not_full(transformer) -> str | None:
    kept, n_columns = transformer.components_.shape
    if kept < n_columns:
        return (
            f"it keeps {kept} of {n_columns} dimensions, so that rows cannot be "
            "recovered from their images. Use PCA() with at least as many rows as columns"
        )
    variance = transformer.explained_variance_
    if transformer.whiten and variance[-1] <= n_columns * EPS * variance[0]:
        return (
            "whiten=True divides by the standard deviations of the components, and the "
            f"smallest variance is zero ({variance[-1]:.2g}, the largest is "
            f"{variance[0]:.2g}): a column is a linear combination of others, or there "
            "are too few rows. Leave it out, or set whiten=False"
        )
    return None


def _whitened(transformer) -> float:
    """Components are orthonormal, so that only whitening changes volumes."""
    variance = transformer.explained_variance_
    return -0.5 * float(np.log(variance).sum()) if transformer.whiten else 0.0


# of a transformer that speaks for itself
OWN = Rule(lambda transformer, X: transformer.log_abs_det_jacobian(X))
# of these classes, not of subclasses, which may transform differently
RULES = {
    StandardScaler: Rule(_constant(_divided)),
    RobustScaler: Rule(_constant(_divided)),
    MaxAbsScaler: Rule(_constant(_divided), before=_clips),
    MinMaxScaler: Rule(_constant(_multiplied), before=_clips),
    PowerTransformer: Rule(_power, after=_ends_near),
    QuantileTransformer: Rule(
        _quantiles, before=_quantiles_before, after=_quantiles_after
    ),
    PCA: Rule(_constant(_whitened), after=_rank_is_not_full),
    FunctionTransformer: Rule(_constant(lambda _: 0.0), before=_is_no_identity),
}

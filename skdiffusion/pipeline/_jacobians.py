"""Rows through chains and parts of transformers, with log |det J|, there and back.

Transformers are scikit-learn's, by the rules in `_rules`, pipelines and column
transformers of them, or any that speak for themselves by the methods
`log_abs_det_jacobian(X)` and `inverse_transform(Z)`.
"""

from collections.abc import Callable, Iterable

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from ._rules import OWN, RULES, Rule, rows


def push_forward(transformers: Iterable, X) -> tuple[np.ndarray, np.ndarray, object]:
    """Take rows through fitted transformers one after the other.

    Parameters
    ----------
    transformers : iterable of objects
        None of them refused.
    X : array or DataFrame of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    log_det : ndarray of shape (n_samples,)
        Sum of log |det J| in nats; -inf for rows that leave the support on the way.
    inside : ndarray of int
        Positions of the other rows.
    Z : array or DataFrame of shape (n_inside, n_features)
        Their images.
    """
    log_det, inside = np.zeros(len(X)), np.arange(len(X))
    for transformer in transformers:
        terms = _log_abs_det_jacobian(transformer, X)
        log_det[inside] += terms
        stays = terms > -np.inf
        if not stays.all():
            inside, X = inside[stays], _safe_indexing(X, np.flatnonzero(stays))
        if len(inside) == 0:
            break
        X = transformer.transform(X)
    return log_det, inside, X


def pull_back(transformers: list, Z) -> np.ndarray:
    """Rows of images, through the inverse transformers in reverse order."""
    for transformer in reversed(transformers):
        Z = np.asarray(_rule(transformer).inverse(transformer, Z))
    return Z


def refusal_before(transformer) -> str | None:
    """Reason why a transformer cannot be part of a density, before it is fitted."""
    if isinstance(transformer, SelectorMixin):
        return "it drops columns, so that rows cannot be recovered from their images"
    if _is_known(transformer) or _speaks_for_itself(transformer):
        return _rule(transformer).before(transformer)
    known = ", ".join(cls.__name__ for cls in RULES | COMPOSED)
    return (
        f"it is not known how it changes volumes. Known are {known} (not their "
        "subclasses) and transformers with the methods log_abs_det_jacobian(X) and "
        "inverse_transform(Z), such as those of skdiffusion.transformers"
    )


def refusal_after(transformer) -> str | None:
    """Reason why a fitted transformer cannot be part of a density."""
    return _rule(transformer).after(transformer)


def first_refusal(named: Iterable, refusal: Callable) -> str | None:
    """Name and reason of the first of some named transformers that is refused."""
    for name, transformer in named:
        reason = refusal(transformer)
        if reason:
            return f"{name!r} ({type(transformer).__name__}): {reason}"
    return None


def acting_steps(pipeline: Pipeline) -> list[tuple[str, object]]:
    """Names and objects of the steps that are not the identity."""
    return [(name, step) for name, step in pipeline.steps if not _is_identity(step)]


def _is_identity(transformer) -> bool:
    """Whether it is one of scikit-learn's words for the identity."""
    return transformer is None or transformer == "passthrough"


def _is_known(transformer) -> bool:
    return type(transformer) in RULES or type(transformer) in COMPOSED


def _speaks_for_itself(transformer) -> bool:
    methods = "log_abs_det_jacobian", "inverse_transform"
    return all(callable(getattr(transformer, name, None)) for name in methods)


def _rule(transformer) -> Rule:
    kind = type(transformer)
    return RULES.get(kind) or COMPOSED.get(kind, OWN)


def _log_abs_det_jacobian(transformer, X) -> np.ndarray:
    """Of one transformer at each row, checked; -inf outside the support."""
    rule = _rule(transformer)
    if rule is not OWN:
        check_is_fitted(transformer)
    log_det = np.asarray(rule.log_det(transformer, X), dtype=np.float64)
    if log_det.shape != (len(X),):
        raise ValueError(
            f"{type(transformer).__name__}.log_abs_det_jacobian must return one number "
            f"for each of {len(X)} rows, got shape {log_det.shape}."
        )
    if not (log_det < np.inf).all():
        raise ValueError(
            f"{type(transformer).__name__}.log_abs_det_jacobian returned NaN or inf; "
            "expected finite numbers, and -inf for rows outside the support."
        )
    return log_det


def _transformers(pipeline: Pipeline) -> list:
    return [transformer for _, transformer in acting_steps(pipeline)]


def _parts(columns: ColumnTransformer) -> list[tuple[str, object, list[int]]]:
    """Name, fitted transformer and columns of each part that has columns."""
    positions = columns._transformer_to_input_indices
    parts = [(name, t, list(positions[name])) for name, t, _ in columns.transformers_]
    return [part for part in parts if part[2]]


def _parts_before(columns: ColumnTransformer) -> str | None:
    if columns.transformer_weights is not None:
        return "transformer_weights are not supported. Use a scaler after it"
    named = [(name, t) for name, t, _ in columns.transformers]
    dropped = [name for name, t in named if _drops(t)]
    if dropped:
        return f"it drops the columns of {dropped}. Leave them out before the pipeline"
    if not _drops(columns.remainder):
        named.append(("remainder", columns.remainder))
    return first_refusal([n for n in named if not _is_identity(n[1])], refusal_before)


def _parts_after(columns: ColumnTransformer) -> str | None:
    parts = _parts(columns)
    taken = sorted(i for _, t, at in parts if not _drops(t) for i in at)
    if taken != list(range(columns.n_features_in_)):
        return (
            f"its parts take the columns at positions {taken}, but must take each of "
            f"{columns.n_features_in_} columns exactly once. Set remainder='passthrough' "
            "for columns that stay as they are"
        )
    named = [(name, t) for name, t, _ in parts if not _is_identity(t)]
    return first_refusal(named, refusal_after)


def _drops(transformer) -> bool:
    return isinstance(transformer, str) and transformer == "drop"


def _by_parts(columns: ColumnTransformer, X) -> np.ndarray:
    """Sum over the parts; the order of the columns does not matter for |det J|."""
    log_det = np.zeros(len(rows(columns, X)))
    for _, transformer, at in _parts(columns):
        if not _is_identity(transformer):
            log_det += push_forward([transformer], _safe_indexing(X, at, axis=1))[0]
    return log_det


def _back_by_parts(columns: ColumnTransformer, Z) -> np.ndarray:
    """Rows with their columns in the order of `fit`."""
    X = np.empty((len(Z), columns.n_features_in_))
    for name, transformer, at in _parts(columns):
        images = Z[:, columns.output_indices_[name]]
        same = _is_identity(transformer)
        X[:, at] = images if same else pull_back([transformer], images)
    return X


COMPOSED = {
    Pipeline: Rule(
        lambda pipeline, X: push_forward(_transformers(pipeline), X)[0],
        before=lambda pipeline: first_refusal(acting_steps(pipeline), refusal_before),
        after=lambda pipeline: first_refusal(acting_steps(pipeline), refusal_after),
        inverse=lambda pipeline, Z: pull_back(_transformers(pipeline), Z),
    ),
    ColumnTransformer: Rule(
        _by_parts, before=_parts_before, after=_parts_after, inverse=_back_by_parts
    ),
}

"""Which values the parameters of `FactorizedDiffusionDensity` may take."""

from ._selection import refuse_attribute
from ._validation import check_boolean, check_choice, check_integer, check_real
from .defaults import FOLLOW_ROWS

DIFFUSIONS = ("auto", "conditional", "joint")
DTYPES = ("float32", "float64")
COUNTS = ("hidden_size", "n_layers", "n_rounds", "n_iter_no_change")
SWITCHES = ("early_stopping", "warm_start")


def check_parameters(estimator) -> None:
    """Raise for parameters of wrong type or range, before any data are read."""
    _check_structure(estimator)
    _check_integers(estimator)
    _check_numbers(estimator)
    check_choice("dtype", estimator.dtype, DTYPES)
    for name in SWITCHES:
        check_boolean(name, getattr(estimator, name))
    _refuse_unjudged(estimator.max_iter_likelihood, estimator.early_stopping)


def _check_structure(estimator) -> None:
    graph, share_weights = estimator.graph, estimator.share_weights
    if isinstance(graph, str):
        check_choice("graph", graph, ("auto",), "or a networkx graph or None")
        refuse_attribute(share_weights)
    check_choice("diffusion", estimator.diffusion, DIFFUSIONS)
    if isinstance(estimator.normal_scores, str):
        check_choice("normal_scores", estimator.normal_scores, ("auto",), "or a boolean")
    else:
        check_boolean("normal_scores", estimator.normal_scores, "or 'auto'")
    if not isinstance(share_weights, str):
        check_boolean("share_weights", share_weights, "or an attribute's name")


def _check_integers(estimator) -> None:
    for name in COUNTS:
        check_integer(name, getattr(estimator, name), low=1)
    check_integer("max_components", estimator.max_components, low=0)
    for name in ("n_steps", *FOLLOW_ROWS):
        low = 0 if name == "max_iter_likelihood" else 1
        if getattr(estimator, name) is not None:
            check_integer(name, getattr(estimator, name), low=low, alternative="or None")
    if not isinstance(estimator.verbose, bool):
        check_integer("verbose", estimator.verbose, low=0)


def _check_numbers(estimator) -> None:
    inside = {"high": 1, "open_low": True, "open_high": True}
    check_real("noise_floor", estimator.noise_floor, low=0, high=1, open_low=True)
    check_real("learning_rate_init", estimator.learning_rate_init, low=0, open_low=True)
    check_real("tol", estimator.tol, low=0)
    check_real("validation_fraction", estimator.validation_fraction, low=0, **inside)
    if estimator.dropout is not None:
        check_real("dropout", estimator.dropout, low=0, high=1, open_high=True)
    if estimator.weight_decay is not None:
        check_real("weight_decay", estimator.weight_decay, low=0)


def _refuse_unjudged(max_iter_likelihood: int | None, early_stopping: bool) -> None:
    """Raise if steps for likelihood are asked for that nothing would judge."""
    if max_iter_likelihood and not early_stopping:
        raise ValueError(
            f"max_iter_likelihood={max_iter_likelihood} with early_stopping=False: "
            "training for likelihood overfits soon and needs held-out rows to judge by. "
            "Use early_stopping=True or max_iter_likelihood=None."
        )

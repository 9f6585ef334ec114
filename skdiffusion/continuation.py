"""Whether a fit may go on from the weights of the one before."""

from .normal_scores import NormalScores
from .process import stopping_time


def check_continuation(estimator, factorization) -> None:
    """Raise if the weights of the previous fit do not suit the parameters.

    Parameters
    ----------
    estimator : FactorizedDiffusionDensity
        Fitted, with the parameters of the fit to come.
    factorization : Factorization
        Of the fit to come.
    """
    previous, saved = estimator.factorization_, {}
    for state in estimator.model_["members"][0]:
        saved |= state
    asked = {
        "graph": (factorization.structure, previous.structure),
        "column names": (factorization.column_names, previous.column_names),
        "share_weights": (factorization.sharing, previous.sharing),
        "noise_floor": (stopping_time(estimator.noise_floor), saved["t_min"]),
    }
    if estimator.normal_scores != "auto":
        has_scores = isinstance(estimator.margins_, NormalScores)
        asked["normal_scores"] = bool(estimator.normal_scores), has_scores
    if estimator.n_networks is not None:
        asked["n_networks"] = estimator.n_networks, len(estimator.model_["members"])
    for name in ("hidden_size", "n_layers", "n_rounds"):
        if name in saved:
            asked[name] = (getattr(estimator, name), saved[name])
    changed = [name for name, (now, before) in asked.items() if now != before]
    if changed:
        raise ValueError(
            f"warm_start=True continues the previous fit, but {', '.join(changed)} "
            "changed since (the blocks of a graph follow diffusion and "
            "max_factor_size, too); set warm_start=False to start anew."
        )

"""Densities in which some columns are set from outside."""

from ..conditions import read_conditions
from ._conditional import ConditionalDensity


def intervened(density, given, do, random_state) -> ConditionalDensity:
    """Density of a fitted estimator given some columns and with others set from outside.

    Raises
    ------
    ValueError
        If the graph is not directed, a column is both given and set, or it is modelled
        together with others.
    """
    names = density.factorization_.column_names
    conditions = None if given is None else read_conditions(given, names)
    forced: list[int] = []
    if do is not None:
        set_values = read_conditions(do, names, argument="do", intervals=False)
        forced = set_values.fixed
        _check_intervention(density, [names[j] for j in forced])
        if conditions is not None:
            _refuse_both([names[j] for j in forced if j in conditions.known])
            set_values = conditions.with_fixed(set_values)
        conditions = set_values
    return ConditionalDensity(
        density, conditions, forced=forced, random_state=random_state
    )


def _refuse_both(names: list[str]) -> None:
    if names:
        raise ValueError(f"columns {names} are both in given and in do; choose one.")


def _check_intervention(density, names: list[str]) -> None:
    if not density.factorization_.is_bayesian_network:
        raise ValueError(
            f"do={names} needs the density of a directed graph, but this one was fitted "
            f"from {density.factorization_.source}. Use given, or fit with a DiGraph "
            "and diffusion='conditional'."
        )

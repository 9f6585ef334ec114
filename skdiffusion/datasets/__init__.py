"""Generators of tables with known density and known graph.

Every generator returns a :class:`sklearn.utils.Bunch` with

- ``data``: ndarray of shape (n_samples, n_features), the rows;
- ``graph``: networkx ``DiGraph`` or ``Graph`` on the positions of the columns;
- ``log_density``: function from rows to their exact log-density in nats.

The law depends on the arguments of the generator, never on `random_state`.
"""

from ._bayesian import (
    make_bounded_chain,
    make_heavy_tails,
    make_nonlinear_chain,
    make_nonlinear_tree,
    make_two_parents,
)
from ._lattice import make_lattice
from ._mixture import make_separated_mixture

__all__ = [
    "make_bounded_chain",
    "make_heavy_tails",
    "make_lattice",
    "make_nonlinear_chain",
    "make_nonlinear_tree",
    "make_separated_mixture",
    "make_two_parents",
]

r"""From a networkx graph to a factorization: an ordered list of blocks.

A factorization writes the joint density as a product of conditional densities,

.. math:: p(x) = \prod_b p(x_b \mid x_{context(b)}),

where the context of a block holds only columns of earlier blocks:

- a ``DiGraph`` (Bayesian network) gives one block per column, its context the parents;
- a chordal ``Graph`` (Markov random field) gives one block per column in the order of a
  maximum cardinality search; the context is the set of neighbours visited before. Each
  column with its context is a clique, and every maximal clique appears;
- any other ``Graph`` is completed to a chordal one by the min-fill heuristic, or its
  columns form joint blocks, whose factors are the maximal cliques of the graph as it is;
- ``None`` makes every column depend on all columns before it, or is one joint block.

Graphs may also be learned from rows: `chow_liu_tree`, `graphical_lasso_graph` and
`greedy_dag` return networkx graphs on the columns of a table.

This package does not know torch.
"""

from ._blocks import Block, Factorization, generations
from ._factorize import factorize
from ._greedy import greedy_dag
from ._information import chow_liu_tree
from ._lasso import graphical_lasso_graph
from ._plain import from_plain, to_plain
from ._sharing import Sharing, numbered
from ._structure import colouring

__all__ = [
    "Block",
    "Factorization",
    "Sharing",
    "chow_liu_tree",
    "colouring",
    "factorize",
    "from_plain",
    "generations",
    "graphical_lasso_graph",
    "greedy_dag",
    "numbered",
    "to_plain",
]

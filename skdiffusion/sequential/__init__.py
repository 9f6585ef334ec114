r"""Sequential Monte Carlo along a factorization: what some columns say of the others.

Columns are visited with contexts first. A column that is not known is drawn given its
context; a known one multiplies the weight of its particle by its density, and one known
to lie in an interval is drawn inside it and multiplies the weight by the probability of
the interval. The mean weight estimates the normaliser without bias, and weighted
particles estimate the conditional law [1]_. Where nothing that was drawn is an ancestor
of something known, all weights are equal and both are exact.

References
----------
.. [1] N. Chopin and O. Papaspiliopoulos, "An Introduction to Sequential Monte Carlo",
       Springer, 2020, chapter 10.
"""

from ._chain import Chain, Evidence
from ._particles import Particles
from ._sampler import Sampler

__all__ = ["Chain", "Evidence", "Particles", "Sampler"]

r"""What training minimises: the denoising loss first, then the negative log-likelihood.

The denoising loss bounds the divergence of another law than that of the probability flow
that users score with [1]_, and is cheap; it takes a network most of the way. The
log-likelihood of the flow itself, differentiated through its solver, takes it the rest.

References
----------
.. [1] Y. Song et al., "Maximum Likelihood Training of Score-Based Diffusion Models",
       NeurIPS 2021, theorem 1 and appendix B. https://arxiv.org/abs/2101.09258
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .flow import Path, log_density_of_own
from .networks import ScoreNetwork
from .process import noised, stratified_times, velocity_target
from .records import Rows
from .solvers import THREE_EIGHTHS

# with 4 steps networks learned at once to earn the error of the solver: held-out scores
# on such a grid rose while the divergence from the truth doubled
LIKELIHOOD_STEPS = 6


def velocity_loss(
    network: ScoreNetwork, rows: Rows, t_min: float, generator: torch.Generator
) -> Tensor:
    """Weighted mean squared error of the velocity for each column, shape (n_own,).

    One time and one noise vector are drawn for each row.
    """
    r, _ = network.to_own(rows.z)
    eps = torch.randn(r.shape, generator=generator, dtype=r.dtype, device=r.device)
    t = stratified_times(len(r), t_min, generator=generator, like=r)
    t_column = t.unsqueeze(1)
    v = network.velocity(noised(r, eps, t_column), t, network.encode(rows.z))
    error = v - velocity_target(r, eps, t_column)
    return (rows.weight.unsqueeze(1) * error**2).mean(0)


def likelihood_loss(
    network: ScoreNetwork, rows: Rows, t_min: float, generator: torch.Generator
) -> Tensor:
    """Weighted mean of minus the log-density for each column, in nats, shape (n_own,).

    What is dropped stays dropped along the flow of a row, whose density is normalised
    whatever is dropped.
    """
    log_density = log_density_of_own(network, rows.z, Path(t_min, LIKELIHOOD_STEPS))
    return -(rows.weight.unsqueeze(1) * log_density).mean(0)


@dataclass(frozen=True)
class Objective:
    """A loss for each column and what its steps are like.

    Attributes
    ----------
    loss : callable
        Of a network, rows, the smallest time and a generator.
    solver_steps : int
        Steps of the solver for one loss; 0 without solver.
    check_every : int
        Steps between looks at held-out rows, at least.
    grids : tuple of int
        Steps of the solver on held-out rows: the last grid gives their scores, and what
        differs between the first and the last is not resolved.
    """

    loss: Callable[..., Tensor]
    solver_steps: int
    check_every: int
    grids: tuple[int, ...]

    def evaluations(self, n_colours: int) -> int:
        """Evaluations of a network for one row of a batch, derivatives included."""
        return stages(self.solver_steps) * (1 + n_colours) if self.solver_steps else 1


def stages(n_steps: int) -> int:
    """Evaluations of the velocity in so many steps of the solver."""
    return n_steps * len(THREE_EIGHTHS.b)


DENOISING = Objective(velocity_loss, 0, check_every=50, grids=(6,))
LIKELIHOOD = Objective(likelihood_loss, LIKELIHOOD_STEPS, check_every=20, grids=(12, 16))

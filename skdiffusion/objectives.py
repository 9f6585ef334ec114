r"""What training minimises, in how many steps: denoising loss, then log-likelihood.

The denoising loss bounds the divergence of another law than that of the probability flow
that users score with [1]_, and is cheap; it takes a network most of the way. The
log-likelihood of the flow itself, differentiated through its solver, takes it the rest.

References
----------
.. [1] Y. Song et al., "Maximum Likelihood Training of Score-Based Diffusion Models",
       NeurIPS 2021, theorem 1 and appendix B. https://arxiv.org/abs/2101.09258
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .flow import Path, log_density_of_own
from .networks import ScoreNetwork
from .process import noised, stratified_times, velocity_target
from .records import Options, Rows, Stage
from .solvers import THREE_EIGHTHS

# with 4 steps networks learned at once to earn the error of the solver: held-out scores
# on such a grid rose while the divergence from the truth doubled
SOLVER_STEPS = 5


def velocity_loss(
    network: ScoreNetwork, rows: Rows, generator: torch.Generator
) -> Tensor:
    """Weighted mean squared error of the velocity for each column, shape (n_own,).

    One time and one noise vector are drawn for each row.
    """
    r, _ = network.to_own(rows.z)
    eps = torch.randn(r.shape, generator=generator, dtype=r.dtype, device=r.device)
    t = stratified_times(len(r), network.t_min, generator=generator, like=r)
    t_column = t.unsqueeze(1)
    v = network.velocity(noised(r, eps, t_column), t, network.encode(rows.z))
    return rows.mean((v - velocity_target(r, eps, t_column)) ** 2)


def likelihood_loss(
    network: ScoreNetwork, rows: Rows, generator: torch.Generator
) -> Tensor:
    """Weighted mean of minus the log-density for each column, in nats, shape (n_own,).

    What is dropped stays dropped along the flow of a row, whose density is normalised
    whatever is dropped. There is no other chance in it: the generator is not used.
    """
    path = Path(network.t_min, SOLVER_STEPS)
    return -rows.mean(log_density_of_own(network, rows.z, path))


@dataclass(frozen=True)
class Objective:
    """A loss for each column, and how a stage of training goes about it.

    Attributes
    ----------
    loss : callable
        Of a network, rows and a generator.
    name, parameter : str
        What its steps are called, and the parameter that limits their number.
    grids : tuple of int
        Steps of the solver on held-out rows: the last grid gives their scores, and what
        differs between the first and the last is not resolved.
    check_every : int
        Steps between looks at held-out rows, at least.
    solver_steps : int
        Steps of the solver for one loss; 0 without solver.
    rate, batch, patience : float
        Learning rate, batch size and number of checks without improvement, as shares of
        those of denoising.
    """

    loss: Callable[..., Tensor]
    name: str
    parameter: str
    grids: tuple[int, ...]
    check_every: int
    solver_steps: int = 0
    rate: float = 1.0
    batch: float = 1.0
    patience: float = 1.0

    def evaluations(self, n_colours: int) -> int:
        """Evaluations of a network for one row of a batch, derivatives included."""
        if not self.solver_steps:
            return 1
        return THREE_EIGHTHS.n_stages * self.solver_steps * (1 + n_colours)

    def evaluations_of_check(self, n_colours: int) -> int:
        """Evaluations of a network for one held-out row, derivatives included."""
        return THREE_EIGHTHS.n_stages * sum(self.grids) * (1 + n_colours)

    def options(self, options: Options) -> Options:
        """Options of this stage; `max_iter` is the number of its steps."""
        return replace(
            options,
            learning_rate_init=self.rate * options.learning_rate_init,
            batch_size=max(1, round(self.batch * options.batch_size)),
            max_iter=getattr(options, self.parameter),
            n_iter_no_change=math.ceil(self.patience * options.n_iter_no_change),
        )


DENOISING = Objective(velocity_loss, "step", "max_iter", grids=(6,), check_every=50)
# a gradient of the log-likelihood carries no noise of times and noise vectors, but costs
# as much as dozens of those of denoising
LIKELIHOOD = Objective(
    likelihood_loss,
    "likelihood step",
    "max_iter_likelihood",
    grids=(12, 16),
    check_every=20,
    solver_steps=SOLVER_STEPS,
    rate=1 / 5,
    batch=1 / 4,
    patience=1 / 4,
)
# unjudged, since no row is held out any more
ALL_ROWS = replace(LIKELIHOOD, name="step on all rows", parameter="planned number")
# with a smaller share of rows held out there are fewer steps on all rows: less is unseen
FULL_SHARE = 1 / 5
# no row is taken more often: 120 rows were learned by heart in some dozens of passes
MOST_PASSES = 12
# for each column that is read; with fewer, rows are learned by heart. On 500 rows these
# steps gained up to 0.05 nats where columns read one or two others; columns of a chain of
# bounded ones that read more lost 0.01 each
ENOUGH_ROWS = 200
LEAST_SHARE = 1 / 2


def options_on_all_rows(options: Options, n_rows: int, n_held_out: int) -> Options:
    """Options of the steps on all rows after `n_held_out` of them have judged."""
    later = LIKELIHOOD.options(options)
    unseen = min(1.0, n_held_out / n_rows / FULL_SHARE)
    most = MOST_PASSES * n_rows / later.batch_size
    return replace(later, max_iter=math.floor(min(unseen * later.max_iter, most)))


def parts_for_all_rows(
    networks: Sequence[ScoreNetwork], n_rows: int, stage: Stage
) -> list[Tensor]:
    """Parts of each network that gain from steps on all rows, masks of (n_parts,).

    All, if held-out rows scored no lower at the end of the stage before; otherwise those
    with `ENOUGH_ROWS` rows for each column they read, or none if these are less than
    half: the steps would cost as much as for all.
    """
    parts = [
        (n_rows >= ENOUGH_ROWS * network.columns_read()) | stage.ended_no_lower
        for network in networks
    ]
    enough = torch.cat(parts).float().mean() >= LEAST_SHARE
    return [mask & enough for mask in parts]


def most_checks(options: Options) -> int:
    """Largest number of looks at a fit, of all stages together."""
    later = options.max_iter_likelihood
    stages = (DENOISING, options.max_iter), (LIKELIHOOD, later), (ALL_ROWS, later)
    return sum(math.ceil(n / objective.check_every) for objective, n in stages)

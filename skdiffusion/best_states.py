"""The weights that predict held-out rows best, part by part.

The log-likelihood is computed through the probability flow: a lower denoising loss does
not always mean a better density.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from .denoisers import Denoiser
from .flow import Path, log_density_of_own
from .networks import ScoreNetwork
from .records import Rows

GAIN_IN_STANDARD_ERRORS = 0.25
# chunks of their own: members are already taken side by side in threads
CHUNK_ROWS = 256
# nats for each column by which mean scores may differ between grids: with grids of 12 and
# 16 steps the error at 16 steps is then half a thousandth
RESOLVED = 1e-3


def row_terms(denoiser: Denoiser, rows: Rows, path: Path) -> Tensor:
    """Log-density of every row and own column, (n_samples, n_own)."""
    chunks = rows.z.split(CHUNK_ROWS)
    with torch.no_grad():
        return torch.cat([log_density_of_own(denoiser, z, path) for z in chunks])


def is_resolved(first: Tensor, last: Tensor, rows: Rows, allowed: Tensor) -> Tensor:
    """Which parts have mean scores that differ little between two grids.

    Parameters
    ----------
    first, last : Tensor of shape (n_samples, n_parts)
        Log-densities of the rows.
    rows : Rows
        Held-out rows.
    allowed : Tensor of shape (n_parts,)
        Largest difference that counts as little.
    """
    return rows.mean(first - last).abs() <= allowed


def judge(networks, rows: Rows, grids: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Scores of every row and part, and which parts the solver resolves.

    Scores are those on the last grid. Training may have learned to earn the error of the
    solver on the grid of its own as likelihood; a part is resolved if the mean scores on
    the first and the last of these grids differ little.
    """
    judged = []
    for network in networks:
        by_grid = [row_terms(network, rows, Path(network.t_min, n)) for n in grids]
        first, last = (network.part_scores(by_grid[i]) for i in (0, -1))
        n_columns = network.part_scores(last.new_ones(1, len(network.columns)))[0]
        judged.append((last, is_resolved(first, last, rows, RESOLVED * n_columns)))
    return judged


def clearly_better(new: Tensor, old: Tensor, rows: Rows, tol: float) -> Tensor:
    """Which parts gain more than `tol` and than a quarter of the gain's standard error.

    Without the second condition a part would collect chance gains, check after
    check, and drift into overfitting; the fewer the held-out rows, the sooner.

    Parameters
    ----------
    new, old : Tensor of shape (n_samples, n_parts)
        Log-densities of the rows.
    rows : Rows
        Held-out rows.
    tol : float
        Least gain that counts, in nats per row.
    """
    gain = rows.mean(new - old)
    least = GAIN_IN_STANDARD_ERRORS * rows.standard_error(new - old)
    return (gain > tol) & (gain > least)


class BestStates:
    """For every part the weights with the best held-out log-likelihood so far.

    Parameters
    ----------
    networks : sequence of ScoreNetwork
        Together they own every column once.
    held_out : Rows
        Rows to judge by.
    tol : float
        Least gain that counts, in nats per row.
    grids : tuple of int
        Steps of the solver. Weights whose flow it does not resolve are not taken over,
        whatever they score; those at the start stand until better ones come.
    """

    def __init__(self, networks, held_out: Rows, tol: float, grids: tuple[int, ...]):
        self.networks = [network.eval() for network in copy.deepcopy(list(networks))]
        self.held_out, self.tol, self.grids = held_out, tol, grids
        self.scores = [score for score, _ in judge(self.networks, held_out, grids)]
        self.n_checks_since = 0

    def update(self, networks: Sequence[ScoreNetwork]) -> float:
        """Take over clearly better parts; return the current mean log-density."""
        judged = judge(networks, self.held_out, self.grids)
        self.n_checks_since += 1
        for i, network in enumerate(networks):
            if self._improve(i, network, *judged[i]):
                self.n_checks_since = 0
        return self.mean_log_density([score for score, _ in judged])

    def _improve(self, i: int, network, score: Tensor, resolved: Tensor) -> bool:
        """Take over better parts of one network; return whether there were any."""
        better = clearly_better(score, self.scores[i], self.held_out, self.tol) & resolved
        self.scores[i] = torch.where(better, score, self.scores[i])
        self.networks[i].take_over(network, better)
        return bool(better.any())

    def take_over_unjudged(
        self, networks: Sequence[ScoreNetwork], parts: Sequence[Tensor]
    ) -> None:
        """Take over parts that have seen the held-out rows, which cannot judge them.

        Of the given parts (masks), not those that the solver does not resolve, nor those
        that now score lower: having seen the rows, these must have been spoilt.
        """
        judged = judge(networks, self.held_out, self.grids)
        for i, (score, resolved) in enumerate(judged):
            unspoilt = self.held_out.mean(score - self.scores[i]) >= 0
            self.networks[i].take_over(networks[i], parts[i] & resolved & unspoilt)

    def mean_log_density(self, scores: list[Tensor] | None = None) -> float:
        """Weighted mean over the held-out rows, in nats and data units.

        Of given scores, or of the best.
        """
        scores = self.scores if scores is None else scores
        total = sum(score.sum(1) for score in scores) + self.held_out.log_derivative
        return float((self.held_out.weight * total).mean())

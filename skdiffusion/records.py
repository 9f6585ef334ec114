"""What training is given and what it leaves behind: rows, options, a record."""

from dataclasses import dataclass, field

from torch import Tensor

# nats per row and column that count as too short or too long a training
STILL_RISING = 0.01
OVERFITTED = 0.1
# with fewer, the last quarter of the checks is no quarter of the training
CHECKS_TO_JUDGE_BY = 5
# characters of the progress bar
BAR = 20


@dataclass(frozen=True)
class Rows:
    """Standardised rows.

    Attributes
    ----------
    z : Tensor of shape (n_samples, n_features)
    weight : Tensor of shape (n_samples,)
        Average to one.
    log_derivative : Tensor of shape (n_samples,)
        Logarithm of |dz/dx|, which takes log-densities to the units of the data.
    """

    z: Tensor
    weight: Tensor
    log_derivative: Tensor

    def __len__(self) -> int:
        return len(self.z)

    def take(self, i: Tensor) -> "Rows":
        """Some of the rows, with weights that average to one again."""
        weight = self.weight[i]
        return Rows(self.z[i], weight / weight.mean(), self.log_derivative[i])


@dataclass(frozen=True)
class Options:
    """Optimisation parameters, named as in the estimators."""

    learning_rate_init: float
    weight_decay: float | None
    dropout: float | None
    batch_size: int
    max_iter: int
    validation_fraction: float
    n_iter_no_change: int
    tol: float


@dataclass
class Record:
    """What happened in training.

    Attributes
    ----------
    loss_curve : list of float
        Denoising loss of every step, averaged over columns.
    validation_scores : list of float
        Held-out mean log-density in nats and data units: before training and at every
        check.
    max_iter : int
        Number of steps planned.
    kept_scores : list of float
        Likewise, of the weights that are kept so far.
    validation_steps : list of int
        Number of steps taken at each check; 0 is before training.
    stopped_by : str
        What ended training before `max_iter`, if anything did.
    """

    max_iter: int
    loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    kept_scores: list[float] = field(default_factory=list)
    validation_steps: list[int] = field(default_factory=list)
    stopped_by: str = "no improvement"

    @property
    def best_validation_score(self) -> float | None:
        """Held-out mean log-density of the weights that are kept; None without any."""
        return self.kept_scores[-1] if self.kept_scores else None

    def last(self) -> dict[str, float | None]:
        """Steps taken, loss and held-out mean log-density at the last check."""
        scores = self.validation_scores
        return {
            "n_iter": len(self.loss_curve),
            "loss": self.loss_curve[-1],
            "validation_score": scores[-1] if scores else None,
        }

    def __str__(self) -> str:
        """The last check in one line, with a bar."""
        score = "".join(f", held-out {x:.4f}" for x in self.validation_scores[-1:])
        n_iter, loss = len(self.loss_curve), self.loss_curve[-1]
        done = "#" * (BAR * n_iter // self.max_iter)
        return f"[{done:{BAR}}] step {n_iter} of {self.max_iter}: loss {loss:.4f}{score}"

    def summary(self) -> str:
        """How training ended, in one line."""
        n_iter = len(self.loss_curve)
        if self.max_iter == 0:
            return "too few rows to hold out: untrained"
        if self.best_validation_score is None:
            return f"took all {n_iter} steps without held-out rows"
        reason = "max_iter reached" if n_iter == self.max_iter else self.stopped_by
        score = self.best_validation_score
        return f"stopped at step {n_iter} ({reason}): kept weights score {score:.4f}"

    def complaint(self, n_columns: int) -> str | None:
        """What was wrong with the training and what to do, or None."""
        if len(self.kept_scores) < CHECKS_TO_JUDGE_BY:
            return None
        best = self.kept_scores[-1]
        rise = best - self.kept_scores[3 * (len(self.kept_scores) - 1) // 4]
        fall = best - self.validation_scores[-1]
        if len(self.loss_curve) == self.max_iter and rise > STILL_RISING * n_columns:
            return (
                "the held-out log-likelihood was still rising at the end, by "
                f"{rise:.2g} nats per row over the last quarter of max_iter="
                f"{self.max_iter} steps. Raise max_iter."
            )
        if fall > OVERFITTED * n_columns:
            return (
                f"the held-out log-likelihood has fallen by {fall:.2g} nats per row from "
                "its best: networks learn the rows by heart. The best weights are kept, "
                "but more dropout or weight_decay, a smaller hidden_size or more rows "
                "would gain more."
            )
        return None

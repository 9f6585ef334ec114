"""What training is given and what it leaves behind: rows, options, a record."""

from dataclasses import dataclass, field

from torch import Tensor

# nats per row and column that count as too short or too long a training
STILL_RISING = 0.01
OVERFITTED = 0.1
# with fewer, the last quarter of the checks is no quarter of the training
CHECKS_TO_JUDGE_BY = 5
TOO_SHORT = (
    "the held-out log-likelihood was still rising at the end, by {0:.2g} nats per row "
    "over the last quarter of {1}={2} steps. Raise {1}."
)
TOO_LONG = (
    "the held-out log-likelihood has fallen by {:.2g} nats per row from its best: "
    "networks learn the rows by heart. The best weights are kept, but more dropout or "
    "weight_decay, a smaller hidden_size or more rows would gain more."
)
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
    max_iter_likelihood: int
    validation_fraction: float
    n_iter_no_change: int
    tol: float

    @property
    def judges(self) -> bool:
        """Whether rows are held out to judge by."""
        return self.validation_fraction > 0


@dataclass
class Record:
    """What happened in training: denoising first, then perhaps likelihood.

    Attributes
    ----------
    max_iter : int
        Number of steps of denoising planned.
    loss_curve : list of float
        Denoising loss of every step, averaged over columns.
    validation_scores : list of float
        Held-out mean log-density in nats and data units: before training and at every
        check.
    kept_scores : list of float
        Likewise, of the weights that are kept so far.
    validation_steps : list of int
        Number of steps taken at each check; 0 is before training.
    stopped_by : str
        Who ended training before it was done; empty if it ended by itself.
    likelihood_curve : list of float
        Minus mean log-density of the batch of every step for likelihood, averaged over
        columns.
    max_iter_likelihood : int
        Number of steps for likelihood planned; 0 in denoising.
    n_checks_of_denoising : int
        How many of the checks came before the training for likelihood.
    """

    max_iter: int
    loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    kept_scores: list[float] = field(default_factory=list)
    validation_steps: list[int] = field(default_factory=list)
    stopped_by: str = ""
    likelihood_curve: list[float] = field(default_factory=list)
    max_iter_likelihood: int = 0
    n_checks_of_denoising: int = 0

    def begin_likelihood(self, max_iter: int) -> None:
        """Denoising is over."""
        self.max_iter_likelihood = max_iter
        self.n_checks_of_denoising = len(self.kept_scores)

    @property
    def current_curve(self) -> list[float]:
        """Losses of the present objective."""
        return self.likelihood_curve if self.max_iter_likelihood else self.loss_curve

    @property
    def n_iter(self) -> int:
        """Number of steps taken."""
        return len(self.loss_curve) + len(self.likelihood_curve)

    @property
    def best_validation_score(self) -> float | None:
        """Held-out mean log-density of the weights that are kept; None without any."""
        return self.kept_scores[-1] if self.kept_scores else None

    def attributes(self) -> dict:
        """Fitted attributes of the estimator, by name."""
        return {
            "loss_curve_": self.loss_curve,
            "likelihood_curve_": self.likelihood_curve,
            "validation_scores_": self.validation_scores,
            "validation_steps_": self.validation_steps,
            "best_validation_score_": self.best_validation_score,
            "n_iter_": len(self.loss_curve),
        }

    def last(self) -> dict[str, float | None]:
        """Steps taken, loss and held-out mean log-density at the last check."""
        scores = self.validation_scores
        return {
            "n_iter": self.n_iter,
            "loss": self.current_curve[-1],
            "validation_score": scores[-1] if scores else None,
        }

    def __str__(self) -> str:
        """The last check in one line, with a bar."""
        score = "".join(f", held-out {x:.4f}" for x in self.validation_scores[-1:])
        name, planned = "step", self.max_iter
        if self.max_iter_likelihood:
            name, planned = "likelihood step", self.max_iter_likelihood
        taken, loss = len(self.current_curve), self.current_curve[-1]
        done = "#" * (BAR * taken // planned)
        return f"[{done:{BAR}}] {name} {taken} of {planned}: loss {loss:.4f}{score}"

    def summary(self) -> str:
        """How training ended, in one line."""
        if self.max_iter == 0:
            return "too few rows to hold out: untrained"
        if self.best_validation_score is None:
            return f"took all {self.n_iter} steps without held-out rows"
        ends = f"step {self._end(self.loss_curve, self.max_iter, 'max_iter')}"
        if self.max_iter_likelihood:
            curve, planned = self.likelihood_curve, self.max_iter_likelihood
            ends += (
                f", likelihood step {self._end(curve, planned, 'max_iter_likelihood')}"
            )
        return f"stopped at {ends}: kept weights score {self.best_validation_score:.4f}"

    def _end(self, curve: list[float], planned: int, name: str) -> str:
        """Last step and why it was the last."""
        reason = self.stopped_by if curve is self.current_curve else ""
        if len(curve) == planned:
            reason = f"{name} reached"
        return f"{len(curve)} ({reason or 'no improvement'})"

    def complaints(self, n_columns: int) -> list[str]:
        """What was wrong with the training and what to do."""
        n = self.n_checks_of_denoising or len(self.kept_scores)
        found = []
        for kept, curve, name in (
            (self.kept_scores[:n], self.loss_curve, "max_iter"),
            (self.kept_scores[n:], self.likelihood_curve, "max_iter_likelihood"),
        ):
            planned = getattr(self, name)
            if len(curve) == planned and _late_rise(kept) > STILL_RISING * n_columns:
                found.append(TOO_SHORT.format(_late_rise(kept), name, planned))
        if n >= CHECKS_TO_JUDGE_BY and not found:
            fall = self.kept_scores[n - 1] - self.validation_scores[:n][-1]
            if fall > OVERFITTED * n_columns:
                found.append(TOO_LONG.format(fall))
        return found


def _late_rise(scores: list[float]) -> float:
    """Rise over the last quarter of the checks; 0 if they are too few to judge by."""
    if len(scores) < CHECKS_TO_JUDGE_BY:
        return 0.0
    return scores[-1] - scores[3 * (len(scores) - 1) // 4]

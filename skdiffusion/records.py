"""What training is given and what it leaves behind: rows, options, a record."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

# nats per row and column that count as too short or too long a training
STILL_RISING = 0.01
OVERFITTED = 0.1
# checks, and the score before training; with fewer there is no last quarter
SCORES_TO_JUDGE_BY = 5
TOO_SHORT = (
    "the held-out log-likelihood was still rising at the end, by {0:.2g} nats per row "
    "over the last quarter of {1}={2} steps. Raise {1}."
)
TOO_LONG = (
    "the held-out log-likelihood has fallen by {:.2g} nats per row ({:.2g} a column) "
    "from its best: networks learn the rows by heart. The best weights are kept, so that "
    "this is no failure, but more dropout or weight_decay, a smaller hidden_size or more "
    "rows may gain more."
)
# enough for nearly all densities
SAFE_STEPS = 16
# characters of the progress bar
BAR = 20


@dataclass(frozen=True)
class Rows:
    """Standardised rows.

    Attributes
    ----------
    z : Tensor of shape (n_samples, n_features)
    weight : Tensor of shape (n_samples,)
        Average to one over the table.
    log_derivative : Tensor of shape (n_samples,)
        Logarithm of |dz/dx|, which takes log-densities to the units of the data.
    """

    z: Tensor
    weight: Tensor
    log_derivative: Tensor

    def __len__(self) -> int:
        return len(self.z)

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean over the rows of values of shape (n_samples, m), shape (m,)."""
        return (self.weight.unsqueeze(1) * values).mean(0)

    def standard_error(self, values: Tensor) -> Tensor:
        """Standard errors of these means, shape (m,)."""
        residual = self.weight.unsqueeze(1) * (values - self.mean(values))
        return residual.square().mean(0).sqrt() / math.sqrt(max(1, len(values) - 1))

    @classmethod
    def together(cls, tables: "Sequence[Rows]") -> "Rows":
        """Rows of several tables in one, each with its own weights."""
        names = ("z", "weight", "log_derivative")
        return cls(*(torch.cat([getattr(t, n) for t in tables]) for n in names))

    def take(self, i: Tensor) -> "Rows":
        """Some of the rows, with weights that average to one again."""
        weight = self.weight[i]
        return Rows(self.z[i], weight / weight.mean(), self.log_derivative[i])


@dataclass(frozen=True)
class Options:
    """Parameters of training, named as in the estimators."""

    learning_rate_init: float
    weight_decay: float | None
    dropout: float | None
    batch_size: int
    max_iter: int
    max_iter_likelihood: int
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    max_components: int
    ends_on_all_rows: bool = True


@dataclass
class Stage:
    """What happened while one objective was minimised.

    Attributes
    ----------
    name : str
        What its steps are called in printed lines.
    parameter : str
        Name of the parameter that limits their number.
    planned : int
        That number.
    losses : list of float
        Loss of every step, averaged over columns.
    steps : list of int
        Steps taken in all stages when held-out rows were scored; the first before any of
        this stage.
    scores, kept : list of float
        Held-out mean log-density in nats and data units at these steps, of the current
        weights and of those that are kept.
    """

    name: str
    parameter: str
    planned: int
    losses: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether all planned steps were taken."""
        return len(self.losses) == self.planned

    @property
    def ended_no_lower(self) -> bool:
        """Whether the last weights score at least as high as those at the start.

        Not those that are kept: with few rows there always is a part to keep.
        """
        return self.scores[-1] >= self.scores[0]

    @property
    def late_rise(self) -> float:
        """Rise of the kept score over the last quarter of the checks, if they suffice."""
        if len(self.kept) < SCORES_TO_JUDGE_BY:
            return 0.0
        return self.kept[-1] - self.kept[math.ceil(3 * (len(self.kept) - 1) / 4)]

    @property
    def fall(self) -> float:
        """Fall of the score from the best to the last, if checks suffice to judge by."""
        enough = len(self.kept) >= SCORES_TO_JUDGE_BY
        return self.kept[-1] - self.scores[-1] if enough else 0.0

    def __str__(self) -> str:
        """The last check in one line, with a bar."""
        score = "".join(f", held-out {x:.4f}" for x in self.scores[-1:])
        taken, loss = len(self.losses), self.losses[-1]
        done = "#" * (BAR * taken // self.planned)
        where = f"[{done:{BAR}}] {self.name} {taken} of {self.planned}"
        return f"{where}: loss {loss:.4f}{score}"

    def end(self, stopped_by: str) -> str:
        """Last step and why it was the last."""
        reason = f"{self.parameter} reached" if self.is_full else stopped_by
        return f"{self.name} {len(self.losses)} ({reason or 'no improvement'})"


@dataclass
class Record:
    """What happened in training, stage by stage.

    Attributes
    ----------
    stages : list of Stage
        Denoising first, then perhaps likelihood, last perhaps steps on all rows.
    stopped_by : str
        What ended training before it was done; empty if it ended by itself.
    gain_of_partners : float
        Held-out gain, in nats per row, of averages with mixtures and kernels over what
        was trained.
    solver_steps : int
        Steps of the solver that resolve the density; `SAFE_STEPS` if nobody looked.
    """

    stages: list[Stage] = field(default_factory=list)
    stopped_by: str = ""
    gain_of_partners: float = 0.0
    solver_steps: int = SAFE_STEPS

    def begin(self, name: str, parameter: str, planned: int) -> Stage:
        """Begin a stage."""
        self.stages.append(Stage(name, parameter, planned))
        return self.stages[-1]

    @property
    def n_iter(self) -> int:
        """Number of steps taken in all stages."""
        return sum(len(stage.losses) for stage in self.stages)

    @property
    def best_validation_score(self) -> float | None:
        """Held-out mean log-density of what is kept; None without held-out rows."""
        kept = self.joined("kept")
        return kept[-1] + self.gain_of_partners if kept else None

    def joined(self, name: str) -> list:
        """Lists of all stages, one after the other."""
        return [value for stage in self.stages for value in getattr(stage, name)]

    def attributes(self) -> dict:
        """Fitted attributes of the estimator, by name."""
        denoising, *later = [s.losses for s in self.stages] or [[]]
        return {
            "loss_curve_": denoising,
            "likelihood_curve_": sum(later, []),
            "validation_scores_": self.joined("scores"),
            "validation_steps_": self.joined("steps"),
            "best_validation_score_": self.best_validation_score,
            "n_iter_": len(denoising),
            "n_steps_": self.solver_steps,
        }

    def last(self) -> dict[str, float | None]:
        """Steps taken, loss and held-out mean log-density at the last check."""
        scores = self.stages[-1].scores
        return {
            "n_iter": self.n_iter,
            "loss": self.stages[-1].losses[-1],
            "validation_score": scores[-1] if scores else None,
        }

    def __str__(self) -> str:
        """The last check in one line, with a bar."""
        return str(self.stages[-1])

    def summary(self) -> str:
        """How training ended, in one line."""
        if not self.stages:
            return "too few rows to hold out: untrained"
        *earlier, last = self.stages
        ends = ", ".join([s.end("") for s in earlier] + [last.end(self.stopped_by)])
        if self.best_validation_score is None:
            return f"stopped at {ends}: kept the running average, without held-out rows"
        kept = self.joined("kept")[-1]
        score = f"kept the best of every column, held-out {kept:.4f}"
        if self.gain_of_partners:
            averaged = f"{self.best_validation_score:.4f}"
            score += f"; averaged with mixtures and kernels {averaged}"
        return f"stopped at {ends}: {score}"

    def complaints(self, n_columns: int) -> list[str]:
        """What was wrong with the training and what to do."""
        found = [
            TOO_SHORT.format(stage.late_rise, stage.parameter, stage.planned)
            for stage in self.stages
            if stage.is_full and stage.late_rise > STILL_RISING * n_columns
        ]
        # likelihood is trained until it overfits
        if not found and self.stages[0].fall > OVERFITTED * n_columns:
            fall = self.stages[0].fall
            found.append(TOO_LONG.format(fall, fall / n_columns))
        return found

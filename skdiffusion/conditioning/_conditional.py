"""Densities given some columns."""

from collections.abc import Sequence

import numpy as np
from sklearn.utils import check_random_state

from .._estimators import named
from .._torch import to_numpy
from .._validation import check_integer
from ..conditions import Conditions
from ..sequential import Sampler
from ._derived import DerivedDensity
from ._samplers import MIN_EFFECTIVE_SIZE, log_normalizers, make_sampler

N_PARTICLES, N_PARTICLES_BY_ROW = 2000, 100
# effective particles below which one of many conditions counts as impossible
MIN_EFFECTIVE_SIZE_BY_ROW = 3
# effective particles for each draw: fewer would show as ties among the draws
EFFECTIVE_PER_DRAW = 2
MAX_PARTICLES_PER_DRAW = 64


class ConditionalDensity(DerivedDensity):
    r"""Density of a table given what is known of some of its columns.

    Fixed columns enter with their density, columns in intervals with their probability:
    with A the event that the bounded columns lie in their intervals,

    .. math:: p(x \mid x_{fixed}, A) = p(x) 1_A(x) / p(x_{fixed}, A).

    Parameters
    ----------
    density : estimator
        Fitted; its method `condition` is the usual way here.
    conditions : Conditions
        What is known of the columns.
    forced : sequence of int, default=()
        Fixed columns that are set from outside. Then the object is for draws only.
    n_particles : int or None, default=None
        Particles for each condition; None is 2000 for one condition and 100 for each
        where there is one for every row.
    random_state : int, RandomState instance or None, default=None
        Source of randomness of the normaliser.

    Attributes
    ----------
    log_normalizer : float or ndarray of shape (n_conditions,)
        Log-density of the fixed columns and log-probability of the intervals, in nats
        and data units; an array if there is a condition for each row.
    log_normalizer_error : float or ndarray of shape (n_conditions,)
        Its standard error, in nats; 0 where it is exact.
    effective_sample_size : float or ndarray of shape (n_conditions,)
        Of the particles that `log_normalizer` was found with.
    is_exact : bool
        Whether normaliser and draws have no Monte Carlo error: only fixed columns
        precede what is given.

    Raises
    ------
    ValueError
        If the effective sample size falls below 10, or below 3 for one of many
        conditions: it is all but impossible under the density, or more particles are
        needed.
    """

    def __init__(
        self,
        density,
        conditions: Conditions,
        *,
        forced: Sequence[int] = (),
        n_particles: int | None = None,
        random_state=None,
    ):
        if n_particles is None:
            n_particles = N_PARTICLES_BY_ROW if conditions.by_row else N_PARTICLES
        check_integer("n_particles", n_particles, low=MIN_EFFECTIVE_SIZE)
        super().__init__(density, range(density.n_features_in_))
        self.conditions, self.forced = conditions, tuple(forced)
        self.n_particles = n_particles
        sampler = self._sampler(check_random_state(random_state))
        self.is_exact = sampler.is_exact
        particles = sampler.weighted(1 if self.is_exact else n_particles)
        found = log_normalizers(density, conditions, particles, self.forced)
        self.log_normalizer = self._by_condition(found)
        error = to_numpy(particles.standard_errors)
        self.log_normalizer_error = self._by_condition(error)
        sizes = to_numpy(particles.effective_sizes)
        sizes = np.full_like(sizes, n_particles) if self.is_exact else sizes
        self.effective_sample_size = self._by_condition(sizes)
        self._refuse_impossible(sizes, found)

    def __repr__(self) -> str:
        names = self.density.factorization_.column_names
        known = ", ".join(names[j] for j in self.conditions.known)
        n = len(self.conditions.value)
        many = f", {n} conditions" if self.conditions.by_row else ""
        size = np.min(self.effective_sample_size)
        found = "exact" if self.is_exact else f"effective sample size {size:.0f}"
        return f"{type(self).__name__}(given {known}{many}; {found})"

    def sample(self, n_samples=None, random_state=None, *, as_frame=False):
        """Draw rows from the conditional density.

        Parameters
        ----------
        n_samples : int or None, default=None
            Number of rows; None is 1 or, if there is a condition for each row, one for
            each of them, and nothing else is possible then.
        random_state : int, RandomState instance or None, default=None
            Source of randomness of this call.
        as_frame : bool, default=False
            Whether to return a pandas DataFrame.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows of all columns in data units; fixed columns have their values.
        """
        n_conditions = len(self.conditions.value)
        by_row = self.conditions.by_row
        n_samples = (n_conditions if by_row else 1) if n_samples is None else n_samples
        check_integer("n_samples", n_samples, low=1)
        if by_row and n_samples != n_conditions:
            raise ValueError(
                f"there are {n_conditions} conditions, one for each row, but "
                f"n_samples={n_samples}; leave n_samples out."
            )
        X = self._draw(1 if by_row else n_samples, check_random_state(random_state))
        return self.density._as_frame(X) if as_frame else X

    def score_samples(self, X):
        """Conditional log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all columns in data units, whose fixed columns have the values given.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, of the columns that are not fixed; -inf outside the intervals. The
            error of `log_normalizer` is common to all rows of a condition.

        Raises
        ------
        ValueError
            If a fixed column of X has another value.
        """
        X = self.density._check_rows(X)
        self._check_values(X)
        inside = ((self.conditions.low <= X) & (self.conditions.high >= X)).all(axis=1)
        log_density = (
            self.density.score_samples(named(self.density, X)) - self.log_normalizer
        )
        return np.where(inside, log_density, -np.inf)

    def _draw(self, n_draws: int, random_state) -> np.ndarray:
        """So many rows for each condition, those of a condition one after the other."""
        n_particles = self._particles_for(n_draws)
        z, _ = self._sampler(random_state).draws(n_draws, n_particles)
        X = self.density.margins_.inverse(to_numpy(z))
        value = np.repeat(self.conditions.value, n_draws, axis=0)
        return np.where(np.isnan(value), X, value)

    def _particles_for(self, n_draws: int) -> int:
        share = np.min(self.effective_sample_size) / self.n_particles
        wanted = int(np.ceil(EFFECTIVE_PER_DRAW * n_draws / share))
        at_most = max(self.n_particles, MAX_PARTICLES_PER_DRAW * n_draws)
        return min(max(wanted, self.n_particles), at_most)

    def _sampler(self, random_state) -> Sampler:
        return make_sampler(self.density, self.conditions, random_state, self.forced)

    def _by_condition(self, values: np.ndarray):
        return values if self.conditions.by_row else float(values[0])

    def _check_values(self, X: np.ndarray) -> None:
        value = self.conditions.value
        if self.conditions.by_row and len(X) != len(value):
            raise ValueError(
                f"there are {len(value)} conditions, one for each row, but X has "
                f"{len(X)} rows."
            )
        agree = np.isnan(value) | np.isclose(X, value, rtol=1e-9, atol=0)
        if not agree.all():
            i, j = np.argwhere(~agree)[0]
            name = self.density.factorization_.column_names[j]
            given = np.broadcast_to(value, X.shape)[i, j]
            raise ValueError(
                f"column {name!r} is given as {given:g}, but row {i} of X has "
                f"{X[i, j]:g}; a conditional density is that of the other "
                "columns. Set the column to its value."
            )

    def _refuse_impossible(self, sizes: np.ndarray, log_normalizers) -> None:
        by_row = self.conditions.by_row
        least = MIN_EFFECTIVE_SIZE_BY_ROW if by_row else MIN_EFFECTIVE_SIZE
        poor = np.flatnonzero(~(sizes >= least) | np.isneginf(log_normalizers))
        if not len(poor):
            return
        i = poor[0]
        size = 0.0 if np.isneginf(log_normalizers[i]) else sizes[i]
        raise ValueError(
            f"of {self.n_particles} particles only {size:.1f} effective ones agree with "
            f"{f'condition {i}' if by_row else 'the condition'}, fewer than {least}: it "
            "is all but impossible under the density. Check its values, widen intervals, "
            "or use condition(given, n_particles=...) with more particles."
        )

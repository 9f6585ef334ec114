"""Densities derived from a fitted one: given some columns, and of some columns.

The estimator lends its chain of denoisers and its margins; sequential Monte Carlo does
the rest (see `sequential`).
"""

from collections.abc import Sequence

import numpy as np
from sklearn.utils import check_array, check_random_state

from ._estimators import named
from ._torch import make_generator, resolve_device, to_numpy, to_tensor
from ._validation import check_integer
from .conditions import Conditions, read_conditions
from .sequential import Evidence, Particles, Sampler

N_PARTICLES, N_PARTICLES_BY_ROW = 2000, 100
# effective particles below which a condition counts as impossible
MIN_EFFECTIVE_SIZE, MIN_EFFECTIVE_SIZE_BY_ROW = 10, 3
# effective particles for each draw: fewer would show as ties among the draws
EFFECTIVE_PER_DRAW = 2
MAX_PARTICLES_PER_DRAW = 64


def make_sampler(density, conditions: Conditions, random_state, forced=()) -> Sampler:
    """Sampler of a fitted density under conditions in data units."""
    device = resolve_device(density.device)
    margins = density.margins_
    columns = (conditions.value, conditions.low, conditions.high)
    value, low, high = (to_tensor(margins.forward(a), device=device) for a in columns)
    evidence = Evidence(value, low, high, frozenset(forced))
    chain = density._chain([*conditions.fixed, *conditions.bounded])
    return Sampler(chain, evidence, make_generator(random_state, device))


def log_normalizers(
    density, conditions: Conditions, particles: Particles, forced=()
) -> np.ndarray:
    """Estimated log-densities of the conditions, in data units."""
    telling = [j for j in conditions.fixed if j not in forced]
    change = density.margins_.log_derivatives(conditions.value)[:, telling].sum(axis=1)
    return to_numpy(particles.log_normalizers) + change


class ConditionalDensity:
    r"""Density of a table given what is known of some of its columns.

    Fixed columns enter with their density, columns in intervals with their probability:
    with A the event that the bounded columns lie in their intervals,

    .. math:: p(x \mid x_{fixed}, A) = p(x) 1_A(x) / p(x_{fixed}, A).

    Parameters
    ----------
    density : estimator
        Fitted; `condition` is the usual way here.
    given : dict
        From columns, by name or position, to a number, a tuple (low, high) with None
        for an open end, or an array with a value for each row.
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

    def __init__(self, density, given, *, n_particles=None, random_state=None):
        names = density.factorization_.column_names
        self._set_up(density, read_conditions(given, names), n_particles, random_state)

    def _set_up(self, density, conditions, n_particles, random_state, forced=()):
        if n_particles is not None:
            check_integer("n_particles", n_particles, low=MIN_EFFECTIVE_SIZE)
        self.density, self.conditions, self._forced = density, conditions, forced
        default = N_PARTICLES_BY_ROW if conditions.by_row else N_PARTICLES
        self.n_particles = default if n_particles is None else n_particles
        sampler = self._sampler(check_random_state(random_state))
        self.is_exact = sampler.evidence.is_exact(sampler.chain)
        particles = sampler.weighted(1 if self.is_exact else self.n_particles)
        found = log_normalizers(density, conditions, particles, forced)
        self.log_normalizer = self._by_condition(found)
        error, size = particles.standard_errors, particles.effective_sizes
        self.log_normalizer_error = self._by_condition(to_numpy(error))
        size = to_numpy(size) * (self.n_particles if self.is_exact else 1)
        self.effective_sample_size = self._by_condition(size)
        self._refuse_impossible(size)

    @classmethod
    def _under(cls, density, conditions, forced, n_particles, random_state):
        """Conditional density of which some fixed columns are set from outside."""
        made = cls.__new__(cls)
        made._set_up(density, conditions, n_particles, random_state, forced)
        return made

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

    def score(self, X, y=None):
        """Mean conditional log-density of the rows, in nats per row."""
        return float(self.score_samples(X).mean())

    def _draw(self, n_draws: int, random_state) -> np.ndarray:
        """So many rows for each condition, those of a condition one after the other."""
        sampler = self._sampler(random_state)
        n_particles = n_draws if self.is_exact else self._particles_for(n_draws)
        particles = sampler.weighted(n_particles)
        z = particles.z
        if not self.is_exact:
            z = particles.drawn(n_draws, sampler.generator)
        X = self.density.margins_.inverse(to_numpy(sampler.completed(z)))
        value = np.repeat(self.conditions.value, n_draws, axis=0)
        return np.where(np.isnan(value), X, value)

    def _particles_for(self, n_draws: int) -> int:
        share = np.min(self.effective_sample_size) / self.n_particles
        wanted = int(np.ceil(EFFECTIVE_PER_DRAW * n_draws / share))
        at_most = max(self.n_particles, MAX_PARTICLES_PER_DRAW * n_draws)
        return min(max(wanted, self.n_particles), at_most)

    def _sampler(self, random_state) -> Sampler:
        return make_sampler(self.density, self.conditions, random_state, self._forced)

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

    def _refuse_impossible(self, sizes: np.ndarray) -> None:
        by_row = self.conditions.by_row
        least = MIN_EFFECTIVE_SIZE_BY_ROW if by_row else MIN_EFFECTIVE_SIZE
        poor = np.flatnonzero(~(sizes >= least))
        if not len(poor):
            return
        where = f"condition {poor[0]}" if by_row else "the condition"
        raise ValueError(
            f"of {self.n_particles} particles only {sizes[poor[0]]:.1f} effective ones "
            f"agree with {where}, fewer than {least}: it is all but "
            "impossible under the density. Check its values, widen intervals, or raise "
            "n_particles."
        )


def intervened(density, given, do, random_state) -> ConditionalDensity:
    """Density of a fitted estimator given some columns and with others set from outside.

    Raises
    ------
    ValueError
        If the graph is not directed, a column is both given and set, or it is modelled
        together with others.
    """
    names = density.factorization_.column_names
    if do is None:
        return ConditionalDensity(density, given, random_state=random_state)
    conditions = read_conditions(do, names, argument="do", intervals=False)
    forced = conditions.fixed
    _check_intervention(density, [names[j] for j in forced])
    if given is not None:
        known = read_conditions(given, names)
        both = [names[j] for j in forced if j in {*known.fixed, *known.bounded}]
        if both:
            raise ValueError(f"columns {both} are both in given and in do; choose one.")
        conditions = known.with_fixed(conditions)
    return ConditionalDensity._under(density, conditions, forced, None, random_state)


def _check_intervention(density, names: list[str]) -> None:
    if not density.factorization_.is_bayesian_network:
        raise ValueError(
            f"do={names} needs the density of a directed graph, but this one was fitted "
            f"from {density.factorization_.source}. Use given, or fit with a DiGraph and "
            "diffusion='conditional' or 'auto'."
        )


class MarginalDensity:
    """Density of some columns of a table.

    Parameters
    ----------
    density : estimator
        Fitted; `marginal` is the usual way here.
    columns : sequence of int
        Positions of the columns.
    n_particles : int, default=100
        Draws of the other columns for each row, where they are needed.
    random_state : int, RandomState instance or None, default=None
        Source of randomness of `score_samples`; an integer makes it repeatable.

    Attributes
    ----------
    column_names : tuple of str
        Names of the columns.
    is_exact : bool
        Whether log-densities have no Monte Carlo error: the columns are closed under
        contexts.
    """

    def __init__(self, density, columns: Sequence[int], *, n_particles, random_state):
        check_integer("n_particles", n_particles, low=2)
        self.density, self.columns = density, list(columns)
        self.n_particles, self.random_state = n_particles, random_state
        names = density.factorization_.column_names
        self.column_names = tuple(names[j] for j in self.columns)
        sampler = self._sampler(np.zeros((1, len(self.columns))), check_random_state(0))
        self.is_exact = sampler[0].evidence.is_exact(sampler[0].chain)

    def score_samples(self, X, *, return_std=False):
        """Log-density of each row of the chosen columns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            The chosen columns in the order in which they were asked for; of a DataFrame
            those with their names are taken.
        return_std : bool, default=False
            Whether to return standard errors, too.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, in data units.
        standard_error : ndarray of shape (n_samples,)
            Monte Carlo error of each, in nats; only if asked for.
        """
        X = self._check_rows(X)
        sampler, conditions = self._sampler(X, check_random_state(self.random_state))
        particles = sampler.weighted(1 if self.is_exact else self.n_particles)
        found = log_normalizers(self.density, conditions, particles)
        return (found, to_numpy(particles.standard_errors)) if return_std else found

    def score(self, X, y=None):
        """Mean log-density of the rows, in nats per row."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples=1, random_state=None, *, as_frame=False):
        """Draw rows of the chosen columns; see `sample` of the estimator."""
        X = self.density.sample(n_samples, random_state, as_frame=as_frame)
        return X.iloc[:, self.columns] if as_frame else X[:, self.columns]

    def _sampler(self, X: np.ndarray, random_state) -> tuple[Sampler, Conditions]:
        value = np.full((len(X), self.density.n_features_in_), np.nan)
        value[:, self.columns] = X
        conditions = Conditions.on_values(value)
        return make_sampler(self.density, conditions, random_state), conditions

    def _check_rows(self, X) -> np.ndarray:
        if hasattr(X, "columns"):
            missing = [name for name in self.column_names if name not in X.columns]
            if missing:
                raise ValueError(f"X has no columns {missing}, got {list(X.columns)}.")
            X = X[list(self.column_names)]
        X = check_array(X, dtype=np.float64, input_name="X")
        if X.shape[1] != len(self.columns):
            raise ValueError(
                f"X must have the {len(self.columns)} columns {self.column_names}, got "
                f"{X.shape[1]} columns."
            )
        return X


def impute(density, X: np.ndarray, n_draws: int, n_particles: int, random_state):
    """Rows with NaN replaced by draws given the other cells, (n_draws, *X.shape).

    Also the effective sample size of each row; infinite where nothing was missing.
    """
    filled = np.repeat(X[None], n_draws, axis=0)
    sizes = np.full(len(X), np.inf)
    missing = np.isnan(X)
    patterns, which = np.unique(missing, axis=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        rows = np.flatnonzero(which.ravel() == k)
        if pattern.any():
            drawn, sizes[rows] = _draw_missing(
                density, X[rows], n_draws, n_particles, random_state
            )
            filled[:, rows] = drawn
    return filled, sizes


def _draw_missing(density, X, n_draws, n_particles, random_state):
    """Draws for rows in which the same cells are missing, and effective sizes."""
    sampler = make_sampler(density, Conditions.on_values(X), random_state)
    exact = sampler.evidence.is_exact(sampler.chain)
    n_particles = n_draws if exact else max(n_particles, n_draws)
    particles = sampler.weighted(n_particles)
    z = particles.z if exact else particles.drawn(n_draws, sampler.generator)
    drawn = density.margins_.inverse(to_numpy(sampler.completed(z)))
    drawn = drawn.reshape(len(X), n_draws, -1).swapaxes(0, 1)
    sizes = to_numpy(particles.effective_sizes)
    return np.where(np.isnan(X), drawn, X), np.full(len(X), np.inf) if exact else sizes

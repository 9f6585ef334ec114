"""Densities of some columns."""

from collections.abc import Sequence

import numpy as np
from sklearn.utils import check_array, check_random_state

from .._torch import to_numpy
from .._validation import check_integer
from ..conditions import Conditions
from ..sequential import Sampler
from ._derived import DerivedDensity
from ._samplers import MIN_EFFECTIVE_SIZE, log_normalizers, make_sampler, warn_of_few


class MarginalDensity(DerivedDensity):
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
        check_integer("n_particles", n_particles, low=MIN_EFFECTIVE_SIZE)
        super().__init__(density, columns)
        self.columns = list(columns)
        self.n_particles, self.random_state = n_particles, random_state
        names = density.factorization_.column_names
        self.column_names = tuple(names[j] for j in self.columns)
        somewhere = np.zeros((1, len(self.columns)))
        self.is_exact = self._sampler(somewhere, check_random_state(0))[0].is_exact

    def __repr__(self) -> str:
        return f"{type(self).__name__}(of {', '.join(self.column_names)})"

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
            Monte Carlo error of each, in nats, infinite where fewer than 3 particles
            say anything; only if asked for.

        Warns
        -----
        UserWarning
            If rows are so unusual that they rest on fewer than 10 effective particles:
            their log-densities are far too low then, not a little wrong.

        Notes
        -----
        Where draws are needed, the error of a row depends on the rows it comes with.
        """
        X = self._check_rows(X)
        sampler, conditions = self._sampler(X, check_random_state(self.random_state))
        particles = sampler.weighted(1 if self.is_exact else self.n_particles)
        if not self.is_exact:
            warn_of_few(to_numpy(particles.effective_sizes), self.n_particles)
        found = log_normalizers(self.density, conditions, particles)
        return (found, to_numpy(particles.standard_errors)) if return_std else found

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
        if hasattr(X, "columns") and hasattr(self, "feature_names_in_"):
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

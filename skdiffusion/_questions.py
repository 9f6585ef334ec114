"""What can be asked of a fitted density beside scores, samples and gradients."""

import numpy as np
from scipy.special import ndtr, ndtri
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from . import flow
from ._columns import position, positions
from ._validation import check_boolean, check_integer
from .conditioning import (
    MIN_EFFECTIVE_SIZE,
    ConditionalDensity,
    MarginalDensity,
    impute,
    warn_of_few,
)
from .conditions import read_conditions


class QuestionsMixin:
    """Conditions, marginals, missing values and normal coordinates of a density."""

    def condition(self, given, *, n_particles=None, random_state=None):
        """Density given what is known of some columns.

        Parameters
        ----------
        given : dict
            From columns, by name or position, to a number, a tuple (low, high) with
            None for an open end, or an array with a number for each row.
        n_particles : int or None, default=None
            Particles for each condition, where they are needed; None is 2000 for one
            condition and 100 for each if there is one for every row.
        random_state : int, RandomState instance or None, default=None
            Source of randomness of the normaliser.

        Returns
        -------
        ConditionalDensity
            With `sample`, `score_samples`, `log_normalizer` and its error.

        Raises
        ------
        TypeError, ValueError
            If a column is not known, what is said of it cannot be read, or no more than
            a few of the particles agree with it.

        Notes
        -----
        Exact where the contexts of all given columns are fixed, too (see
        `factorization_`); otherwise by sequential Monte Carlo.

        Examples
        --------
        >>> from skdiffusion import KernelScoreDensity
        >>> from skdiffusion.datasets import make_nonlinear_chain
        >>> chain = make_nonlinear_chain(300, n_features=3, random_state=0)
        >>> density = KernelScoreDensity(chain.graph).fit(chain.data)
        >>> given = density.condition({0: 1.0, 2: (0, None)}, random_state=0)
        >>> given.sample(5, random_state=0)[:, 0]
        array([1., 1., 1., 1., 1.])
        """
        check_is_fitted(self, "model_")
        conditions = read_conditions(given, self.factorization_.column_names)
        return ConditionalDensity(
            self, conditions, n_particles=n_particles, random_state=random_state
        )

    def marginal(self, columns, *, n_particles=100, random_state=None):
        """Density of some of the columns.

        Parameters
        ----------
        columns : str, int or sequence of them
            Names or positions.
        n_particles : int, default=100
            Draws of other columns for each row, where they are needed.
        random_state : int, RandomState instance or None, default=None
            Source of randomness of the log-densities; an integer makes them repeatable.

        Returns
        -------
        MarginalDensity
            With `score_samples`, which can return standard errors, and `sample`. Exact
            where the contexts of all chosen columns are chosen, too.

        Raises
        ------
        TypeError, ValueError
            If a column is not known, or chosen twice.
        """
        check_is_fitted(self, "model_")
        if columns is None:
            raise TypeError("columns must be names or positions of columns, got None.")
        chosen = positions(columns, self.factorization_.column_names)
        return MarginalDensity(
            self, chosen, n_particles=n_particles, random_state=random_state
        )

    def impute(self, X, *, n_draws=1, n_particles=100, random_state=None, as_frame=False):
        """Replace missing cells by draws from their law given the other cells.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in data units; NaN is missing.
        n_draws : int, default=1
            Number of completed tables. Several show how uncertain the cells are
            (multiple imputation).
        n_particles : int, default=100
            Particles for each row, where they are needed.
        random_state : int, RandomState instance or None, default=None
            Source of randomness of this call.
        as_frame : bool, default=False
            Whether to return a pandas DataFrame, or a list of them for several draws.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_draws, n_samples, n_features)
            With three axes if `n_draws` is greater than one.

        Warns
        -----
        UserWarning
            If the known cells of a row are all but impossible under the density, so that
            its draws rest on fewer than 10 effective particles.
        """
        check_is_fitted(self, "model_")
        check_boolean("as_frame", as_frame)
        check_integer("n_draws", n_draws, low=1)
        check_integer("n_particles", n_particles, low=MIN_EFFECTIVE_SIZE)
        X = self._validate(X, None, reset=False)
        filled, sizes = impute(
            self, X, n_draws, n_particles, check_random_state(random_state)
        )
        warn_of_few(sizes, n_particles)
        if as_frame:
            filled = [self._as_frame(table) for table in filled]
        return filled[0] if n_draws == 1 else filled

    def to_normal(self, X):
        r"""Coordinates in which the density is standard normal.

        The flow carries rows to independent standard normal variables. For columns in
        blocks of their own that is the Rosenblatt transform,
        :math:`\Phi^{-1}(F(x_j \mid x_{context(j)}))` [1]_.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in data units.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features)
            Standard normal if X follows the density; `from_normal` maps it back, up to
            the error of the solver in `n_steps`.

        References
        ----------
        .. [1] M. Rosenblatt, "Remarks on a multivariate transformation", Annals of
               Mathematical Statistics 23, 1952.
        """
        X = self._check_rows(X)
        Z = self.margins_.forward(X)
        path, denoisers = self._path(), self._denoisers()
        walk = lambda z: flow.to_normal(denoisers, z, path)
        return self._by_chunks(walk, Z, denoisers, pad=self._is_single())

    def from_normal(self, Z):
        """Rows from coordinates in which the density is standard normal.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_features)
            For instance standard normal noise, which becomes samples.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows in data units.

        Raises
        ------
        ValueError
            If Z has another number of columns.
        """
        check_is_fitted(self, "model_")
        Z = check_array(Z, dtype=np.float64, input_name="Z")
        if Z.shape[1] != self.n_features_in_:
            raise ValueError(
                f"Z must have {self.n_features_in_} columns, got {Z.shape[1]}."
            )
        return self.margins_.inverse(self._from_noise(flow.from_normal, Z))

    def conditional_cdf(self, X):
        """Distribution function of each column given its context, at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in data units.

        Returns
        -------
        U : ndarray of shape (n_samples, n_features)
            In [0, 1]: the probability integral transforms, uniform if X follows the
            density.

        Raises
        ------
        ValueError
            If columns are modelled together, in joint blocks.
        """
        check_is_fitted(self, "model_")
        self._check_density()
        self._refuse_joint_blocks(range(self.n_features_in_))
        return ndtr(self.to_normal(X))

    def conditional_quantile(self, X, column, q):
        """Quantiles of a column given its context.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in data units, of which the context of the column is read.
        column : str or int
            Name or position.
        q : float or array-like of shape (n_levels,)
            Levels in (0, 1).

        Returns
        -------
        quantile : ndarray of shape (n_samples,) or (n_samples, n_levels)
            In data units.

        Raises
        ------
        ValueError
            If the column is in a joint block or a level is out of range.
        """
        X = self._check_rows(X)
        j = position(column, self.factorization_.column_names)
        self._check_density()
        self._refuse_joint_blocks([j])
        levels = np.asarray(q, dtype=np.float64)
        if levels.ndim > 1 or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"q must be a number or numbers in (0, 1), got {q!r}.")
        found = [self._quantile(X, j, level) for level in np.atleast_1d(levels)]
        return found[0] if levels.ndim == 0 else np.stack(found, axis=1)

    def _check_density(self) -> None:
        """Raise if what was fitted has samples but is no density."""

    def _quantile(self, X: np.ndarray, j: int, level: float) -> np.ndarray:
        Z = self.margins_.forward(X)
        (denoiser,) = (d for d in self._denoisers() if j in d.columns)
        part, path = denoiser.select((j,)), self._path()

        def walk(z):
            noise = z.new_full((len(z), 1), ndtri(level))
            return flow.own_from_normal(part, z, noise, path)

        Z[:, [j]] = self._by_chunks(walk, Z, [part], pad=False)
        return self.margins_.inverse(Z)[:, j]

    def _refuse_joint_blocks(self, columns) -> None:
        names = self.factorization_.column_names
        for block in self.factorization_.blocks:
            if len(block.columns) > 1 and set(block.columns) & set(columns):
                raise ValueError(
                    f"columns {[names[j] for j in block.columns]} are modelled together, "
                    "so none has a distribution function given its context. Use "
                    "to_normal or condition, or fit with diffusion='conditional'."
                )

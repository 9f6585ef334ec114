"""The skeleton of the estimators: validation, margins, and the three questions asked.

A subclass says which parameters it has and how denoisers come from standardised rows;
scoring, sampling and gradients are the same for all of them.
"""

import warnings
from abc import ABC, abstractmethod
from inspect import signature

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from . import flow
from ._torch import resolve_device, to_numpy, to_tensor
from ._validation import check_integer, check_weight
from .graphs import Factorization, factorize
from .margins import Standardization
from .metrics import mean_log_density
from .process import stopping_time

FORMAT_VERSION = 2
CONSTANT_COLUMNS = (
    "columns {} are constant; their density is normal around the constant with standard "
    "deviation {}, in the units of the data."
)
# numbers a denoiser may hold at once, so that they stay in the cache of a processor
CHUNK_NUMBERS = 2**20
# padded chunks are multiples of 64 rows: with 16, the rounding of a row depended on its
# place in the chunk for odd sizes of the network
GRANULE, GRANULE_PADDED = 32, 64
# the gradient keeps the intermediate results of all evaluations of a path
GRADIENT_ROWS = 16


class BaseDiffusionDensity(DensityMixin, BaseEstimator, ABC):
    """Density estimators whose model is a list of denoisers.

    Notes
    -----
    A subclass implements `_check_parameters`, `_fit_model`, which returns its fitted
    attributes, among them `model_` (plain arrays), `noise_floor_` and `factorization_`,
    and `_build_denoisers`, which turns `model_` into denoisers. It may replace `_path`,
    `_terms` and `_gradient` by closed forms. It has the parameters
    `graph`, `max_factor_size`, `n_steps`, `device` and `random_state`. `_smoothing` names
    the parameter that is the standard deviation of a constant column, and `_margins` is
    the class of the maps of single columns.
    """

    _smoothing = "noise_floor"
    _margins = Standardization

    def fit(self, X, y=None, sample_weight=None):
        """Estimate the density of the rows of a table.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Continuous columns. If the graph names its nodes, a DataFrame.
        y : None
            Ignored; present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each row counts. Rows of weight zero are dropped first.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter, the graph, the rows or the weights cannot be used.
        """
        self._check_common_parameters()
        self._check_parameters()
        columns = getattr(X, "columns", None)
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        weight = check_weight(sample_weight, X)
        X, weight = self._drop_rows_without_weight(X, weight)
        self._refuse_integer_labels(columns)
        factorization = self._factorize(
            X.shape[1], getattr(self, "feature_names_in_", None)
        )
        margins = self._fit_margins(X, weight, factorization)
        if margins.constant.any():
            names = np.array(factorization.column_names)[margins.constant].tolist()
            warnings.warn(CONSTANT_COLUMNS.format(names, self._smoothing), stacklevel=2)
        fitted = self._fit_model(
            margins.forward_training(X),
            weight / weight.mean(),
            margins.log_derivative(X),
            factorization,
            check_random_state(self.random_state),
        )
        # together and last: a fit that fails or is interrupted leaves no half of a model
        fitted |= {"margins_": margins, "format_version_": FORMAT_VERSION}
        vars(self).update(fitted, _cache=None)
        return self

    def score_samples(self, X):
        """Log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, of a density in the units of the data: it may be positive. Rows do
            not influence each other.
        """
        X = self._check_rows(X)
        Z = self.margins_.forward(X)
        single = self._evaluation_dtype() == torch.float32
        terms = self._by_chunks(self._log_density, Z, self._denoisers(), pad=single)
        return terms.sum(axis=1) + self.margins_.log_derivative(X)

    def score(self, X, y=None, sample_weight=None):
        """Mean log-density of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.
        y : None
            Ignored; present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the mean.

        Returns
        -------
        score : float
            In nats per row; comparable between tables of different length.
        """
        return mean_log_density(self, X, sample_weight=sample_weight)

    def sample(self, n_samples=1, random_state=None, *, as_frame=False):
        """Draw rows from the fitted density.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Source of randomness of this call; with None every call differs.
        as_frame : bool, default=False
            Whether to return a pandas DataFrame, with the names of the columns seen in
            `fit`, or x0, x1, ... if they had none.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.
        """
        check_is_fitted(self, "model_")
        check_integer("n_samples", n_samples, low=1)
        Z = self._from_noise(flow.sample, n_samples, random_state)
        X = self.margins_.inverse(Z)
        return self._as_frame(X) if as_frame else X

    def log_density_gradient(self, X):
        """Gradient of the log-density at each row: the score, in the words of diffusion.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            In nats per unit of each column; the derivatives of `score_samples`.
        """
        X = self._check_rows(X)
        Z = self.margins_.forward(X)
        chunks = np.array_split(Z, range(GRADIENT_ROWS, len(Z), GRADIENT_ROWS))
        device = resolve_device(self.device)
        gradient = np.concatenate(
            [to_numpy(self._gradient(to_tensor(z, device=device))) for z in chunks]
        )
        return self.margins_.pull_back_gradient(X, gradient)

    def _check_common_parameters(self) -> None:
        if self.max_factor_size is not None:
            check_integer("max_factor_size", self.max_factor_size, low=1)
        check_integer("n_steps", self.n_steps, low=1)
        resolve_device(self.device)

    @abstractmethod
    def _check_parameters(self) -> None:
        """Raise for own parameters of wrong type or range, before any data are read."""

    @abstractmethod
    def _fit_model(self, Z, weight, log_derivative, factorization, random_state) -> dict:
        """Fitted attributes by name, from standardised rows; changes nothing in self."""

    @abstractmethod
    def _build_denoisers(self) -> list:
        """Denoisers from the arrays in `model_`."""

    def _factorize(self, n_columns: int, column_names) -> Factorization:
        """Factorization of the columns that the parameters imply."""
        return factorize(
            self.graph,
            n_columns,
            column_names=column_names,
            max_factor_size=self.max_factor_size,
        )

    def _fit_margins(self, X, weight, factorization) -> Standardization:
        sharing = factorization.sharing
        return self._margins.fit(X, weight, sharing.columns if sharing else None)

    def _refuse_integer_labels(self, columns) -> None:
        """Raise if graph nodes could mean labels as well as positions."""
        if self.graph is None or columns is None or hasattr(self, "feature_names_in_"):
            return
        if list(columns) != list(range(len(columns))):
            raise ValueError(
                "the columns of X are not named by strings, so graph nodes would be read "
                "as positions, not as the labels of X. Rename the columns with "
                "X.columns = X.columns.astype(str) and use strings as nodes, or number "
                "the columns 0, 1, ..."
            )

    def _drop_rows_without_weight(self, X, weight):
        X, weight = X[weight > 0], weight[weight > 0]
        if len(X) < 2:
            raise ValueError(
                "only 1 sample has a positive sample_weight; a density needs at least 2."
            )
        return X, weight

    def _check_rows(self, X) -> np.ndarray:
        check_is_fitted(self, "model_")
        return validate_data(self, X, dtype=np.float64, reset=False)

    def _as_frame(self, X: np.ndarray):
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "as_frame=True needs pandas: pip install 'skdiffusion[pandas]'."
            ) from error
        return pd.DataFrame(X, columns=list(self.factorization_.column_names))

    def _path(self) -> flow.Path:
        check_integer("n_steps", self.n_steps, low=1)
        return flow.Path(stopping_time(self.noise_floor_), self.n_steps)

    def _evaluation_dtype(self) -> torch.dtype:
        """Precision of denoisers; rows and log-densities are float64 in any case."""
        return torch.float64

    def _denoisers(self) -> list:
        """Denoisers on the device, built once; they are no part of the saved state."""
        place = resolve_device(self.device), self._evaluation_dtype()
        if getattr(self, "_cache", None) is None or self._cache[0] != place:
            denoisers = [
                part.to(*place).eval().requires_grad_(False)
                for denoiser in self._build_denoisers()
                for part in denoiser.split()
            ]
            self._cache = place, denoisers
        return self._cache[1]

    def _from_noise(self, walk, n_samples: int, random_state) -> np.ndarray:
        """What a walk of `flow` makes of standard normal noise."""
        shape = (n_samples, self.n_features_in_)
        noise = check_random_state(random_state).standard_normal(shape)
        parts = flow.in_order(self._denoisers(), self.factorization_.generations)
        path = self._path()
        return self._by_chunks(lambda e: walk(parts, e, path), noise, parts, pad=False)

    def _by_chunks(self, function, rows: np.ndarray, denoisers, *, pad) -> np.ndarray:
        """Apply a function of tensors to chunks of rows that fit into the cache.

        With `pad` all chunks have one size: the rounding of matrix products may depend
        on their size, and a score must not depend on how many rows are asked for.
        """
        device = resolve_device(self.device)
        numbers = max(denoiser.floats_per_row for denoiser in denoisers)
        granule = GRANULE_PADDED if pad else GRANULE
        size = granule * max(1, CHUNK_NUMBERS // (granule * numbers))
        missing = -len(rows) % size if pad else 0
        rows = np.concatenate([rows, np.zeros((missing, rows.shape[1]))])
        with torch.no_grad():
            results = [
                to_numpy(function(to_tensor(rows[i : i + size], device=device)))
                for i in range(0, len(rows), size)
            ]
        return np.concatenate(results)[: len(rows) - missing]

    def _log_density(self, z: Tensor) -> Tensor:
        """Terms of the log-density of each row, shape (n, n_terms)."""
        return torch.cat(list(self._terms(z)), dim=1)

    def _terms(self, z: Tensor):
        """Log-densities of the own columns of each denoiser, one after the other."""
        path = self._path()
        for denoiser in self._denoisers():
            yield flow.log_density_of_own(denoiser, z, path)

    @torch.enable_grad()
    def _gradient(self, z: Tensor) -> Tensor:
        """Gradient of the log-density; holds the results of one denoiser at a time."""
        z.requires_grad_(True)
        gradient = torch.zeros_like(z)
        for term in self._terms(z):
            (part,) = torch.autograd.grad(term.sum(), z)
            gradient += part
        return gradient

    def __getstate__(self):
        state = super().__getstate__().copy()
        state.pop("_cache", None)
        return state

    def __setstate__(self, state):
        version = state.get("format_version_", FORMAT_VERSION)
        if version != FORMAT_VERSION:
            advice = "upgrade skdiffusion" if version > FORMAT_VERSION else "fit it again"
            raise ValueError(
                f"this {type(self).__name__} was saved with model format {version}, but "
                f"this release reads format {FORMAT_VERSION}; {advice}."
            )
        # parameters that a later release added have their defaults
        added = {k: v for k, v in self._defaults().items() if k not in state}
        super().__setstate__(added | state)

    @classmethod
    def _defaults(cls) -> dict:
        return {k: p.default for k, p in signature(cls).parameters.items()}

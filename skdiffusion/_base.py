"""The skeleton of the estimators: validation, margins, and the three questions asked.

A subclass says which parameters it has and how denoisers come from standardised rows;
scoring, sampling and gradients are the same for all of them.
"""

import warnings
from abc import abstractmethod

import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from . import flow
from ._torch import resolve_device, to_numpy, to_tensor
from ._validation import check_integer, check_weight
from .graphs import factorize
from .margins import Standardization
from .process import stopping_time

FORMAT_VERSION = 1
# floats a denoiser may hold at once in one intermediate result: 4 MiB in float64
CHUNK_FLOATS = 2**19
# the gradient keeps every intermediate result of the path
GRADIENT_SHARE = 16


class BaseDiffusionDensity(DensityMixin, BaseEstimator):
    """Density estimators whose model is a list of denoisers.

    Notes
    -----
    A subclass implements `_check_parameters`, `_fit_model`, which sets `model_` to
    plain arrays as well as `noise_floor_` and `factorization_`, and `_build_denoisers`,
    which turns the arrays into denoisers. It has the parameters `graph`,
    `max_factor_size`, `n_steps`, `device` and `random_state`.
    """

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
        self._check_parameters()
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        weight = check_weight(sample_weight, X)
        X, weight = self._drop_rows_without_weight(X, weight)
        factorization = factorize(
            self.graph,
            X.shape[1],
            column_names=getattr(self, "feature_names_in_", None),
            max_factor_size=self.max_factor_size,
        )
        random_state = check_random_state(self.random_state)
        weight = weight / weight.mean()
        self._denoisers = None
        self.margins_ = self._fit_margins(X, weight, factorization)
        Z = self.margins_.forward(X)
        self._fit_model(Z, weight, factorization, random_state)
        self.format_version_ = FORMAT_VERSION
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
        terms = self._by_chunks(self._log_density_terms, self.margins_.forward(X))
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
        log_density = self.score_samples(X)
        weight = check_weight(sample_weight, log_density)
        return float(np.average(log_density, weights=weight))

    def sample(self, n_samples=1, random_state=None, *, as_frame=False):
        """Draw rows from the fitted density.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Source of randomness of this call; with None every call differs.
        as_frame : bool, default=False
            Whether to return a pandas DataFrame with the names seen in `fit`.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.
        """
        check_is_fitted(self)
        check_integer("n_samples", n_samples, low=1)
        shape = (n_samples, self.n_features_in_)
        noise = check_random_state(random_state).standard_normal(shape)
        X = self.margins_.inverse(self._by_chunks(self._rows_from_noise, noise))
        return self._as_frame(X) if as_frame else X

    def log_density_gradient(self, X):
        """Gradient of the log-density at each row: the score of the field of diffusion.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            Derivatives of `score_samples` in nats per unit of each column.
        """
        X = self._check_rows(X)
        Z = self.margins_.forward(X)
        gradient = self._by_chunks(self._gradient_terms, Z, share=GRADIENT_SHARE)
        return self.margins_.pull_back_gradient(X, gradient)

    @abstractmethod
    def _check_parameters(self) -> None:
        """Raise for parameters of wrong type or range, before any data are read."""

    @abstractmethod
    def _fit_model(self, Z, weight, factorization, random_state) -> None:
        """Set `model_`, `noise_floor_` and `factorization_` from standardised rows."""

    @abstractmethod
    def _build_denoisers(self) -> list:
        """Denoisers from the arrays in `model_`."""

    def _fit_margins(self, X, weight, factorization) -> Standardization:
        margins = Standardization.fit(X, weight)
        constant = np.flatnonzero(margins.constant)
        if len(constant):
            names = [factorization.column_names[j] for j in constant]
            warnings.warn(
                f"columns {names} are constant; their density is normal around the "
                "constant with standard deviation noise_floor, in the units of the data.",
                UserWarning,
                stacklevel=3,
            )
        return margins

    def _drop_rows_without_weight(self, X, weight):
        X, weight = X[weight > 0], weight[weight > 0]
        if len(X) < 2:
            raise ValueError(
                "only 1 sample has a positive sample_weight; a density needs at least 2."
            )
        return X, weight

    def _check_rows(self, X) -> np.ndarray:
        check_is_fitted(self)
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
        return flow.Path(stopping_time(self.noise_floor_), self.n_steps)

    def _loaded_denoisers(self) -> list:
        """Denoisers on the device, built once; they are no part of the saved state."""
        if getattr(self, "_denoisers", None) is None:
            device = resolve_device(self.device)
            self._denoisers = [
                denoiser.to(device).double().eval().requires_grad_(False)
                for denoiser in self._build_denoisers()
            ]
        return self._denoisers

    def _by_chunks(self, function, rows: np.ndarray, share: int = 1) -> np.ndarray:
        """Apply a function of tensors to chunks of rows that fit into the cache."""
        denoisers, device = self._loaded_denoisers(), resolve_device(self.device)
        floats_per_row = max(denoiser.floats_per_row for denoiser in denoisers)
        size = max(16, CHUNK_FLOATS // (share * floats_per_row))
        results = [
            to_numpy(function(denoisers, to_tensor(rows[i : i + size], device=device)))
            for i in range(0, len(rows), size)
        ]
        return np.concatenate(results)

    def _log_density_terms(self, denoisers, z):
        with torch.no_grad():
            return flow.log_density(denoisers, z, self._path())

    def _rows_from_noise(self, denoisers, noise):
        generations = self.factorization_.generations
        with torch.no_grad():
            return flow.sample(denoisers, generations, noise, self._path())

    def _gradient_terms(self, denoisers, z):
        z.requires_grad_(True)
        total = flow.log_density(denoisers, z, self._path()).sum()
        return torch.autograd.grad(total, z)[0]

    def __getstate__(self):
        state = super().__getstate__().copy()
        state.pop("_denoisers", None)
        return state

    def __setstate__(self, state):
        version = state.get("format_version_", FORMAT_VERSION)
        if version > FORMAT_VERSION:
            raise ValueError(
                f"this {type(self).__name__} was saved with model format {version}, but "
                f"this release reads formats up to {FORMAT_VERSION}; upgrade skdiffusion."
            )
        super().__setstate__(state)

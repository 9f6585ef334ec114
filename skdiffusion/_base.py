"""The skeleton of the estimators: validation, margins, and the three questions asked.

A subclass says which parameters it has and how denoisers come from standardised rows;
scoring, sampling and gradients are the same for all of them.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from inspect import signature

import networkx as nx
import numpy as np
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from . import flow
from ._frames import to_frame
from ._questions import QuestionsMixin
from ._selection import Choice
from ._torch import resolve_device, to_numpy, to_tensor
from ._validation import (
    MISSING_IN_FIT,
    MISSING_IN_SCORES,
    check_boolean,
    check_finite,
    check_integer,
    check_numbers,
    check_weight,
)
from ._warnings import warn_user
from .chunks import by_chunks
from .conditioning import intervened
from .graphs import Factorization, factorize, from_plain, to_plain
from .margins import Standardization
from .metrics import mean_log_density
from .process import stopping_time
from .sequential import Chain

FORMAT_VERSION = 5
# parameters and attributes that are saved as plain lists
GRAPHS = ("graph", "graph_")
CONSTANT_COLUMNS = (
    "columns {} are constant; their density is normal around the constant with standard "
    "deviation {}, in the units of the data."
)
# the gradient keeps the intermediate results of all evaluations of a path
GRADIENT_ROWS = 16


class BaseDiffusionDensity(QuestionsMixin, DensityMixin, BaseEstimator, ABC):
    """Density estimators whose model is a list of denoisers.

    Notes
    -----
    A subclass implements `_check_parameters`, `_fit_model`, which returns its fitted
    attributes, among them `model_` (plain arrays), `noise_floor_` and `factorization_`,
    and `_build_denoisers`, which turns `model_` into denoisers. It may replace
    `_own_log_density` and `_gradient` by closed forms, `_path` and `_chain` where its
    blocks need others, and `_fit_margins` by other maps of single columns. It has the
    parameters `graph`, `max_factor_size`, `n_steps`, `device` and `random_state`.
    `_smoothing` names the parameter that is the standard deviation of a constant column.
    """

    _smoothing = "noise_floor"

    @torch.inference_mode(False)
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
        X = self._validate(X, MISSING_IN_FIT, reset=True, ensure_min_samples=2)
        weight = check_weight(sample_weight, X)
        X, weight = self._drop_rows_without_weight(X, weight)
        self._check_labels(columns)
        names = getattr(self, "feature_names_in_", None)
        choice = self._choose_graph(X, weight, names)
        factorization = self._factorize(choice.graph, X.shape[1], names)
        if choice.note:
            source = f"{factorization.source}, {choice.note}"
            factorization = replace(factorization, source=source)
        margins = self._fit_margins(X, weight, factorization)
        if margins.constant.any():
            names = np.array(factorization.column_names)[margins.constant].tolist()
            warn_user(CONSTANT_COLUMNS.format(names, self._smoothing))
        fitted = self._fit_model(
            margins.forward_training(X),
            weight / weight.mean(),
            margins.log_derivative(X),
            factorization,
            check_random_state(self.random_state),
        )
        # together and last: a fit that fails or is interrupted leaves no half of a model
        fitted |= {"graph_": choice.graph, "graph_scores_": choice.scores}
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
        denoisers, pad = self._denoisers(), self._is_single()
        terms = self._by_chunks(self._log_density, Z, denoisers, pad=pad)
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

    def sample(
        self, n_samples=None, random_state=None, *, given=None, do=None, as_frame=False
    ):
        """Draw rows from the fitted density.

        Parameters
        ----------
        n_samples : int or None, default=None
            Number of rows; None is 1 or, with an array in `given` or `do`, its length.
        random_state : int, RandomState instance or None, default=None
            Source of randomness of this call; with None every call differs.
        given : dict or None, default=None
            What is known of columns, by name or position: a number, a tuple (low, high)
            or an array with a number for each of the rows; see `condition`.
        do : dict or None, default=None
            Columns that are set from outside, to a number or an array with a number for
            each of the rows: they no longer depend on their parents. That is the effect
            of an intervention if, and only if, the directed graph is causal.
        as_frame : bool, default=False
            Whether to return a pandas DataFrame, with the names of the columns seen in
            `fit`, or x0, x1, ... if they had none.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows in the units of the data passed to `fit`.

        Raises
        ------
        TypeError, ValueError
            If `given` or `do` cannot be read, is all but impossible under the density,
            or names one column in both; if `do` is asked of a graph without directions.
        """
        check_is_fitted(self, "model_")
        check_boolean("as_frame", as_frame)
        if n_samples is not None:
            check_integer("n_samples", n_samples, low=1)
        random_state = check_random_state(random_state)
        if given is None and do is None:
            shape = (n_samples or 1, self.n_features_in_)
            X = self.from_normal(random_state.standard_normal(shape))
        else:
            density = intervened(self, given, do, random_state)
            X = density.sample(n_samples, random_state)
        return self._as_frame(X) if as_frame else X

    @torch.inference_mode(False)
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

    def _choose_graph(self, X, weight, column_names) -> Choice:
        """Graph to use for these rows."""
        return Choice(self.graph)

    def _factorize(self, graph, n_columns: int, column_names) -> Factorization:
        """Factorization of the columns that a graph and the parameters imply."""
        return factorize(
            graph,
            n_columns,
            column_names=column_names,
            max_factor_size=self.max_factor_size,
        )

    def _fit_margins(self, X, weight, factorization):
        """Fitted maps of single columns to standard units."""
        return Standardization.fit(X, weight, factorization.labels)

    def _check_labels(self, columns) -> None:
        """Raise or warn if labels of columns could be taken for positions."""
        if columns is None or hasattr(self, "feature_names_in_"):
            return
        if list(columns) == list(range(len(columns))):
            return
        if isinstance(self.graph, nx.Graph):
            raise ValueError(
                "the columns of X are not named by strings, so graph nodes would be read "
                "as positions, not as the labels of X. Rename the columns with "
                "X.columns = X.columns.astype(str) and use strings as nodes, or number "
                "the columns 0, 1, ..."
            )
        warn_user(
            f"the columns of X are labelled {list(columns)[:5]}, not by strings: numbers "
            "in given, do and columns are positions, and the order of columns is not "
            "checked. Rename them with X.columns = X.columns.astype(str)."
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
        return self._validate(X, MISSING_IN_SCORES, reset=False)

    def _validate(self, X, remedy: str | None, **options) -> np.ndarray:
        """Rows of numbers; `remedy` says what to do about NaN; None lets them pass."""
        check_numbers(X)
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite=False, **options)
        names = getattr(self, "feature_names_in_", range(X.shape[1]))
        check_finite(X, names, remedy)
        return X

    def _as_frame(self, X: np.ndarray):
        return to_frame(X, self.factorization_.column_names)

    def _path(self) -> flow.Path:
        return flow.Path(stopping_time(self.noise_floor_), self._n_steps())

    def _n_steps(self) -> int:
        """Steps of the solver; the parameter may have changed since fit."""
        check_integer("n_steps", self.n_steps, low=1)
        return self.n_steps

    def _chain(self, first=()) -> Chain:
        """What sequential Monte Carlo walks along; columns come `first` if possible."""
        contexts = self.factorization_.contexts
        return Chain(self._denoisers(), contexts, self._path(), self._own_log_density)

    def _own_log_density(self, denoiser, z: Tensor) -> Tensor:
        """Terms of the log-density of the own columns of a denoiser."""
        return flow.log_density_of_own(denoiser, z, self._path())

    def _is_single(self) -> bool:
        return self._evaluation_dtype() == torch.float32

    def _evaluation_dtype(self) -> torch.dtype:
        """Precision of denoisers; rows and log-densities are float64 in any case."""
        return torch.float64

    # those built where nothing can be differentiated would be of no use to the gradient
    @torch.inference_mode(False)
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

    def _from_noise(self, walk, noise: np.ndarray) -> np.ndarray:
        """What a walk of `flow` makes of standard normal noise, in standard units."""
        parts = flow.in_order(self._denoisers(), self.factorization_.generations)
        path = self._path()
        return self._by_chunks(lambda e: walk(parts, e, path), noise, parts, pad=False)

    def _by_chunks(self, function, rows: np.ndarray, denoisers, *, pad) -> np.ndarray:
        """Apply a function of tensors to chunks of rows that fit into the cache."""
        z = to_tensor(rows, device=resolve_device(self.device))
        return to_numpy(by_chunks(function, [z], denoisers, pad=pad))

    def _log_density(self, z: Tensor) -> Tensor:
        """Terms of the log-density of each row, shape (n, n_terms)."""
        return torch.cat(list(self._terms(z)), dim=1)

    def _terms(self, z: Tensor):
        """Log-densities of the own columns of each denoiser, one after the other."""
        for denoiser in self._denoisers():
            yield self._own_log_density(denoiser, z)

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
        graphs = {k: to_plain(state[k]) for k in GRAPHS if k in state}
        return state | graphs

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
        graphs = {k: from_plain(state[k]) for k in GRAPHS if k in state}
        super().__setstate__(added | state | graphs)

    @classmethod
    def _defaults(cls) -> dict:
        return {k: p.default for k, p in signature(cls).parameters.items()}

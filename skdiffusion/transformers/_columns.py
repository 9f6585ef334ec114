"""The skeleton of transformers that map some columns one by one.

A subclass says which function it applies and where it is defined; which columns are
meant, errors that name a column, and derivatives are the same for all of them.
"""

from abc import ABC, abstractmethod

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._columns import positions


class BaseColumnTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator, ABC):
    """Transformers that map some columns one by one and leave the others alone.

    Notes
    -----
    A subclass has the parameter `columns` and implements `_forward`, `_inverse`,
    `_log_slope` and `_inside` for an array of the chosen columns, and `_expected`, the
    support in words. `_fit_columns` may learn or check more.
    """

    def fit(self, X, y=None):
        """Check that the chosen columns can be transformed.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored; present by convention.

        Returns
        -------
        self : object
            Fitted transformer.

        Raises
        ------
        ValueError, TypeError
            If a parameter cannot be used, or a column has values outside its support.
        """
        X = validate_data(self, X, dtype=np.float64)
        self.columns_ = self._find_columns()
        self._fit_columns(X)
        return self

    def transform(self, X):
        """Images of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, inside the support.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features)
            Images; columns that were not chosen are the same.

        Raises
        ------
        ValueError
            If a value lies outside the support of its column.
        """
        X = self._check_rows(X, copy=True)
        self._refuse_outside(X)
        X[:, self.columns_] = self._forward(X[:, self.columns_])
        return X

    def inverse_transform(self, Z):
        """Rows of images.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_features)
            Images.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows, inside the support.
        """
        Z = self._check_images(Z)
        Z[:, self.columns_] = self._inverse(Z[:, self.columns_])
        return Z

    def log_derivative(self, X):
        """Logarithm of the absolute derivative of each image with respect to its value.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_derivative : ndarray of shape (n_samples, n_features)
            0 in columns that were not chosen, -inf outside the support.
        """
        X = self._check_rows(X)
        chosen = X[:, self.columns_]
        inside = self._inside(chosen)
        with np.errstate(invalid="ignore", divide="ignore"):
            slopes = np.where(inside, self._log_slope(chosen), -np.inf)
        result = np.zeros(X.shape)
        result[:, self.columns_] = slopes
        return result

    def log_abs_det_jacobian(self, X):
        """Logarithm of the absolute determinant of the Jacobian of `transform`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_det : ndarray of shape (n_samples,)
            In nats; -inf for rows outside the support.
        """
        return self.log_derivative(X).sum(axis=1)

    def _fit_columns(self, X: np.ndarray) -> None:
        self._refuse_outside(X)

    @abstractmethod
    def _forward(self, x: np.ndarray) -> np.ndarray:
        """Images of the chosen columns, all values inside the support."""

    @abstractmethod
    def _inverse(self, z: np.ndarray) -> np.ndarray:
        """Values of the chosen columns with these images."""

    @abstractmethod
    def _log_slope(self, x: np.ndarray) -> np.ndarray:
        """Logarithm of the absolute derivative; anything outside the support."""

    @abstractmethod
    def _inside(self, x: np.ndarray) -> np.ndarray:
        """Whether values lie inside the support."""

    @abstractmethod
    def _expected(self, k: int) -> str:
        """Support of the k-th chosen column in words."""

    def _check_rows(self, X, *, copy=False) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False, copy=copy)

    def _check_images(self, Z) -> np.ndarray:
        """Images as a new array; their container may have no names, or other ones."""
        check_is_fitted(self)
        Z = np.array(Z, dtype=np.float64)
        if Z.ndim != 2 or Z.shape[1] != self.n_features_in_:
            raise ValueError(
                f"{type(self).__name__}.inverse_transform expected an array of shape "
                f"(n_samples, {self.n_features_in_}), got shape {Z.shape}."
            )
        return Z

    def _refuse_outside(self, X: np.ndarray) -> None:
        """Raise, naming the first column with values outside its support."""
        outside = ~self._inside(X[:, self.columns_])
        if not outside.any():
            return
        k = int(outside.any(axis=0).argmax())
        wrong = X[outside[:, k], self.columns_[k]]
        raise ValueError(
            f"{type(self).__name__}: column {self._names()[self.columns_[k]]!r} must be "
            f"{self._expected(k)}, got {len(wrong)} other value(s) in {len(X)} rows, the "
            f"first of them {wrong[0]:g}. Choose the columns to transform with "
            "`columns`, or correct the rows."
        )

    def _names(self) -> list:
        default = range(self.n_features_in_)
        return list(getattr(self, "feature_names_in_", default))

    def _find_columns(self) -> np.ndarray:
        """Positions of the chosen columns."""
        columns = [self.columns] if isinstance(self.columns, str) else self.columns
        has_names = hasattr(self, "feature_names_in_")
        names = [] if has_names or np.ndim(columns) == 0 else columns
        for name in names:
            if isinstance(name, str):
                raise ValueError(
                    f"columns has the name {name!r}, but X has no names. Pass a "
                    "DataFrame; after another step of a pipeline names are kept by "
                    "pipeline.set_output(transform='pandas')."
                )
        return np.array(positions(self.columns, self._names()))

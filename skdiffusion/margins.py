"""Invertible maps of single columns, with the logarithms of their derivatives.

A margin maps every column to a scale on which the rest of the library can work and
back. Densities in the units of the data follow from the change of variables,
log p(x) = log p(z) + sum of log |dz_j / dx_j|. Plain numpy; a new map has the methods
of `Standardization`.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Standardization:
    """z = (x - mean) / scale, column by column.

    Attributes
    ----------
    mean, scale : ndarray of shape (n_features,)
        Weighted mean and standard deviation of the training rows, in data units.
    constant : ndarray of bool of shape (n_features,)
        Columns without variation beyond rounding; their scale is 1.
    """

    mean: np.ndarray
    scale: np.ndarray
    constant: np.ndarray

    @classmethod
    def fit(
        cls, X: np.ndarray, sample_weight: np.ndarray, labels=None
    ) -> "Standardization":
        """Estimate location and scale from weighted rows.

        Columns with equal labels get one location and one scale; without labels each
        column has its own. Columns are divided by their largest deviation first, so that
        squares neither overflow nor underflow.
        """
        alike: dict = {}
        for j in range(X.shape[1]):
            alike.setdefault(j if labels is None else labels[j], []).append(j)
        mean, scale, constant = np.empty((3, X.shape[1]))
        for columns in alike.values():
            mean[columns], scale[columns], constant[columns] = _moments(
                X[:, columns], sample_weight
            )
        return cls(mean, scale, constant.astype(bool))

    def forward(self, X: np.ndarray) -> np.ndarray:
        """Standardised rows."""
        return (X - self.mean) / self.scale

    def forward_training(self, X: np.ndarray) -> np.ndarray:
        """Standardised training rows, constant columns free of rounding noise."""
        return np.where(self.constant, 0.0, self.forward(X))

    def inverse(self, Z: np.ndarray) -> np.ndarray:
        """Rows in data units."""
        return self.mean + self.scale * Z

    def log_derivative(self, X: np.ndarray) -> np.ndarray:
        """Sum over columns of log |dz_j / dx_j| at each row, shape (n_samples,)."""
        return np.full(len(X), -np.log(self.scale).sum())

    def pull_back_gradient(self, X: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Gradient of the log-density in data units from that in z.

        The chain rule gives ``dz/dx * gradient + d/dx log |dz/dx|``; the last term
        vanishes here.
        """
        return gradient / self.scale


def _moments(X: np.ndarray, sample_weight: np.ndarray) -> tuple[float, float, bool]:
    """Mean and standard deviation of all entries, and whether they are all the same."""
    share = sample_weight / sample_weight.sum() / X.shape[1]
    mean = share @ X.sum(axis=1)
    size = np.abs(X - mean).max()
    rounding = 10 * np.finfo(float).eps * np.abs(X).max()
    # the range, not the deviation: the mean itself carries rounding errors
    if np.ptp(X) <= rounding or np.ptp(X) < np.finfo(float).tiny:
        return X[0, 0], 1.0, True
    return mean, size * np.sqrt(share @ (((X - mean) / size) ** 2).sum(axis=1)), False

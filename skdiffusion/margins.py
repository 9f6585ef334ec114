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
    def fit(cls, X: np.ndarray, sample_weight: np.ndarray) -> "Standardization":
        """Estimate location and scale from weighted rows.

        Each column is divided by its largest deviation first, so that squares neither
        overflow nor underflow.
        """
        mean = np.average(X, axis=0, weights=sample_weight)
        size = np.abs(X - mean).max(axis=0)
        rounding = 10 * np.finfo(float).eps * np.abs(X).max(axis=0)
        # the range, not the deviation: the mean itself carries rounding errors
        spread = np.ptp(X, axis=0)
        constant = (spread <= rounding) | (spread < np.finfo(float).tiny)
        size = np.where(constant, 1.0, size)
        variance = np.average(((X - mean) / size) ** 2, axis=0, weights=sample_weight)
        scale = np.where(constant, 1.0, size * np.sqrt(variance))
        return cls(np.where(constant, X[0], mean), scale, constant)

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

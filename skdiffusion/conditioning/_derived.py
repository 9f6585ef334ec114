"""What densities derived from a fitted one have in common."""

import copy

from ..metrics import mean_log_density


class DerivedDensity:
    """A density of some columns of a fitted one.

    It holds a copy, so that it stays what it is when the estimator is fitted again.

    Parameters
    ----------
    density : estimator
        Fitted.
    columns : sequence of int
        Columns of the rows that are scored.
    """

    def __init__(self, density, columns):
        self.density = copy.copy(density)
        self.n_features_in_ = len(columns)
        if hasattr(density, "feature_names_in_"):
            self.feature_names_in_ = density.feature_names_in_[list(columns)]

    def score(self, X, y=None, sample_weight=None):
        """Mean log-density of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_columns)
            As in `score_samples`.
        y : None
            Ignored; present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in the mean.

        Returns
        -------
        score : float
            In nats per row.
        """
        return mean_log_density(self, X, sample_weight=sample_weight)

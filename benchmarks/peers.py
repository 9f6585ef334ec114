"""The contract of all peers, and scikit-learn's density estimators tuned.

A peer standardises the columns inside and adds the Jacobian, so that its log-density is
in the units of the data, and chooses its settings by cross-validation on the training
rows alone.
"""

import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler

from skdiffusion.metrics import mean_log_density

MAX_HELD_OUT = 400  # rows of one split: more add time, not a better choice
BANDWIDTHS = np.geomspace(0.02, 2, 24)
COMPONENTS = (1, 2, 3, 5, 8, 12, 20, 30)
ROWS_A_COMPONENT = 5


class Peer:
    """A density estimator in standard units behind one in data units.

    Subclasses implement `_fit`, `_score` and `_sample` on standardised rows.

    Attributes
    ----------
    chosen_ : str
        Settings that `fit` chose, in words.
    """

    chosen_ = ""

    def fit(self, X):
        """Standardise the rows and fit."""
        self.scaler_ = StandardScaler().fit(X)
        self._fit(self.scaler_.transform(X))
        return self

    def score_samples(self, X):
        """Log-density of each row in the units of X."""
        inside = self._score(self.scaler_.transform(X))
        return inside - np.log(self.scaler_.scale_).sum()

    def sample(self, n_samples, random_state):
        """Rows in data units; `random_state` is an integer."""
        return self.scaler_.inverse_transform(self._sample(n_samples, random_state))


def searched(estimator, grid, Z, seed, n_splits=5):
    """Best setting of a grid by held-out log-density, fitted to all rows again."""
    n_held_out = max(1, min(len(Z) // 5, MAX_HELD_OUT))
    splits = ShuffleSplit(n_splits, test_size=n_held_out, random_state=seed)
    return GridSearchCV(estimator, grid, scoring=mean_log_density, cv=splits).fit(Z)


def component_numbers(n_rows):
    """Numbers of components to be tried: no more than the rows allow."""
    return [k for k in COMPONENTS if k == 1 or k * ROWS_A_COMPONENT <= n_rows]


def in_words(settings):
    """Settings of one or several searches in a few words."""
    names = dict.fromkeys(name for chosen in settings for name in chosen)
    parts = []
    for name in names:
        values = sorted({chosen[name] for chosen in settings if name in chosen})
        parts.append(f"{name} {'|'.join(map(_short, values))}")
    return "; ".join(parts)


def _short(value):
    return value if isinstance(value, str) else f"{value:.3g}"


class SearchedPeer(Peer):
    """An estimator of scikit-learn; subclasses implement `_search` on such rows."""

    def __init__(self, seed):
        self.seed = seed

    def _fit(self, Z):
        search = self._search(Z)
        self.model_ = search.best_estimator_
        self.chosen_ = in_words([search.best_params_])

    def _score(self, Z):
        return self.model_.score_samples(Z)


class KernelPeer(SearchedPeer):
    """`KernelDensity`; bandwidth by cross-validation."""

    def _search(self, Z):
        return searched(KernelDensity(), {"bandwidth": BANDWIDTHS}, Z, self.seed)

    def _sample(self, n_samples, random_state):
        return self.model_.sample(n_samples, random_state)


class MixturePeer(SearchedPeer):
    """`GaussianMixture`; components, covariance type and its floor by cross-validation.

    The floor (`reg_covar`) matters where full covariances have many entries for few
    rows.
    """

    def _search(self, Z):
        numbers = component_numbers(len(Z))
        types = {"covariance_type": ["full", "tied", "diag", "spherical"]}
        firm = {"covariance_type": ["full"], "reg_covar": [1e-2]}
        grid = [{"n_components": numbers, **part} for part in (types, firm)]
        mixture = GaussianMixture(reg_covar=1e-4, max_iter=300, random_state=self.seed)
        return searched(mixture, grid, Z, self.seed, n_splits=3)

    def _sample(self, n_samples, random_state):
        rows, _ = self.model_.set_params(random_state=random_state).sample(n_samples)
        return np.random.default_rng(random_state).permutation(rows)

import numpy as np
import pandas as pd
import pytest
from conftest import standard_normal
from scipy import stats
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdiffusion import DensityOutlierDetector

KDE = KernelDensity(bandwidth=0.7)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        DensityOutlierDetector(KernelDensity()),
        DensityOutlierDetector(KernelDensity(), contamination="auto"),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("share", [0.01, 0.07, 0.29, 0.5])
def test_contamination_is_the_share_of_training_rows_called_outliers(share):
    X = standard_normal(100, 2)
    labels = DensityOutlierDetector(KDE, contamination=share).fit_predict(X)
    assert (labels == -1).sum() == round(100 * share)
    scores = KDE.fit(X).score_samples(X)
    assert scores[labels == -1].max() < scores[labels == 1].min()


def test_scores_are_those_of_the_density_and_its_decision_their_distance():
    X, new = standard_normal(50, 2), standard_normal(9, 2, seed=1)
    mixture = GaussianMixture(2, random_state=0)
    detector = DensityOutlierDetector(mixture, contamination=0.1).fit(X)
    scores = GaussianMixture(2, random_state=0).fit(X).score_samples(new)
    np.testing.assert_allclose(detector.score_samples(new), scores)
    np.testing.assert_allclose(detector.decision_function(new), scores - detector.offset_)
    assert not hasattr(mixture, "means_")


@pytest.mark.parametrize(("n_columns", "share"), [(1, 0.0261), (8, 0.0011)])
def test_automatic_threshold_on_normal_rows(n_columns, share):
    """The share follows from quartiles of the chi-squared distribution."""
    law = stats.chi2(n_columns)
    low, high = law.ppf([0.25, 0.75])
    assert law.sf(high + 3 * (high - low)) == pytest.approx(share, abs=1e-3)
    X = standard_normal(20_000, n_columns)
    detector = DensityOutlierDetector(GaussianMixture(), contamination="auto")
    labels = detector.fit_predict(X)
    expected = law.sf(high + 3 * (high - low))
    assert np.mean(labels == -1) == pytest.approx(expected, abs=4 * (share / 2e4) ** 0.5)


@pytest.mark.parametrize("contamination", ["auto", 0.2, 0.35])
def test_weights_count_rows(contamination):
    X = standard_normal(40, 2)
    weight = np.random.RandomState(1).randint(1, 4, 40)
    detector = DensityOutlierDetector(KDE, contamination=contamination)
    repeated = detector.fit(np.repeat(X, weight, axis=0)).decision_function(X)
    weighted = detector.fit(X, sample_weight=weight).decision_function(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-10)


@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_rows_of_density_zero_are_outliers(contamination):
    half = ZeroOnTheLeft().fit(None)
    X = standard_normal(50, 1)
    detector = DensityOutlierDetector(half, contamination=contamination).fit(X)
    assert np.isfinite(detector.offset_)
    decision = detector.decision_function(X)
    assert (decision[X[:, 0] < 0] == -np.inf).all()
    assert np.isfinite(decision[X[:, 0] >= 0]).all()
    assert (detector.predict(X) == np.where(X[:, 0] < 0, -1, 1)).all()
    with pytest.raises(ValueError, match="zero at all training rows"):
        detector.fit(-np.abs(X))


class ZeroOnTheLeft(KernelDensity):
    """Density that is zero at negative values and the same at all others."""

    def fit(self, X, y=None, sample_weight=None):
        self.fitted_ = True
        return self

    def score_samples(self, X):
        return np.where(X[:, 0] < 0, -np.inf, -1.0)


def test_names_reach_the_density():
    frame = pd.DataFrame(standard_normal(30, 2), columns=["a", "b"])
    detector = DensityOutlierDetector(KDE).fit(frame)
    assert detector.estimator_.feature_names_in_.tolist() == ["a", "b"]
    assert detector.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="feature names"):
        detector.predict(frame[["b", "a"]])


def test_parameters_of_the_density_can_be_searched():
    X = standard_normal(60, 1)
    truth = np.where(np.abs(X[:, 0]) > 1.5, -1, 1)
    grid = {"estimator__bandwidth": [0.3, 100.0], "contamination": [0.1, 0.4]}
    detector = DensityOutlierDetector(KernelDensity())
    search = GridSearchCV(detector, grid, scoring="accuracy", cv=3).fit(X, truth)
    assert search.best_params_["contamination"] == 0.1


@pytest.mark.parametrize("contamination", [0, -0.1, 0.51, "some", np.nan])
def test_contamination_out_of_range_is_refused(contamination):
    with pytest.raises(ValueError, match=r"contamination must be .*\(0, 0.5\], got"):
        DensityOutlierDetector(KDE, contamination=contamination).fit(np.ones((9, 1)))


def test_what_is_no_density_estimator_is_refused():
    X = standard_normal(9, 1)
    with pytest.raises(TypeError, match="got StandardScaler"):
        DensityOutlierDetector(StandardScaler()).fit(X)
    with pytest.raises(TypeError, match="contamination must be a number, got None"):
        DensityOutlierDetector(KDE, contamination=None).fit(X)
    with pytest.raises(TypeError, match=r"GaussianMixture.fit takes none"):
        DensityOutlierDetector(GaussianMixture()).fit(X, sample_weight=np.ones(9))
    with pytest.raises(NotFittedError):
        DensityOutlierDetector(KDE).predict(X)

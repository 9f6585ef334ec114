"""Checks of a fitted density: normalisation, calibration, two samples, comparison."""

import numpy as np
import pandas as pd
import pytest
from conftest import standard_normal
from scipy import stats
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skdiffusion import make_density_pipeline
from skdiffusion._estimators import draw
from skdiffusion.metrics import (
    calibration_test,
    compare,
    mean_log_density,
    normalization,
    two_sample_test,
)


class Normal(BaseEstimator):
    """Exact normal density, off by a constant factor if asked to be."""

    def __init__(self, mean=0.0, covariance=None, factor=1.0, n_features=2):
        self.mean = mean
        self.covariance = covariance
        self.factor = factor
        self.n_features = n_features

    def fit(self, X=None, y=None):
        n = self.n_features if self.covariance is None else len(self.covariance)
        covariance = np.eye(n) if self.covariance is None else self.covariance
        self.law_ = stats.multivariate_normal(np.full(n, self.mean), covariance)
        self.n_features_in_ = n
        return self

    def score_samples(self, X):
        return np.atleast_1d(self.law_.logpdf(X)) + np.log(self.factor)

    def sample(self, n_samples=1, random_state=None):
        drawn = self.law_.rvs(n_samples, random_state=random_state)
        return drawn.reshape(n_samples, -1)

    def to_normal(self, X):
        root = np.linalg.cholesky(self.law_.cov)
        return np.linalg.solve(root, (np.asarray(X) - self.law_.mean).T).T


class Step(Normal):
    """Density that is zero where the first column exceeds the mean."""

    def score_samples(self, X):
        return np.where(X[:, 0] > self.mean, -np.inf, super().score_samples(X))


NARROW = np.array([[1.0, 0.999], [0.999, 1.0]])
WIDE = np.diag([1.0, 100.0, 1e-4]) + 0.005 * np.eye(3)


@pytest.mark.parametrize("factor", [1.0, 1.3])
@pytest.mark.parametrize("covariance", [[[4.0]], np.diag([1e-3, 1e3]), NARROW, WIDE])
def test_integral_of_a_normal_density_times_a_factor(factor, covariance):
    """Catches a lost determinant, a wrong proposal density, too small an error."""
    density = Normal(5.0, covariance, factor).fit()
    found = normalization(density, random_state=0)
    few_columns = len(covariance) < 3
    assert found.method == ("quadrature" if few_columns else "importance sampling")
    assert abs(found.integral - factor) < (0 if few_columns else 4) * found.error + 1e-4
    assert found.error < 0.02
    assert f"{found.integral:.4f}" in str(found)


def test_standard_error_of_importance_sampling_is_that_of_its_draws():
    density = Normal(covariance=np.eye(3)).fit()
    X = density.sample(300, random_state=0)
    found = [normalization(density, X, n_points=200, random_state=i) for i in range(40)]
    deviations = [(f.integral - 1) / f.error for f in found]
    assert 0.7 < np.std(deviations) < 1.4
    assert abs(np.mean(deviations)) < 4 / np.sqrt(40)


@pytest.mark.parametrize("n_points", [128, 256, 400])
def test_a_coarse_grid_confesses_its_error(n_points):
    peaks = KernelDensity(bandwidth=0.02).fit(standard_normal(20, 1))
    found = normalization(peaks, n_points=n_points, random_state=0)
    assert abs(found.integral - 1) <= found.error
    assert found.error > 0.01


def test_points_that_miss_the_density_are_reported():
    X = standard_normal(100, 3)
    with pytest.warns(UserWarning, match="hardly any point met the density"):
        normalization(Normal(50.0, np.eye(3)).fit(), X, random_state=0)


def test_kernels_and_mixtures_integrate_to_one():
    X = standard_normal(200, 4) * [1, 10, 0.1, 1]
    for density in GaussianMixture(2, random_state=0), KernelDensity(bandwidth=1.0):
        found = normalization(density.fit(X), random_state=0)
        assert abs(found.integral - 1) < 4 * found.error < 0.05


def test_a_grid_confesses_an_error_along_one_of_its_sides():
    """Catches an error that is measured along the sides on which it is small."""
    peaks = KernelDensity(bandwidth=0.02).fit(standard_normal(20, 1))

    class Ridges(Normal):
        def score_samples(self, X):
            return peaks.score_samples(X[:, :1]) + stats.norm.logpdf(X[:, 1])

    found = normalization(Ridges().fit(), n_points=128**2, random_state=0)
    assert 0.01 < abs(found.integral - 1) < 4 * found.error


def test_seeds_reach_mixtures_that_draw_by_their_own():
    mixture = GaussianMixture(random_state=0).fit(standard_normal(99, 3))
    first, again, other = (draw(mixture, 9, seed) for seed in (0, 0, 1))
    assert first.shape == (9, 3)
    assert (first == again).all() != (first == other).any()
    assert mixture.random_state == 0


def test_a_scaler_changes_the_units_of_the_integral():
    X = 5 * standard_normal(100, 1)
    pipeline = make_pipeline(StandardScaler(), KernelDensity()).fit(X)
    with pytest.raises(TypeError, match="Pipeline, which has no sample"):
        normalization(pipeline)
    found = normalization(pipeline, X)
    assert found.integral == pytest.approx(pipeline[0].scale_[0], rel=1e-6)


def test_names_of_columns_reach_the_estimator():
    """Warnings are errors here: rows without the names of fit would warn."""
    frame = pd.DataFrame(standard_normal(50, 2), columns=["a", "b"])
    found = normalization(KernelDensity().fit(frame), frame, n_points=900)
    assert found.integral == pytest.approx(1, abs=0.01)


def test_what_is_no_density_is_refused():
    with pytest.raises(TypeError, match="StandardScaler, which has no score_samples"):
        normalization(StandardScaler(), np.ones((3, 1)))
    with pytest.raises(TypeError, match="the class KernelDensity"):
        normalization(KernelDensity, np.ones((3, 1)))
    with pytest.raises(NotFittedError):
        normalization(KernelDensity(), np.ones((3, 1)))
    broken = Normal(factor=np.nan).fit()
    with pytest.raises(ValueError, match="NaN or infinite at 16384 of 16384 rows"):
        normalization(broken)


@pytest.mark.parametrize("test", ["cramer-von-mises", "kolmogorov-smirnov"])
def test_a_true_density_is_rejected_at_the_level_of_the_test(test):
    density = Normal(covariance=NARROW).fit()
    p_values = [
        calibration_test(density, density.sample(60, random_state=i), test=test).p_value
        for i in range(200)
    ]
    assert np.mean(np.array(p_values) < 0.2) == pytest.approx(0.17, abs=0.08)


def test_statistics_are_those_of_scipy():
    density, X = Normal(covariance=NARROW).fit(), standard_normal(50, 2)
    z = density.to_normal(X)
    found = calibration_test(density, X, test="kolmogorov-smirnov")
    expected = [stats.kstest(z[:, j], "norm") for j in range(2)]
    expected.append(stats.kstest((z**2).sum(axis=1), stats.chi2(2).cdf))
    np.testing.assert_allclose(found.statistics, [e.statistic for e in expected])
    np.testing.assert_allclose(found.p_values, [e.pvalue for e in expected])
    assert found.p_value == min(1, 3 * min(found.p_values))


def test_wrong_means_scales_and_dependences_are_found():
    X = stats.multivariate_normal(cov=[[1, 0.9], [0.9, 1]]).rvs(500, random_state=0)
    dependent = calibration_test(Normal().fit(), X)
    assert min(dependent.p_values[:2]) > 0.01 > 1e-4 > dependent.p_values[2]
    assert calibration_test(Normal(0.3).fit(), X).p_value < 1e-4
    assert calibration_test(Normal(covariance=4 * np.eye(2)).fit(), X).p_value < 1e-4


def test_calibration_prints_names_of_columns():
    frame = pd.DataFrame(standard_normal(30, 2), columns=["dose", "effect"])
    text = str(calibration_test(Normal().fit(), frame))
    assert "dose" in text
    assert "all columns" in text
    assert "30 rows" in text


def test_calibration_needs_a_transform_to_normal():
    kde = KernelDensity().fit(standard_normal(9, 1))
    with pytest.raises(TypeError, match="KernelDensity, which has no to_normal"):
        calibration_test(kde, standard_normal(9, 1))
    with pytest.raises(ValueError, match="Did you mean 'kolmogorov-smirnov'"):
        calibration_test(Normal().fit(), standard_normal(9, 2), test="kolmogorov-smirnof")


def test_energy_distance_in_one_column_is_that_of_scipy():
    x, y = standard_normal(40, 1), 3 + 2 * standard_normal(30, 1, seed=1)
    scale = np.r_[x, y].std()
    found = two_sample_test(x, y, n_permutations=1).distance
    expected = stats.energy_distance(x[:, 0] / scale, y[:, 0] / scale)
    assert found == pytest.approx(expected)


def test_energy_distance_in_more_columns_is_its_formula():
    x, y = standard_normal(9, 3), 1 + standard_normal(7, 3, seed=1)
    scale = np.r_[x, y].std(axis=0)
    mean = lambda a, b: np.mean([[np.linalg.norm((p - q) / scale) for q in b] for p in a])
    found = two_sample_test(x * 100, y * 100, n_permutations=1).distance
    expected = 2 * mean(x, y) - mean(x, x) - mean(y, y)
    assert found**2 == pytest.approx(expected)


def test_equal_distributions_are_rejected_at_the_level_of_the_test():
    p_values = [
        two_sample_test(
            standard_normal(15, 2, seed=i),
            standard_normal(10, 2, seed=1000 + i),
            n_permutations=19,
            random_state=i,
        ).p_value
        for i in range(300)
    ]
    assert np.mean(np.array(p_values) <= 0.2) == pytest.approx(0.2, abs=0.08)


def test_different_distributions_are_found():
    x, y = standard_normal(200, 2), standard_normal(100, 2, seed=1)
    assert two_sample_test(x, y + 0.5, random_state=0).p_value == 0.001
    assert two_sample_test(x, 2 * y, random_state=0).p_value == 0.001
    dependent = y @ np.array([[1, 0.9], [0, 0.44]])
    assert two_sample_test(x, dependent, random_state=0).p_value < 0.01


def test_ties_are_no_evidence():
    found = two_sample_test(np.ones((5, 2)), np.ones((4, 2)), n_permutations=99)
    assert (found.distance, found.p_value) == (0, 1)
    assert "5 and 4 rows" in str(found)


def test_tables_of_different_width_are_refused():
    with pytest.raises(ValueError, match="2 columns and Y 3"):
        two_sample_test(np.ones((5, 2)), np.ones((5, 3)))


def test_differences_to_the_best_are_row_by_row():
    X = standard_normal(50, 2)
    near, far = Normal(0.1).fit(), Normal(1.0).fit()
    first, second = compare({"far": far, "near": near}, X).entries
    difference = far.score_samples(X) - near.score_samples(X)
    assert (first.name, second.name) == ("near", "far")
    assert (first.difference, first.difference_error) == (0, 0)
    assert second.difference == pytest.approx(difference.mean())
    assert second.difference_error == pytest.approx(difference.std(ddof=1) / 50**0.5)
    assert second.standard_error == pytest.approx(stats.sem(far.score_samples(X)))


def test_estimators_of_scikit_learn_are_compared_by_mean_log_density(chain):
    X = chain.data
    fitted = [KernelDensity().fit(X), GaussianMixture(2, random_state=0).fit(X)]
    found = {e.name: e.mean for e in compare(fitted, X).entries}
    expected = {type(e).__name__: mean_log_density(e, X) for e in fitted}
    assert found == pytest.approx(expected)


def test_weights_of_a_comparison_count_rows():
    X = standard_normal(30, 2)
    weight = np.r_[np.ones(20), np.zeros(10)]
    fitted = {"a": Normal(0.5).fit(), "b": Step(X[:20, 0].max()).fit()}
    weighted, subset = compare(fitted, X, weight), compare(fitted, X[:20])
    assert weighted == subset
    weight = np.linspace(0.1, 1, 30)
    scores = [d.score_samples(X) for d in (Normal().fit(), Normal(1.0).fit())]
    found = compare([Normal().fit(), Normal(1.0).fit()], X, weight).entries[1]
    assert found.mean == pytest.approx(np.average(scores[1], weights=weight))
    expected = np.average(scores[1] - scores[0], weights=weight)
    assert found.difference == pytest.approx(expected)
    assert weighted.n_samples == 20


def test_a_density_of_zero_is_last_and_counted():
    X = standard_normal(30, 2)
    fitted = {"zero": Step(-9.0).fit(), "half": Step().fit(), "all": Normal().fit()}
    found = compare(fitted, X)
    assert [e.name for e in found.entries] == ["all", "half", "zero"]
    assert [e.n_zero for e in found.entries] == [0, (X[:, 0] > 0).sum(), 30]
    assert found.entries[1].mean == found.entries[1].difference == -np.inf
    assert "zero at 30 rows" in str(found)
    del fitted["all"]
    assert np.isnan(compare(fitted, X).entries[1].difference)


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), PCA(whiten=True)])
def test_pipelines_are_compared_in_the_units_of_the_rows(scaler):
    """A normal density and its scaled copy are one density, whatever the units."""
    X = standard_normal(80, 2) * [10, 0.01] + [3, 4]
    plain = GaussianMixture(reg_covar=0).fit(X)
    scaled = make_density_pipeline(scaler, GaussianMixture(reg_covar=0)).fit(X)
    first, second = compare([plain, scaled], X).entries
    assert first.mean == pytest.approx(second.mean, abs=1e-6)


def test_plain_pipelines_are_refused():
    X = 10 * standard_normal(40, 2)
    scaled = make_pipeline(StandardScaler(), KernelDensity()).fit(X)
    with pytest.raises(TypeError, match="Use DensityPipeline with the same steps"):
        compare([scaled], X)


def test_pipelines_of_named_columns_keep_the_names():
    frame = pd.DataFrame(standard_normal(40, 2), columns=["a", "b"])
    pipeline = make_density_pipeline(StandardScaler(), KernelDensity())
    pipeline.set_output(transform="pandas").fit(frame)
    expected = mean_log_density(pipeline, frame)
    assert compare([pipeline], frame).entries[0].mean == pytest.approx(expected)


def test_comparisons_print_and_become_frames():
    X = standard_normal(40, 2)
    found = compare([Normal().fit(), Normal(1.0).fit()], X)
    assert str(found).splitlines()[2].endswith("best")
    frame = found.to_frame()
    assert frame.index.tolist() == ["Normal", "Normal (2)"]
    assert frame.loc["Normal (2)", "difference"] == found.entries[1].difference


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(TypeError, match="got KernelDensity"):
        compare(KernelDensity(), np.ones((3, 1)))
    with pytest.raises(TypeError, match=r"compare \('scaler'\) needs"):
        compare({"scaler": StandardScaler()}, np.ones((3, 1)))
    with pytest.raises(ValueError, match="empty"):
        compare([], np.ones((3, 1)))

import numpy as np
import pytest
from conftest import standard_normal
from scipy import stats
from sklearn.neighbors import KernelDensity

from skdiffusion.metrics import (
    integration_error,
    mean_log_density,
    paired_difference,
    total_variation,
)


def test_paired_difference_estimates_a_known_divergence():
    x = standard_normal(40_000, 1)[:, 0]
    truth, model = stats.norm.logpdf(x), stats.norm.logpdf(x, 0.5)
    difference = paired_difference(truth, model)
    assert difference.mean == pytest.approx(0.125, abs=4 * difference.standard_error)
    assert difference.standard_error == pytest.approx(0.5 / 200, rel=0.05)


def test_standard_error_is_that_of_a_mean():
    a = standard_normal(7, 1)[:, 0]
    found = paired_difference(a, np.zeros(7))
    assert found.standard_error == pytest.approx(a.std(ddof=1) / np.sqrt(7))


def test_weights_of_a_paired_difference_count_rows():
    a, b = standard_normal(30, 1)[:, 0], standard_normal(30, 1, seed=1)[:, 0]
    weight = np.r_[np.ones(20), np.zeros(10)]
    weighted, subset = (
        paired_difference(a, b, weight),
        paired_difference(a[:20], b[:20]),
    )
    assert weighted.mean == pytest.approx(subset.mean)
    assert weighted.standard_error == pytest.approx(subset.standard_error)


def test_total_variation_of_two_normals():
    x = standard_normal(200_000, 1)[:, 0]
    found = total_variation(stats.norm.logpdf(x), stats.norm.logpdf(x, 1))
    assert found == pytest.approx(2 * stats.norm.cdf(0.5) - 1, abs=0.005)


def test_integration_error_falls_with_steps_and_leaves_the_estimator_alone(fitted, chain):
    n_steps = fitted.n_steps
    fine = integration_error(fitted, chain.data[:50])
    fitted.set_params(n_steps=5)
    coarse = integration_error(fitted, chain.data[:50])
    fitted.set_params(n_steps=n_steps)
    assert coarse.rms > 5 * fine.rms > 0
    assert coarse.largest >= coarse.rms


def test_integration_error_compares_with_the_finer_grid(fitted, chain):
    X = chain.data[:30]
    steps = fitted.n_steps
    coarse = fitted.set_params(n_steps=3).score_samples(X)
    found = integration_error(fitted, X)
    difference = coarse - fitted.set_params(n_steps=30).score_samples(X)
    fitted.set_params(n_steps=steps)
    assert found.mean_per_column == pytest.approx(difference.mean() / 3)
    assert found.rms == pytest.approx(np.sqrt((difference**2).mean()))
    assert found.largest == pytest.approx(np.abs(difference).max())


def test_integration_error_needs_steps():
    kde = KernelDensity().fit(standard_normal(5, 1))
    with pytest.raises(TypeError, match="KernelDensity has no parameter n_steps"):
        integration_error(kde, standard_normal(5, 1))


def test_weights_are_respected_by_the_scorer():
    kde = KernelDensity().fit(standard_normal(20, 1))
    X = np.array([[0.0], [3.0]])
    found = mean_log_density(kde, X, sample_weight=[3, 1])
    expected = np.average(kde.score_samples(X), weights=[3, 1])
    assert found == pytest.approx(expected)


def test_rows_must_match():
    with pytest.raises(ValueError, match="equal length"):
        paired_difference(np.zeros(5), np.ones(1))
    with pytest.raises(ValueError, match="NaN"):
        paired_difference(np.zeros(2), np.array([0.0, np.nan]))


def test_density_zero_is_infinitely_far():
    assert paired_difference(np.zeros(2), np.array([0.0, -np.inf])).mean == np.inf
    assert total_variation(np.zeros(2), np.array([0.0, -np.inf])) == 0.5


def test_rows_of_weight_zero_do_not_count():
    found = paired_difference([0.0, 0.0], [1.0, -np.inf], [1.0, 0.0])
    assert found.mean == -1
    X = np.array([[0.0], [0.1], [9.0]])
    tophat = KernelDensity(kernel="tophat").fit(X[:2])
    score = mean_log_density(tophat, X, sample_weight=[1, 1, 0])
    assert score == pytest.approx(tophat.score_samples(X[:2]).mean())

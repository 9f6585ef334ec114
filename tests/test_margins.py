import numpy as np
import pytest
from conftest import standard_normal
from scipy.stats import multivariate_normal, norm

from skdiffusion.datasets import make_heavy_tails
from skdiffusion.margins import MIN_GAIN, InverseSinh, Standardization, _gain


@pytest.fixture
def rows():
    return standard_normal(50, 3) * [1e-8, 1.0, 1e8] + [1e-7, -3.0, 1e9]


def test_rows_become_standard_and_come_back(rows):
    margins = Standardization.fit(rows, np.ones(50))
    Z = margins.forward(rows)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(Z.std(axis=0), 1)
    np.testing.assert_allclose(margins.inverse(Z), rows)


def test_log_derivative_matches_finite_differences(rows):
    """Catches a missing or doubled Jacobian."""
    margins = Standardization.fit(rows, np.ones(50))
    step = 1e-3 * rows.std(axis=0)
    slope = (margins.forward(rows + step) - margins.forward(rows - step)) / (2 * step)
    expected = np.log(slope).sum(axis=1)
    np.testing.assert_allclose(margins.log_derivative(rows), expected, rtol=1e-6)


def test_weight_two_is_a_row_twice(rows):
    weight = np.ones(50)
    weight[:10] = 2
    weighted = Standardization.fit(rows, weight)
    repeated = Standardization.fit(np.vstack([rows, rows[:10]]), np.ones(60))
    np.testing.assert_allclose(weighted.mean, repeated.mean)
    np.testing.assert_allclose(weighted.scale, repeated.scale)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -1e8, 1e-300])
def test_constant_column_has_scale_one_and_maps_to_zero(value):
    X = np.column_stack([np.full(7, value), np.arange(7.0)])
    margins = Standardization.fit(X, np.ones(7))
    assert margins.constant.tolist() == [True, False]
    assert margins.scale[0] == 1
    assert (margins.forward(X)[:, 0] == 0).all()


def test_huge_values_do_not_overflow():
    X = standard_normal(20, 1) * 1e300
    margins = Standardization.fit(X, np.ones(20))
    assert np.isfinite(margins.scale).all()
    np.testing.assert_allclose(margins.forward(X).std(), 1)


def test_gradient_follows_the_chain_rule(rows):
    margins = Standardization.fit(rows, np.ones(50))
    gradient = margins.pull_back_gradient(rows, np.ones((50, 3)))
    np.testing.assert_allclose(gradient, 1 / rows.std(axis=0) * np.ones((50, 3)))


@pytest.fixture
def bent():
    """A heavy-tailed, a lognormal and a normal column, far from standard units."""
    heavy = make_heavy_tails(2000, 1, df=2, random_state=0).data
    skewed = np.exp(standard_normal(2000, 1, seed=1))
    X = np.hstack([heavy, skewed, standard_normal(2000, 1, seed=2)])
    X = X * [1e-6, 1e5, 3.0] + [1e-6, -1e6, 2.0]
    return X, InverseSinh.fit(X, np.ones(len(X)))


def test_only_columns_with_heavy_tails_or_skewness_are_bent(bent):
    _, margins = bent
    assert np.isfinite(margins.width).tolist() == [True, True, False]


def test_groups_are_not_tails():
    """Skewed by a far group: a bend would squeeze the group."""
    far = standard_normal(200, 1) + np.where(np.arange(200) < 50, 12, 0)[:, None]
    assert np.isinf(InverseSinh.fit(far, np.ones(200)).width).all()


def test_linear_relations_are_not_broken():
    """A skewed column stays straight if it is the sum of two normal-looking ones."""
    skewed = np.exp(standard_normal(500, 1))
    normal = 5 * standard_normal(500, 1, seed=1)
    X = np.hstack([skewed, normal, skewed - normal + 0.01 * standard_normal(500, 1, 2)])
    assert np.isinf(InverseSinh.fit(X, np.ones(500)).width).all()
    assert np.isfinite(InverseSinh.fit(X[:, :1], np.ones(500)).width).all()


def test_columns_that_are_skewed_alike_are_bent_together():
    """One alone would lose its relation to the other."""
    log = standard_normal(2000, 1) + 0.1 * standard_normal(2000, 2, seed=1)
    margins = InverseSinh.fit(np.exp(1.2 * log), np.ones(2000))
    assert np.isfinite(margins.width).all()


def test_gain_of_a_bend_is_that_of_the_log_likelihood():
    """Of a normal distribution of the column, and of all columns together."""
    X = standard_normal(300, 2) ** 3 @ [[1.0, 0.5], [0.0, 1.0]]
    z, share = (X[:, 0] - X[:, 0].mean()) / X[:, 0].std(), np.full(300, 1 / 300)
    bent = np.arcsinh((z - 0.1) / 0.7)
    slope = 1 / (0.7 * np.hypot(1, (z - 0.1) / 0.7))
    after = norm.logpdf(bent, bent.mean(), bent.std()) + np.log(slope)
    expected = (after - norm.logpdf(z)).mean()
    assert _gain(z, share, 0.1, 0.7) == pytest.approx(expected)

    def mean_log_likelihood(margins):
        Z = margins.forward(X)
        law = multivariate_normal(Z.mean(axis=0), np.cov(Z.T, bias=True))
        return law.logpdf(Z).mean() + margins.log_derivative(X).mean()

    straight, curved = (
        InverseSinh._with(X, np.ones(300), None, 0.0, w) for w in (np.inf, 0.7)
    )
    found, expected = (
        f(curved) - f(straight)
        for f in (lambda m: m._fit_of_normal(X, share), mean_log_likelihood)
    )
    assert found == pytest.approx(expected, rel=1e-3)


def test_every_bend_must_gain_enough(monkeypatch):
    """Catches two bends that together gain as much as one should."""
    X = standard_normal(100, 2)
    straight = InverseSinh._with(X, np.ones(100), None, 0.0, np.inf)
    gain = 1.5 * MIN_GAIN
    monkeypatch.setattr(
        InverseSinh, "_fit_of_normal", lambda m, *_: gain * np.isfinite(m.width).any()
    )
    bends = [([0], 0.0, 1.0), ([1], 0.0, 1.0)]
    assert straight._bent_if_better(X, np.ones(100), None, bends[:1]) is not straight
    assert straight._bent_if_better(X, np.ones(100), None, bends) is straight


def test_bent_columns_become_standard_and_come_back(bent):
    X, margins = bent
    Z = margins.forward(X)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(Z.std(axis=0), 1)
    np.testing.assert_allclose(margins.inverse(Z), X, rtol=1e-9)
    assert np.abs(Z).max() < 7 < np.abs((X - X.mean(axis=0)) / X.std(axis=0)).max()


def test_bent_log_derivative_and_gradient_match_finite_differences(bent):
    """Catches a missing slope of arsinh, in the density or in its gradient."""
    X, margins = bent
    X = X[np.abs(margins.forward(X)).max(axis=1) < 3][:50]
    step = 1e-5 * X.std(axis=0)

    def along(function, j):
        moved = step * np.eye(3)[j]
        return (function(X + moved) - function(X - moved)) / (2 * step[j])

    slopes = [along(lambda X, j=j: margins.forward(X)[:, j], j) for j in range(3)]
    expected = np.log(slopes).sum(axis=0)
    np.testing.assert_allclose(margins.log_derivative(X), expected, rtol=1e-6)

    def log_density(X):
        return -0.5 * (margins.forward(X) ** 2).sum(axis=1) + margins.log_derivative(X)

    numeric = np.column_stack([along(log_density, j) for j in range(3)])
    gradient = margins.pull_back_gradient(X, -margins.forward(X))
    scale = X.std(axis=0)
    np.testing.assert_allclose(gradient * scale, numeric * scale, rtol=1e-4, atol=1e-5)


def test_scale_and_shift_do_not_change_the_bent_columns(bent):
    X, margins = bent
    moved = InverseSinh.fit(1e3 * X - 5, np.ones(len(X)))
    np.testing.assert_allclose(moved.forward(1e3 * X - 5), margins.forward(X), atol=1e-6)


def test_weight_two_is_a_row_twice_for_bent_columns(bent):
    X, weight = bent[0][:300], np.ones(300)
    weight[:100] = 2
    weighted = InverseSinh.fit(X, weight)
    repeated = InverseSinh.fit(np.vstack([X, X[:100]]), np.ones(400))
    np.testing.assert_allclose(weighted.width, repeated.width)
    np.testing.assert_allclose(weighted.scale, repeated.scale)


def test_alike_columns_have_one_bend(bent):
    margins = InverseSinh.fit(bent[0][:, [1, 1]] * [1, 1.5], np.ones(2000), ["a", "a"])
    assert len(set(margins.width)) == len(set(margins.location)) == 1
    assert np.isfinite(margins.width).all()


@pytest.mark.parametrize("n_zeros", [1000, 1999])
def test_ties_give_finite_maps(n_zeros):
    """Most values tied leave no middle to measure a width by."""
    X = np.r_[np.zeros(n_zeros), 1 + np.arange(2000.0 - n_zeros) ** 2][:, None]
    margins = InverseSinh.fit(X, np.ones(2000))
    Z = margins.forward(X)
    assert np.isfinite(Z).all()
    np.testing.assert_allclose(margins.inverse(Z), X, atol=1e-6)

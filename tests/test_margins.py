import numpy as np
import pytest
from conftest import standard_normal

from skdiffusion.margins import Standardization


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

import numpy as np
import pytest
from conftest import standard_normal

from skdiffusion.whitening import MIN_SCALE, regress, regress_alike


def test_regression_recovers_a_linear_law():
    context = standard_normal(2000, 2)
    z = 0.5 + context @ [0.6, -0.3] + 0.2 * standard_normal(2000, 1, seed=1)[:, 0]
    fit = regress(z, context, np.ones(2000))
    np.testing.assert_allclose(fit.coef, [0.6, -0.3], atol=0.02)
    assert fit.intercept == pytest.approx(0.5, abs=0.02)
    assert fit.scale == pytest.approx(0.2, rel=0.05)
    assert not fit.determined


def test_scale_is_the_error_on_fresh_rows_when_columns_outnumber_rows():
    """Catches a scale from training residuals, which nearly vanish here."""
    context, z = standard_normal(15, 29), standard_normal(15, 1, seed=1)[:, 0]
    fit = regress(z, context, np.ones(15))
    fresh_context = standard_normal(4000, 29, seed=2)
    fresh = standard_normal(4000, 1, seed=3)[:, 0]
    error = fresh - fit.intercept - fresh_context @ fit.coef
    assert 0.6 < fit.scale / error.std() < 1.6


def test_weights_choose_the_rows():
    context = standard_normal(400, 1)
    slope = np.where(np.arange(400) < 200, 1.0, -1.0)
    z = slope * context[:, 0]
    weight = np.where(np.arange(400) < 200, 1.0, 1e-9)
    fit = regress(z, context, weight / weight.mean())
    assert fit.coef[0] == pytest.approx(1.0, abs=0.01)


def test_duplicated_column_is_determined_and_keeps_a_floor():
    z = standard_normal(100, 1)[:, 0]
    fit = regress(z, z[:, None], np.ones(100))
    assert fit.determined
    assert fit.scale == MIN_SCALE


def test_column_without_context_is_centred():
    z = standard_normal(100, 1)[:, 0] + 1
    fit = regress(z, np.zeros((100, 0)), np.ones(100))
    assert fit.intercept == pytest.approx(z.mean())
    assert fit.scale == pytest.approx(z.std())


def test_scale_without_context_is_weighted():
    z = np.r_[np.full(50, -1.0), np.full(50, 3.0)]
    weight = np.r_[np.full(50, 1.5), np.full(50, 0.5)]
    fit = regress(z, np.zeros((100, 0)), weight)
    assert fit.intercept == pytest.approx(0.0)
    assert fit.scale == pytest.approx(np.sqrt(3.0))


def test_scale_leaves_the_row_itself_out():
    """With a third as many columns as rows, training residuals are far too small."""
    context = standard_normal(90, 30)
    z = context.sum(axis=1) + standard_normal(90, 1, seed=1)[:, 0]
    fit = regress(z, context, np.ones(90))
    training_residual = (z - fit.intercept - context @ fit.coef).std()
    assert training_residual < 0.9
    assert 1.0 < fit.scale < 1.6


def test_alike_families_are_one_regression_of_all_their_rows():
    """Catches weights that go with the wrong rows."""
    rng = np.random.RandomState(0)
    Z, weight = rng.standard_normal((60, 4)), rng.exponential(size=60)
    weight /= weight.mean()
    families, kinds = [(1, (0,)), (2, ()), (3, (2,))], [0, 1, 0]
    found = regress_alike(Z, weight, families, kinds, constant_scale=0.1)
    rows, context = np.r_[Z[:, 1], Z[:, 3]], np.r_[Z[:, [0]], Z[:, [2]]]
    expected = regress(rows, context, np.r_[weight, weight])
    assert found[0] is found[2]
    np.testing.assert_allclose(found[0].coef, expected.coef)
    assert found[0].scale == pytest.approx(expected.scale)
    assert found[1].coef.shape == (0,)

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdiffusion.transformers import LogitTransformer, LogTransformer, MonotoneTransformer

X = np.array([[0.1, -5.0, 0.3], [0.9, 7.0, 0.5], [0.4, 0.0, 0.2], [0.7, 1.0, 0.6]])


def log_slope(x):
    return -np.log(np.hypot(x, 1.0))


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([LogTransformer(low=-1e4), LogitTransformer(-1e4, 1e4)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("columns", [[0, 2], ["a", "c"], np.array([2, 0]), ("c", 0)])
def test_only_chosen_columns_change(columns):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    log = LogTransformer(columns).fit(frame)
    expected = np.c_[np.log(X[:, 0]), X[:, 1], np.log(X[:, 2])]
    np.testing.assert_allclose(log.transform(frame), expected)
    np.testing.assert_allclose(log.inverse_transform(expected), X)
    log_det = -np.log(X[:, 0]) - np.log(X[:, 2])
    np.testing.assert_allclose(log.log_abs_det_jacobian(frame), log_det)
    assert (log.log_derivative(frame)[:, 1] == 0).all()
    assert list(log.set_output(transform="pandas").transform(frame)) == ["a", "b", "c"]


def test_bounds_go_with_the_columns_in_the_order_they_are_chosen():
    logit = LogitTransformer(low=[-6, 0], high=[8, 1], columns=[1, 0]).fit(X)
    z = np.log((X[:, 1] + 6) / (8 - X[:, 1]))
    np.testing.assert_allclose(logit.transform(X)[:, 1], z)
    np.testing.assert_allclose(logit.inverse_transform(logit.transform(X)), X)


@pytest.mark.parametrize(
    "step",
    [LogTransformer(low=1e6), LogTransformer(), LogitTransformer(1e6, 1e6 + 1)],
)
def test_rows_of_extreme_images_lie_inside_the_support(step):
    """Catches rounding to a bound, where the density is zero."""
    rows = step.low + np.array([[0.25], [0.5]])
    step.fit(rows)
    z = np.array([[-1000.0], [-50.0], [50.0], [700.0]])
    back = step.inverse_transform(z)
    assert np.isfinite(step.log_abs_det_jacobian(back)).all()
    assert np.isfinite(step.transform(back)).all()


def test_logits_are_accurate_near_both_bounds():
    logit = LogitTransformer().fit(X[:, :1])
    z = np.array([[-30.0], [-1.0], [1.0], [30.0]])
    np.testing.assert_allclose(logit.transform(logit.inverse_transform(z)), z, atol=1e-2)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (LogTransformer("d"), "the name 'd', but X has no names.*set_output"),
        (LogTransformer([3]), "no column 3; positions are 0 to 2"),
        (LogTransformer([0, 0]), "none of them twice"),
        (LogTransformer([]), "at least one column"),
        (LogTransformer(low=[0, 1]), "one for each of the 3"),
        (LogTransformer(low=np.inf), "low must be a finite number"),
        (LogitTransformer(1, 0), "low must be less than high"),
        (LogitTransformer(), "column 1 must be between 0 and 1"),
        (LogTransformer(), "column 1 must be greater than 0, got 2 other"),
    ],
)
def test_wrong_parameters_and_rows_are_refused(step, reason):
    with pytest.raises(ValueError, match=reason):
        step.fit(X)


def test_columns_of_a_wrong_type_are_refused():
    with pytest.raises(TypeError, match="name or position, got True of type bool"):
        LogTransformer([True]).fit(X)


def test_unknown_names_are_refused_with_the_known_ones():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    with pytest.raises(ValueError, match="named 'd'; there are 'a', 'b', 'c'"):
        LogTransformer(["a", "d"]).fit(frame)


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(n_samples, 3\), got shape \(4, 2\)"):
        LogTransformer(0).fit(X).inverse_transform(X[:, :2])


@pytest.mark.parametrize(
    ("functions", "reason"),
    [
        ((np.arcsinh, np.arcsinh, log_slope), "inverse_func is not the inverse"),
        ((np.arcsinh, np.sinh, lambda x: -log_slope(x)), "median difference"),
        ((np.arcsinh, np.sinh, lambda x: np.exp(log_slope(x))), "median difference"),
        ((np.arcsinh, np.sinh, lambda x: log_slope(x).sum(axis=1)), "log_slope must"),
        ((np.square, np.sqrt, lambda x: np.log(2 * np.abs(x))), "must be monotone"),
    ],
)
def test_functions_that_do_not_belong_together_are_refused(functions, reason):
    rows = np.random.RandomState(0).standard_normal((50, 2))
    with pytest.raises(ValueError, match=reason):
        MonotoneTransformer(*functions).fit(rows)


def test_functions_must_be_callable():
    with pytest.raises(TypeError, match="inverse_func must be callable, got None"):
        MonotoneTransformer(np.arcsinh, None, log_slope).fit(X)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_functions_that_belong_together_are_accepted_at_any_scale(scale):
    rows = np.random.RandomState(0).lognormal(0, 3, size=(100, 2)) * scale
    log = MonotoneTransformer(np.log, np.exp, lambda x: -np.log(x)).fit(rows)
    same = LogTransformer().fit(rows)
    np.testing.assert_allclose(log.transform(rows), same.transform(rows))
    outside = log.log_abs_det_jacobian([[-1.0, scale], [scale, scale]])
    np.testing.assert_array_equal(np.isfinite(outside), [False, True])
    with pytest.raises(ValueError, match="column 1 must be where log_slope is finite"):
        log.transform([[1.0, -1.0]])

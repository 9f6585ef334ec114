"""Normal scores of columns, and when they are used."""

import numpy as np
import pytest
from conftest import standard_normal
from scipy.special import ndtri
from scipy.stats import norm

from skdiffusion import FactorizedDiffusionDensity, normal_scores
from skdiffusion.margin_choice import held_out_log_density, normal_scores_help
from skdiffusion.margins import InverseSinh
from skdiffusion.normal_scores import (
    WIDTH,
    Curve,
    NormalScores,
    _apart,
    _between_rows,
    _levels,
)


def tables():
    random = np.random.RandomState(0)
    return {
        "skewed": random.exponential(size=(500, 1)),
        "bounded": random.beta(0.7, 2.0, size=(500, 1)),
        "heavy": random.standard_cauchy((500, 1)),
        "ties": random.randint(0, 4, (300, 1)).astype(float),
        "zeros": np.r_[np.zeros(250), random.exponential(size=50)][:, None],
        "rare": (np.arange(4000) < 2).astype(float)[:, None],
        "ties up to rounding": np.r_[
            random.choice([0.3, 0.1 * 3], 300), random.standard_normal(200)
        ][:, None],
        "two values": np.array([[0.0], [1.0]]),
        "tiny": 1e-8 * random.standard_normal((100, 1)),
        "huge": 1e8 * random.standard_normal((100, 1)) + 1e9,
    }


@pytest.fixture(params=tables())
def mapped(request):
    """A column, its map, and rows inside and far outside of it."""
    X = tables()[request.param]
    low, high, width = X.min(), X.max(), np.ptp(X)
    far = np.array([[low - 3 * width], [high + 3 * width], [high + 1e3 * width]])
    return X, NormalScores.fit(X, np.ones(len(X))), np.r_[X, far]


def test_rows_come_back(mapped):
    X, margins, rows = mapped
    back = margins.inverse(margins.forward(rows))
    np.testing.assert_allclose(back, rows, rtol=1e-9, atol=1e-9 * np.ptp(X))


def test_log_derivative_is_that_of_small_differences(mapped):
    """The slope is positive everywhere."""
    X, margins, rows = mapped
    step = 1e-6 * np.ptp(X)
    slope = (margins.forward(rows + step) - margins.forward(rows - step)) / (2 * step)
    np.testing.assert_allclose(margins.log_derivatives(rows), np.log(slope), atol=1e-4)


def test_gradient_is_pulled_back(mapped):
    """Against small differences of the log-density of normal z, between the knots."""
    X, margins, _ = mapped
    rows = np.linspace(X.min(), X.max(), 41)[:-1, None] + 0.0123 * np.ptp(X)
    step = 1e-6 * np.ptp(X)

    def log_density(x):
        return norm.logpdf(margins.forward(x)[:, 0]) + margins.log_derivative(x)

    expected = (log_density(rows + step) - log_density(rows - step)) / (2 * step)
    actual = margins.pull_back_gradient(rows, -margins.forward(rows))[:, 0]
    scale = np.abs(expected).max()
    close = np.isclose(actual, expected, rtol=1e-3, atol=1e-3 * scale)
    # a difference across a knot, where the curve bends, says nothing
    assert close.mean() > 0.9


def test_scores_are_those_of_the_smoothed_distribution():
    """With kernels of twice Silverman's width, at a few points of many."""
    X = standard_normal(2000, 1) ** 3
    margins = NormalScores.fit(X, np.ones(2000))
    u = InverseSinh.fit(X, np.ones(2000)).forward(X)
    low, high = np.quantile(u, [0.25, 0.75])
    width = WIDTH * 0.9 * min(u.std(), (high - low) / 1.349) * 2000**-0.2
    at = np.quantile(u, [0.02, 0.2, 0.5, 0.9, 0.98])
    expected = ndtri(norm.cdf((at[:, None] - u.T) / width).mean(axis=1))
    actual = margins.curves[0].value(at)
    np.testing.assert_allclose(actual, expected, atol=0.01)


def test_a_normal_column_stays_nearly_as_it_is():
    X = standard_normal(5000, 1)
    z = NormalScores.fit(X, np.ones(5000)).forward(X)[:, 0]
    assert np.corrcoef(z, X[:, 0])[0, 1] > 0.999


def test_weights_count_like_repeated_rows():
    X = standard_normal(200, 1)
    weight = np.where(np.arange(200) < 50, 3.0, 1.0)
    weighted = NormalScores.fit(X, weight)
    repeated = NormalScores.fit(np.vstack([X, X[:50], X[:50]]), np.ones(300))
    grid = np.linspace(-2, 2, 50)[:, None]
    np.testing.assert_allclose(weighted.forward(grid), repeated.forward(grid), atol=0.15)
    plain = NormalScores.fit(X, np.ones(200)).forward(grid)
    assert np.abs(weighted.forward(grid) - plain).max() > 0.05


def test_levels_and_quantiles_are_in_the_middle_of_their_rows():
    """Catches columns that are moved by half a row."""
    assert _levels(4).tolist() == [0.125, 0.375, 0.625, 0.875]
    u, weight = np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 1.0])
    quantiles = _between_rows(u, weight, np.array([0.25, 0.625, 0.875]))
    assert quantiles.tolist() == [1.0, 2.0, 3.0]


def test_kernels_are_as_wide_as_the_effective_number_of_rows_says(monkeypatch):
    seen = []
    monkeypatch.setattr(normal_scores, "_silverman", lambda u, n: seen.append(n) or 0.3)
    NormalScores.fit(standard_normal(100, 1), np.repeat([1.0, 1e-9], 50))
    assert seen == [pytest.approx(50)]


def test_a_far_row_of_no_weight_does_not_count():
    X = np.r_[standard_normal(300, 1) ** 3, [[1e6]]]
    weight = np.r_[np.ones(300), 1e-9]
    grid = np.linspace(-3, 3, 50)[:, None]
    actual = NormalScores.fit(X, weight).forward(grid)
    expected = NormalScores.fit(X[:300], np.ones(300)).forward(grid)
    np.testing.assert_allclose(actual, expected, atol=0.05)


def test_constant_columns_stay_constant():
    X = np.column_stack([np.full(50, 3.0), standard_normal(50, 1)])
    margins = NormalScores.fit(X, np.ones(50))
    assert margins.constant.tolist() == [True, False]
    np.testing.assert_array_equal(margins.forward_training(X)[:, 0], 0)


@pytest.mark.parametrize("n", [2000, 3000, 4000, 5000, 10_000])
def test_a_value_that_is_rare_does_not_move_farther_out(n):
    """Catches kernels that all stand on one value, or next to it, and are too narrow."""
    for place in (0, n // 3, n - 1):
        x = np.zeros((n, 1))
        x[place] = 1
        margins = NormalScores.fit(x, np.ones(n))
        standard = margins.first.forward(x)
        assert np.abs(margins.forward(x)).max() <= np.abs(standard).max()


@pytest.mark.parametrize("rare", [0.3, 0.1, 0.01, 1e-6, 1e-9])
def test_a_row_of_little_weight_does_not_move_farther_out(rare):
    x = np.zeros((400, 1))
    x[7] = 1
    weight = np.where(x[:, 0] == 1, rare, 1.0)
    margins = NormalScores.fit(x, weight)
    standard = margins.first.forward(x)
    assert np.abs(margins.forward(x)).max() <= np.abs(standard).max()


def test_values_that_are_often_enough_get_their_scores():
    """Also where most rows have one value: those of ten in ten thousand rows."""
    x = np.zeros((10_000, 1))
    x[:10] = 1
    scores = NormalScores.fit(x, np.ones(10_000)).forward([[0.0], [1.0]])
    assert scores[0, 0] == pytest.approx(0, abs=0.01)
    assert scores[1, 0] == pytest.approx(3.2, abs=0.2)


def test_points_of_a_curve_are_apart():
    points = np.array([0.0, 0.05, 0.2, 0.25, 0.9, 1.0])
    assert _apart(points, 0.15).tolist() == [0.0, 0.2, 1.0]
    assert _apart(points[:2], 0.15).tolist() == [0.0, 0.05]


def test_alike_columns_share_their_curve():
    X = np.random.RandomState(0).exponential(size=(200, 2)) * [1, 2]
    margins = NormalScores.fit(X, np.ones(200), ["a", "a"])
    assert margins.curves[0] is margins.curves[1]


def test_a_curve_goes_on_straight():
    curve = Curve(np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 3.0]))
    x = np.array([-5.0, -1.0, 4.0, 9.0])
    slope = curve.slope(x)
    assert slope[0] == slope[1] > 0
    assert slope[2] == slope[3] > 0
    np.testing.assert_allclose(np.diff(curve.value(x))[[0, 2]], [4, 5] * slope[[0, 2]])
    np.testing.assert_array_equal(curve.bend(x), 0)
    np.testing.assert_allclose(curve.inverse(curve.value(x)), x)


def skewed(n=600):
    log = standard_normal(n, 2) @ [[1.0, 0.6], [0.0, 0.8]]
    return np.exp(log) / (1 + np.exp(log)) ** 0.5


def separated(n=600):
    z = standard_normal(n, 2)
    z[: n // 2, 0] += 6
    z[::2, 1] -= 6
    return z


FAMILIES = [(0,), (1, 0)]


def test_skewed_columns_get_normal_scores_and_separated_ones_do_not():
    assert normal_scores_help(skewed() ** 3, np.ones(600), FAMILIES, 0.03)
    assert not normal_scores_help(separated(), np.ones(600), FAMILIES, 0.03)


def test_held_out_log_density_is_in_data_units():
    """Of correlated normal columns, whatever their units, and with a little noise."""
    X = standard_normal(4000, 2) @ [[1.0, 0.6], [0.0, 0.8]]
    parts = [(part * [10.0, 0.1], np.ones(2000)) for part in (X[:2000], X[2000:])]
    for kind in (InverseSinh, NormalScores):
        actual = held_out_log_density(kind, *parts, FAMILIES, 1e-6, 0).mean()
        law = -np.log(2 * np.pi) - 1 - np.log(0.8)
        assert actual == pytest.approx(law, abs=0.05)
    noisy = held_out_log_density(InverseSinh, *parts, FAMILIES, 2.0, 0).mean()
    # noise twice as wide as the residuals makes their variance five times as large
    expected = -np.log(2 * np.pi) - np.log(0.8) - np.log(5) - 0.2
    assert noisy == pytest.approx(expected, abs=0.05)


def quick(**options):
    defaults = {"max_iter": 100, "max_iter_likelihood": 0, "random_state": 0}
    return FactorizedDiffusionDensity(**defaults | options)


@pytest.mark.parametrize(
    ("given", "table", "kind"),
    [
        ("auto", skewed() ** 3, NormalScores),
        ("auto", separated(), InverseSinh),
        (False, skewed() ** 3, InverseSinh),
        (True, separated(), NormalScores),
    ],
)
def test_the_estimator_uses_what_it_says(given, table, kind):
    model = quick(normal_scores=given).fit(table)
    assert type(model.margins_) is kind


def test_a_density_after_normal_scores_integrates_to_one():
    X = tables()["bounded"]
    model = quick(normal_scores=True, max_iter=300).fit(X)
    x = model.margins_.inverse(np.linspace(-12, 12, 20_001)[:, None])
    mass = np.trapezoid(np.exp(model.score_samples(x)), x[:, 0])
    assert mass == pytest.approx(1, abs=1e-3)


def test_samples_after_normal_scores_follow_the_density():
    X = skewed()
    model = quick(normal_scores=True).fit(X)
    noise = standard_normal(50, 2)
    model.n_steps = 100
    np.testing.assert_allclose(
        model.to_normal(model.from_normal(noise)), noise, atol=1e-3
    )


def test_a_warm_start_keeps_its_margins():
    model = quick(normal_scores=True, warm_start=True).fit(skewed())
    with pytest.raises(ValueError, match="normal_scores changed"):
        model.set_params(normal_scores=False).fit(skewed())


def test_what_normal_scores_may_be():
    with pytest.raises(TypeError, match="normal_scores must be True or False or 'auto'"):
        quick(normal_scores=2).fit(standard_normal(20, 2))
    with pytest.raises(ValueError, match="Did you mean 'auto'"):
        quick(normal_scores="Auto").fit(standard_normal(20, 2))

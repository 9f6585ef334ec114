"""Displays hold the numbers they draw; the oracle is the estimator itself."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from conftest import standard_normal
from matplotlib.path import Path
from matplotlib.text import Annotation
from scipy import integrate, stats
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from skdiffusion import FactorizedDiffusionDensity, KernelScoreDensity
from skdiffusion.displays import (
    DensityDisplay,
    FlowDisplay,
    GraphDisplay,
    PairsDisplay,
    ProbabilityIntegralDisplay,
    TrainingDisplay,
)
from skdiffusion.displays._layout import colours_of_groups, layout, outline


class Shifted(BaseEstimator):
    """Standard normal density whose transform is exact for rows shifted by `shift`."""

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def to_normal(self, X):
        return np.asarray(X) - self.shift


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def frame():
    X = standard_normal(60, 3) * [1, 10, 0.1] + [0, 5, 0]
    return pd.DataFrame(X, columns=["dose", "level", "effect"])


@pytest.fixture(scope="module")
def kde(frame):
    return KernelDensity(bandwidth=0.5).fit(frame)


@pytest.fixture(scope="module")
def kernel_scores(frame):
    graph = nx.DiGraph([("dose", "effect"), ("level", "effect")])
    return KernelScoreDensity(graph, bandwidth=0.4).fit(frame)


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_curve_is_the_density():
    X = standard_normal(50, 1)
    density = GaussianMixture(2, random_state=0).fit(X)
    display = DensityDisplay.from_estimator(density, X)
    x, y = display.line_.get_data()
    np.testing.assert_allclose(y, np.exp(density.score_samples(x[:, None])))
    assert x.min() < X.min() < X.max() < x.max()
    assert integrate.trapezoid(y, x) == pytest.approx(1, abs=0.02)
    assert display.ax_.get_ylabel() == "density (per unit of x0)"
    assert legend_of(display.ax_) == ["data (50 rows)", "density"]


def test_contours_are_the_density_the_right_way_round():
    """Catches a transposed grid: the columns differ in scale and place."""
    X = standard_normal(40, 2) * [1, 10] + [0, 50]
    density = GaussianMixture(random_state=0).fit(X)
    display = DensityDisplay.from_estimator(density, X, grid_resolution=30)
    point = [[display.grid[0][7], display.grid[1][21]]]
    assert display.density[7, 21] == pytest.approx(np.exp(density.score_samples(point)))
    peak = np.unravel_index(display.density.argmax(), display.density.shape)
    step = [np.diff(g)[0] for g in display.grid]
    for value, mean, h in zip(
        [g[k] for g, k in zip(display.grid, peak, strict=True)],
        density.means_[0],
        step,
        strict=True,
    ):
        assert abs(value - mean) <= h
    assert display.ax_.get_xlim()[1] < 10 < display.ax_.get_ylim()[0]


def test_highest_contour_surrounds_the_peak():
    X = standard_normal(40, 2) * [1, 10] + [0, 50]
    density = GaussianMixture(random_state=0).fit(X)
    display = DensityDisplay.from_estimator(density, X)
    highest = [p for p in display.contours_.get_paths() if len(p.vertices)][-1]
    assert highest.contains_point(density.means_[0])


def test_slices_hold_the_other_columns(kde, frame):
    display = DensityDisplay.from_estimator(
        kde, frame, features="level", held={"dose": 1.5}, grid_resolution=9
    )
    rows = frame.iloc[:9].copy()
    rows["dose"], rows["level"] = 1.5, display.grid[0]
    rows["effect"] = frame["effect"].median()
    np.testing.assert_allclose(display.density, np.exp(kde.score_samples(rows)))
    assert display.held == {"dose": 1.5, "effect": frame["effect"].median()}
    assert "slice at dose = 1.5, effect = " in display.ax_.get_title()
    assert "not normalised" in display.ax_.get_ylabel()


def test_features_may_be_positions_in_any_order(kde, frame):
    by_name = DensityDisplay.from_estimator(kde, frame, features=["effect", "dose"])
    by_position = DensityDisplay.from_estimator(kde, frame, features=[2, 0])
    np.testing.assert_array_equal(by_name.density, by_position.density)
    point = frame.iloc[:1].copy()
    point["effect"], point["dose"] = by_name.grid[0][3], by_name.grid[1][5]
    point["level"] = frame["level"].median()
    assert by_name.density[3, 5] == pytest.approx(np.exp(kde.score_samples(point))[0])
    assert by_name.ax_.get_xlabel() == "effect"
    np.testing.assert_allclose(by_name.grid[0][[0, -1]], by_name.ax_.get_xlim())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "choose one or two"),
        ({"features": [0, 1, 2]}, "must be one or two columns, got 3"),
        ({"features": "leve"}, "no column is named 'leve'.*Did you mean 'level'"),
        ({"features": [0, 0]}, "none of them twice"),
        ({"features": 3}, "positions are 0 to 2"),
        (
            {"features": 0, "held": {"dose": 1}},
            "'dose'. are shown, so they",
        ),
        ({"features": 0, "held": {"effect": np.nan}}, "must be finite"),
        ({"features": 0, "held": {"cost": 1}}, "no column is named 'cost'"),
    ],
)
def test_what_a_slice_cannot_show_is_refused(kde, frame, options, message):
    with pytest.raises(ValueError, match=message):
        DensityDisplay.from_estimator(kde, frame, **options)


def test_a_feature_is_a_name_or_a_position(kde, frame):
    with pytest.raises(TypeError, match="got 0.5 of type float"):
        DensityDisplay.from_estimator(kde, frame, features=[0.5])


def test_pairs_hold_data_and_samples(frame):
    density = GaussianMixture(random_state=0).fit(frame)
    display = PairsDisplay.from_estimator(
        density, frame, features=["effect", "dose"], n_samples=30, random_state=0
    )
    np.testing.assert_array_equal(display.X, frame[["effect", "dose"]])
    assert display.samples.shape == (30, 2)
    np.testing.assert_allclose(display.samples.std(axis=0), [0.1, 1], rtol=0.5)
    assert [t.get_text() for t in display.legend_.get_texts()] == [
        "data (60 rows)",
        "samples (30)",
    ]
    assert display.axes_[1, 0].get_xlabel() == "effect"
    assert display.axes_[1, 0].get_ylabel() == "dose"


def test_pairs_of_conditional_densities(kernel_scores, frame):
    given = kernel_scores.condition({frame.columns[0]: (0, None)}, random_state=0)
    display = PairsDisplay.from_estimator(given, frame, n_samples=20, random_state=0)
    assert display.feature_names == list(frame.columns)
    assert (display.samples[:, 0] > 0).all()


def test_dots_of_pairs_have_the_colour_of_their_kind(kde, frame):
    display = PairsDisplay.from_estimator(kde, frame, n_samples=20, random_state=0)
    (dots,) = display.axes_[2, 1].collections
    grey = np.ptp(dots.get_facecolors()[:, :3], axis=1) == 0
    sort = lambda rows: rows[np.argsort(rows[:, 0])]
    found = np.asarray(dots.get_offsets())
    np.testing.assert_allclose(sort(found[grey]), sort(display.X[:, [1, 2]]))
    np.testing.assert_allclose(sort(found[~grey]), sort(display.samples[:, [1, 2]]))


def test_histograms_of_pairs_count_shares_of_rows(kde, frame):
    display = PairsDisplay.from_estimator(kde, frame, n_samples=20, random_state=0)
    patches = display.axes_[1, 1].patches
    bars, line = [p for p in patches if hasattr(p, "get_height")], patches[-1]
    edges = np.r_[[b.get_x() for b in bars], bars[-1].get_x() + bars[-1].get_width()]
    shares = np.histogram(display.X[:, 1], edges)[0] / 60
    np.testing.assert_allclose([b.get_height() for b in bars], shares, atol=1e-9)
    shares = np.histogram(display.samples[:, 1], edges)[0] / 20
    assert line.get_xy()[:, 1].max() == pytest.approx(shares.max())


def test_too_many_columns_are_not_shown_unasked():
    X = standard_normal(20, 11)
    density = KernelDensity().fit(X)
    with pytest.raises(ValueError, match="11 columns, too many"):
        PairsDisplay.from_estimator(density, X)
    assert PairsDisplay.from_estimator(density, X, features=[10]).axes_.shape == (1, 1)


def test_training_shows_what_was_recorded(fitted):
    display = TrainingDisplay.from_estimator(fitted)
    losses, scores = display.axes_[:, 0]
    steps, loss = losses.lines[0].get_data()
    assert steps.tolist() == list(range(1, 301))
    np.testing.assert_array_equal(loss, fitted.loss_curve_)
    steps, held_out = scores.lines[0].get_data()
    assert steps.tolist() == [0, 50, 100, 150, 200, 250, 300, 300, 315]
    np.testing.assert_array_equal(held_out, fitted.validation_scores_)
    assert set(scores.lines[1].get_xdata()) == {300}
    assert "training for likelihood begins" in legend_of(scores)
    assert set(scores.lines[2].get_ydata()) == {fitted.best_validation_score_}
    assert f"kept model: {fitted.best_validation_score_:.3f}" in legend_of(scores)


def test_smooth_loss_is_a_mean_at_the_middle_of_its_steps(fitted):
    display = TrainingDisplay.from_estimator(fitted)
    middle, smooth = display.axes_[0, 0].lines[1].get_data()
    assert middle[0] == np.mean([1, 2, 3, 4, 5, 6])
    assert smooth[0] == pytest.approx(np.mean(fitted.loss_curve_[:6]))
    assert smooth[-1] == pytest.approx(np.mean(fitted.loss_curve_[-6:]))


def test_training_without_held_out_rows_or_any_steps(chain):
    density = FactorizedDiffusionDensity(max_iter=3, early_stopping=False)
    assert TrainingDisplay.from_estimator(density.fit(chain.data)).axes_.shape == (1, 1)
    few = FactorizedDiffusionDensity(max_iter=3).fit(chain.data[:20])
    with pytest.raises(ValueError, match="nothing was trained"):
        TrainingDisplay.from_estimator(few)


def test_histograms_of_probability_integrals_and_their_band():
    X = standard_normal(400, 2)
    density = Shifted(0.5).fit(X)
    display = ProbabilityIntegralDisplay.from_estimator(density, X, n_bins=10)
    np.testing.assert_allclose(display.values, stats.norm.cdf(X - 0.5))
    heights = [p.get_height() for p in display.axes_[0, 1].patches[:10]]
    counts = np.histogram(display.values[:, 1], 10, (0, 1))[0]
    np.testing.assert_array_equal(heights, counts)
    low, high = display.band_
    inside = stats.binom.cdf(high, 400, 0.1) - stats.binom.cdf(low - 1, 400, 0.1)
    narrower = stats.binom.cdf(high - 1, 400, 0.1) - stats.binom.cdf(low, 400, 0.1)
    assert inside >= 0.95 > narrower
    box = (
        display.axes_[0, 0]
        .patches[10]
        .get_extents()
        .transformed(display.axes_[0, 0].transData.inverted())
    )
    np.testing.assert_allclose([box.y0, box.y1], display.band_)


def test_no_histogram_is_higher_than_its_panel():
    narrow_and_wide = standard_normal(400, 2) * [0.2, 1]
    density = Shifted().fit(narrow_and_wide)
    display = ProbabilityIntegralDisplay.from_estimator(density, narrow_and_wide)
    for ax in display.axes_.flat:
        heights = [p.get_height() for p in ax.patches if hasattr(p, "get_height")]
        assert max(heights) < ax.get_ylim()[1]


def test_the_band_of_a_line_is_the_test_of_kolmogorov_and_smirnov():
    X = standard_normal(60, 1)
    leaves_band = []
    for shift in np.linspace(-0.5, 0.5, 21):
        density = Shifted(shift).fit(X)
        display = ProbabilityIntegralDisplay.from_estimator(density, X, kind="pp")
        u = np.sort(display.values[:, 0])
        half = display.band_[1, 20] - 21 / 60
        shares = np.arange(61) / 60
        distance = max((shares[1:] - u).max(), (u - shares[:-1]).max())
        leaves_band.append(distance > half)
        rejected = stats.kstest(u, "uniform").pvalue < 0.05
        assert leaves_band[-1] == rejected
        plt.close("all")
    assert {True, False} == set(leaves_band)


def test_probability_integrals_by_name(frame):
    density = Shifted().fit(frame)
    display = ProbabilityIntegralDisplay.from_estimator(density, frame, features="level")
    assert display.axes_[0, 0].get_title() == "level"
    np.testing.assert_array_equal(display.values, stats.norm.cdf(frame[["level"]]))
    with pytest.raises(ValueError, match="Did you mean 'histogram'"):
        display.plot(kind="histograms")


def test_graph_shows_arrows_parents_and_factors(kernel_scores):
    display = GraphDisplay.from_estimator(kernel_scores)
    assert sorted(display.arrows_) == [(0, 2), (1, 2)]
    assert display.added_ == {frozenset((0, 1))}
    assert len(display.hulls_) == len(kernel_scores.factorization_.cliques) == 1
    assert legend_of(display.ax_) == [
        "factor: columns that interact",
        "from context to column",
        "parents of one column",
    ]
    assert {t.get_text() for t in display.ax_.texts} >= {"dose", "level", "effect"}


def test_arrows_point_to_the_column(kernel_scores):
    place = {"dose": (0, 0), "level": (4, 0), "effect": (2, 3)}
    display = GraphDisplay.from_estimator(kernel_scores, pos=place)
    arrows = [t for t in display.ax_.texts if isinstance(t, Annotation)]
    tips, tails = [a.xy for a in arrows], [a.get_position() for a in arrows]
    assert all(np.hypot(*(np.subtract(tip, (2, 3)))) < 0.3 for tip in tips)
    assert {round(x) for x, _ in tails} == {0, 4}


def test_completion_of_a_cycle_is_dashed():
    X = standard_normal(30, 4)
    density = KernelScoreDensity(nx.cycle_graph(4), bandwidth=0.5).fit(X)
    display = GraphDisplay.from_estimator(density)
    assert not display.arrows_
    assert len(display.added_) == 1
    dashed = [line for line in display.ax_.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 1
    assert len(display.ax_.lines) == 5
    assert "added by completion" in legend_of(display.ax_)


def test_a_learned_graph_is_drawn(chain):
    short = {"max_iter": 2, "n_networks": 1, "hidden_size": 8, "random_state": 0}
    density = FactorizedDiffusionDensity("auto", **short).fit(chain.data)
    assert GraphDisplay.from_estimator(density).graph is density.graph_


def test_columns_diffused_together_are_marked(chain):
    density = FactorizedDiffusionDensity(nx.path_graph(3), diffusion="joint", max_iter=2)
    display = GraphDisplay.from_estimator(density.fit(chain.data))
    assert "diffused together" in legend_of(display.ax_)
    assert len(display.hulls_) == 2


def test_graph_needs_a_place_for_every_column(kernel_scores):
    with pytest.raises(ValueError, match=r"no place for the columns \['level'"):
        GraphDisplay.from_estimator(kernel_scores, pos={"dose": (0, 0)})
    with pytest.raises(ValueError, match="no column is named 'cost'"):
        GraphDisplay.from_estimator(kernel_scores, pos={"cost": (0, 0)})


@pytest.mark.parametrize(
    "graph",
    [nx.path_graph(5), nx.disjoint_union(nx.cycle_graph(3), nx.empty_graph(3))],
    ids=["chain", "parts"],
)
def test_layout_keeps_nodes_apart(graph):
    points = np.array([layout(graph)[j] for j in graph])
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    assert distances[~np.eye(len(points), dtype=bool)].min() >= 1 - 1e-9
    assert np.ptp(points[:, 0]) > 3 * np.ptp(points[:, 1])


def test_outlines_surround_their_nodes_only():
    points = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    path = Path(outline(points, 0.4))
    assert path.contains_points([*points, [0, -0.35], [1, 1]]).all()
    assert not path.contains_points([[0, -0.45], [3, 3], [1.9, 1.9]]).any()


def test_groups_that_overlap_differ_in_colour():
    groups = [(0, 1), (1, 2), (2, 3), (0, 3), (5,)]
    colour = colours_of_groups(groups)
    for a, b in [(0, 1), (1, 2), (2, 3), (3, 0)]:
        assert colour[a] != colour[b]


def test_flow_ends_at_the_samples(fitted):
    display = FlowDisplay.from_estimator(
        fitted, features=[2, 0], n_samples=20, n_panels=4, random_state=3
    )
    rows = fitted.margins_.forward(fitted.sample(20, random_state=3))
    last = display.states[:, -1] / np.cos(display.times[-1])
    np.testing.assert_allclose(last, rows[:, [2, 0]], atol=1e-6)
    n_steps = fitted.n_steps_
    evenly = [0, round(n_steps / 3), round(2 * n_steps / 3), n_steps]
    assert display.panels_.tolist() == evenly
    for ax, k in zip(display.axes_.flat, display.panels_, strict=True):
        offsets = ax.collections[0].get_offsets()
        np.testing.assert_allclose(offsets, display.states[:, k])
        assert ax.get_title() == f"noise {np.sin(display.times[k]):.0%}"
    labels = [ax.get_xlabel() for ax in display.axes_[-1]]
    assert [label for label in labels if label] == ["x2 (standard units)"]


def test_flow_follows_paths_of_samples(fitted):
    display = FlowDisplay.from_estimator(fitted, n_samples=9, n_panels=3, random_state=0)
    ax = display.axes_[0, -1]
    paths = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) > 1]
    assert len(paths) == 5
    assert all(any(np.allclose(p, s) for s in display.states) for p in paths)


def test_flow_of_kernel_scores_and_of_many_times(kernel_scores):
    display = FlowDisplay.from_estimator(
        kernel_scores, features=["dose", "effect"], n_samples=5, n_panels=8
    )
    assert display.axes_.shape == (2, 6)
    assert np.isfinite(display.states).all()
    with pytest.raises(ValueError, match="n_panels must be from 2 to 13"):
        display.plot(n_panels=14)
    with pytest.raises(ValueError, match="two columns, got 1"):
        FlowDisplay.from_estimator(kernel_scores, features="dose")


@pytest.mark.parametrize(
    "draw",
    [
        lambda e, X, ax: DensityDisplay.from_estimator(e, X, features=0, ax=ax),
        lambda e, X, ax: FlowDisplay.from_estimator(e, n_samples=3, n_panels=2, ax=ax),
        lambda e, X, ax: GraphDisplay.from_estimator(e, ax=ax),
        lambda e, X, ax: PairsDisplay.from_estimator(e, X, n_samples=3, ax=ax),
        lambda e, X, ax: TrainingDisplay.from_estimator(e, ax=ax),
    ],
    ids=["density", "flow", "graph", "pairs", "training"],
)
def test_displays_draw_into_given_axes(fitted, chain, draw):
    figure, axes = plt.subplots(1, 2, figsize=(12, 6), layout="constrained")
    display = draw(fitted, chain.data[:20], axes[1])
    assert display.figure_ is figure
    assert not axes[0].has_data()
    figure.draw_without_rendering()
    assert len(plt.get_fignums()) == 1


def test_panels_need_axes_with_a_place(fitted):
    ax = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="no place in a grid"):
        TrainingDisplay.from_estimator(fitted, ax=ax)


@pytest.mark.parametrize(
    "draw",
    [
        lambda e, X: DensityDisplay.from_estimator(e, X, features=0),
        lambda e, X: FlowDisplay.from_estimator(e),
        lambda e, X: GraphDisplay.from_estimator(e),
        lambda e, X: PairsDisplay.from_estimator(e, X),
        lambda e, X: TrainingDisplay.from_estimator(e),
    ],
    ids=["density", "flow", "graph", "pairs", "training"],
)
def test_estimators_must_be_fitted_and_of_the_right_kind(chain, draw):
    with pytest.raises(NotFittedError):
        draw(FactorizedDiffusionDensity(), chain.data)
    with pytest.raises(TypeError):
        draw(Shifted().fit(chain.data), chain.data)
    with pytest.raises(TypeError):
        draw(KernelDensity, chain.data)


def test_probability_integrals_need_a_transform(chain):
    with pytest.raises(TypeError, match="KernelDensity, which has no to_normal"):
        ProbabilityIntegralDisplay.from_estimator(KernelDensity(), chain.data)
    with pytest.raises(NotFittedError):
        ProbabilityIntegralDisplay.from_estimator(Shifted(), chain.data)


def test_rows_must_have_the_columns_of_fit(fitted, chain):
    with pytest.raises(ValueError, match="X has 2 columns, but .* was fitted to 3"):
        PairsDisplay.from_estimator(fitted, chain.data[:, :2])

"""`KernelScoreDensity` against `KernelDensity`, and what it must refuse."""

import pickle
import subprocess
import sys

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import standard_normal
from sklearn.neighbors import KernelDensity

from skdiffusion import KernelScoreDensity, flow
from skdiffusion.bandwidths import LeaveOneOut, best_bandwidths
from skdiffusion.datasets import (
    make_heavy_tails,
    make_nonlinear_chain,
    make_separated_mixture,
)
from skdiffusion.metrics import paired_difference


@pytest.mark.parametrize("bandwidth", [0.02, 0.3, 1.5])
@pytest.mark.parametrize("n_features", [1, 5])
def test_log_density_equals_kernel_density_on_standardised_rows(bandwidth, n_features):
    """Catches a lost Jacobian, weight or constant."""
    X = make_nonlinear_chain(300, n_features, random_state=0).data * [3.0]
    new = make_nonlinear_chain(50, n_features, random_state=1).data * [3.0]
    weight = np.random.RandomState(0).rand(300)
    density = KernelScoreDensity(bandwidth=bandwidth).fit(X, sample_weight=weight)
    Z, Z_new = density.margins_.forward(X), density.margins_.forward(new)
    exact = {"bandwidth": bandwidth, "rtol": 0, "algorithm": "kd_tree", "leaf_size": 300}
    kde = KernelDensity(**exact).fit(Z, sample_weight=weight)
    expected = kde.score_samples(Z_new) - np.log(density.margins_.scale).sum()
    np.testing.assert_allclose(density.score_samples(new), expected, atol=1e-6, rtol=1e-9)


def test_one_bandwidth_per_column_is_in_units_of_its_deviation():
    X = standard_normal(200, 2) * [1.0, 100.0]
    density = KernelScoreDensity(bandwidth=[0.2, 0.5]).fit(X)
    np.testing.assert_allclose(density.bandwidth_, [0.2, 0.5] * X.std(axis=0))


def test_theory_bandwidth_uses_the_effective_size_and_the_largest_factor():
    X = standard_normal(500, 4)
    weight = np.r_[np.ones(250), np.full(250, 3.0)]
    density = KernelScoreDensity(nx.path_graph(4), bandwidth="theory", smoothness=1)
    density.fit(X, sample_weight=weight)
    assert density.effective_size_ == pytest.approx(400)
    np.testing.assert_allclose(
        density.bandwidth_, 400 ** (-1 / 4) * density.margins_.scale
    )


def test_factorized_density_is_cliques_over_separators(chain):
    """With one bandwidth, families over parents, from KernelDensity itself."""
    density = KernelScoreDensity(chain.graph, bandwidth=0.3).fit(chain.data)
    new = make_nonlinear_chain(60, 3, random_state=5).data
    Z, Z_new = density.margins_.forward(chain.data), density.margins_.forward(new)

    def log_kde(columns):
        kde = KernelDensity(bandwidth=0.3, rtol=0, leaf_size=400).fit(Z[:, columns])
        return kde.score_samples(Z_new[:, columns])

    expected = log_kde([0, 1]) + log_kde([1, 2]) - log_kde([1])
    expected -= np.log(density.margins_.scale).sum()
    np.testing.assert_allclose(density.score_samples(new), expected, atol=1e-6)


@pytest.mark.parametrize("graph", [None, nx.DiGraph([(0, 1)])])
def test_density_of_two_columns_integrates_to_one(graph):
    X = make_separated_mixture(300, 2, random_state=0).data
    density = KernelScoreDensity(graph).fit(X)
    axes = [np.linspace(c.min() - 5, c.max() + 5, 401) for c in X.T]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    values = np.exp(density.score_samples(points)).reshape(401, 401)
    total = np.trapezoid(np.trapezoid(values, axes[1], axis=1), axes[0])
    assert total == pytest.approx(1, abs=1e-3)


def test_flow_agrees_with_the_closed_form(chain):
    """The factorized density is also that of the flow of its denoisers."""
    density = KernelScoreDensity(chain.graph, n_steps=60).fit(chain.data)
    X = chain.data[:40]
    by_flow = density._by_chunks(
        lambda z: flow.log_density(density._denoisers(), z, density._path()),
        density.margins_.forward(X),
        density._denoisers(),
        pad=False,
    ).sum(axis=1)
    by_flow += density.margins_.log_derivative(X)
    np.testing.assert_allclose(density.score_samples(X), by_flow, atol=5e-3)


def test_samples_have_the_density_that_is_scored(chain):
    """Mean log-density of samples against that of exact draws from the estimate."""
    density = KernelScoreDensity(bandwidth=0.3).fit(chain.data)
    rng = np.random.RandomState(0)
    rows = chain.data[rng.randint(len(chain.data), size=4000)]
    exact = rows + density.bandwidth_ * rng.standard_normal(rows.shape)
    found, expected = (density.score_samples(S) for S in (density.sample(4000, 0), exact))
    error = np.sqrt((found.var() + expected.var()) / 4000)
    assert abs(found.mean() - expected.mean()) < 3 * error


def test_gradient_is_the_derivative_of_the_log_density(chain):
    X, step = chain.data[:5] * 1.0, 1e-5
    for graph in (None, chain.graph):
        density = KernelScoreDensity(graph).fit(chain.data)
        shifts = step * np.eye(3)
        differences = [
            density.score_samples(X + s) - density.score_samples(X - s) for s in shifts
        ]
        expected = np.transpose(differences) / (2 * step)
        np.testing.assert_allclose(density.log_density_gradient(X), expected, rtol=1e-4)


@pytest.mark.parametrize("graph", [None, nx.path_graph(3)])
def test_far_queries_stay_finite(chain, graph):
    """Every kernel weight underflows; the density is normal around the nearest rows."""
    density = KernelScoreDensity(graph).fit(chain.data)
    far = np.array([[1e6, -1e6, 1e6], [0, 0, 1e9], [-1e9, 0, 0]])
    log_density, gradient = density.score_samples(far), density.log_density_gradient(far)
    assert np.isfinite(log_density).all()
    assert np.isfinite(gradient).all()
    slope = (far[1, 2] - chain.data[:, 2].mean()) / density.bandwidth_[2] ** 2
    assert gradient[1, 2] == pytest.approx(-slope, rel=1e-6)


def test_the_graph_gains_and_leave_one_out_beats_theory():
    data = make_nonlinear_chain(1000, 6, random_state=0)
    new = make_nonlinear_chain(1000, 6, random_state=1).data
    models = {
        "full": KernelScoreDensity(),
        "theory": KernelScoreDensity(data.graph, bandwidth="theory"),
        "loo": KernelScoreDensity(data.graph),
    }
    scores = {k: m.fit(data.data).score_samples(new) for k, m in models.items()}
    for worse in ("full", "theory"):
        gain = paired_difference(scores["loo"], scores[worse])
        assert gain.mean > 10 * gain.standard_error


@pytest.mark.parametrize("threshold", ["hard", "soft", "max"])
def test_thresholds_sample_and_have_gradients_but_no_density(chain, threshold):
    X = chain.data[:, :2]
    density = KernelScoreDensity(threshold=threshold, bandwidth=0.2).fit(X)
    plain = KernelScoreDensity(bandwidth=0.2).fit(X)
    with pytest.raises(ValueError, match="no normalised density"):
        density.score_samples(X)
    with pytest.raises(ValueError, match="threshold='none'"):
        density.score(X)
    assert np.isfinite(density.sample(100, random_state=0)).all()
    # off the rows, where even one kernel is below its own peak
    found, expected = (d.log_density_gradient(X + 0.5) for d in (density, plain))
    assert (np.abs(found) <= np.abs(expected) + 1e-12).all()
    assert not np.allclose(found, expected)
    with pytest.raises(ValueError, match="graph=None"):
        KernelScoreDensity(chain.graph, threshold=threshold).fit(chain.data)


def test_a_small_constant_brings_the_threshold_back_to_the_estimate(chain):
    X = chain.data[:, :2]
    low = KernelScoreDensity(threshold="max", threshold_constant=1e-200, bandwidth=0.2)
    plain = KernelScoreDensity(bandwidth=0.2).fit(X)
    np.testing.assert_allclose(
        low.fit(X).log_density_gradient(X), plain.log_density_gradient(X), rtol=1e-7
    )


def test_threshold_uses_its_constant_and_the_effective_size():
    """The factor between the gradients, from the documented level of "max"."""
    X, weight = standard_normal(60, 2), np.r_[np.ones(30), np.full(30, 4.0)]
    made = {"bandwidth": 0.3}
    plain = KernelScoreDensity(**made).fit(X, sample_weight=weight)
    made |= {"threshold": "max", "threshold_constant": 5.0}
    cut = KernelScoreDensity(**made).fit(X, sample_weight=weight)
    new = 1.5 * standard_normal(40, 2, seed=1)
    log_p = plain.score_samples(new) + np.log(plain.margins_.scale).sum()
    n = weight.sum() ** 2 / (weight**2).sum()
    factor = np.minimum(1, np.exp(log_p) * n * (2 * np.pi * 0.3**2) / 5)
    expected = factor[:, None] * plain.log_density_gradient(new)
    np.testing.assert_allclose(cut.log_density_gradient(new), expected, rtol=1e-9)


def test_bandwidths_of_the_model_are_those_of_the_search():
    """Own and context bandwidth in their places, in the units of their own columns."""
    rng = np.random.RandomState(0)
    a = rng.standard_normal(300)
    X = np.c_[100 * a, np.sin(3 * a) + 0.1 * rng.standard_normal(300)]
    density = KernelScoreDensity(nx.DiGraph([(0, 1)])).fit(X)
    z, scale = torch.tensor(density.margins_.forward(X)), density.margins_.scale
    likelihood = LeaveOneOut(
        z[:, [1]], z[:, [0]], torch.ones(300).double(), torch.arange(300)
    )
    own, context = best_bandwidths(likelihood)
    assert own > 1.5 * context
    assert density.bandwidth_[1] == pytest.approx(own * scale[1])
    np.testing.assert_allclose(density.context_bandwidth_[1], context * scale[:1])
    standardised = density.bandwidth_ / scale
    assert density.noise_floor_ == pytest.approx(np.sqrt(standardised.prod()))


def test_thresholded_path_starts_at_the_variance_of_the_paper():
    X = standard_normal(256, 2)
    density = KernelScoreDensity(threshold="hard", smoothness=1, bandwidth=0.2).fit(X)
    assert np.tan(density._path().t_max) ** 2 == pytest.approx(256 ** (2 / 4))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"bandwidth": 0.0}, ValueError, "bandwidth"),
        ({"bandwidth": -1}, ValueError, "bandwidth"),
        ({"bandwidth": 1e-6}, ValueError, "rounding"),
        ({"bandwidth": np.inf}, ValueError, "got inf"),
        ({"bandwidth": 1e200}, ValueError, "rounding"),
        ({"bandwidth": [True, True, True]}, ValueError, "positive number"),
        ({"bandwidth": [0.1, 0.2]}, ValueError, "one for each column.* 3 columns"),
        ({"bandwidth": [0.1, -0.2, 0.3]}, ValueError, "got -0.2 at position 1"),
        ({"bandwidth": [0.1, np.nan, 0.3]}, ValueError, "got nan at position 1"),
        ({"bandwidth": {"a": 1}}, ValueError, "one for each column"),
        ({"threshold": "max", "bandwidth": 50.0}, ValueError, "wider than the noise"),
        ({"bandwidth": "lo"}, ValueError, "Did you mean 'loo'"),
        ({"bandwidth": None}, ValueError, "'loo', 'theory' or a positive.*None"),
        ({"bandwidth": "LOO"}, ValueError, "Did you mean 'loo'"),
        ({"threshold": "hardd"}, ValueError, "Did you mean 'hard'"),
        ({"threshold": None}, ValueError, "threshold must be one of"),
        ({"threshold_constant": 0}, ValueError, "threshold_constant"),
        ({"smoothness": 0}, ValueError, r"\(0, 2\]"),
        ({"smoothness": 2.5}, ValueError, r"\(0, 2\]"),
        ({"smoothness": "2"}, TypeError, "smoothness"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"max_factor_size": 0}, ValueError, "max_factor_size"),
        ({"device": "gpu"}, ValueError, "device"),
    ],
)
def test_wrong_parameters_are_refused(chain, parameters, error, message):
    with pytest.raises(error, match=message):
        KernelScoreDensity(**parameters).fit(chain.data)


@pytest.mark.parametrize("name", ["constant", "three", "huge", "ties", "heavy", "wide"])
def test_hard_tables_give_finite_densities_and_samples(name):
    rng = np.random.RandomState(0)
    X = {
        "constant": np.c_[rng.standard_normal(100), np.full(100, 7.0)],
        "three": np.array([[0.0, 1], [1.0, 1], [5.0, 0]]),
        "huge": 1e8 * rng.standard_normal((100, 2)),
        "ties": rng.randint(0, 3, (300, 2)).astype(float),
        "heavy": make_heavy_tails(300, 2, random_state=0).data,
        "wide": rng.standard_normal((15, 30)),
    }[name]
    for graph in (None, nx.path_graph(X.shape[1])):
        density = KernelScoreDensity(graph)
        if name == "constant":
            with pytest.warns(UserWarning, match="deviation bandwidth_"):
                density.fit(X)
        else:
            density.fit(X)
        assert np.isfinite(density.score_samples(X)).all()
        assert np.isfinite(density.sample(20, random_state=0)).all()
        assert (density.bandwidth_ > 0).all()


def test_a_pickled_model_scores_the_same(chain):
    density = KernelScoreDensity(chain.graph).fit(pd.DataFrame(chain.data))
    loaded = pickle.loads(pickle.dumps(density))
    np.testing.assert_array_equal(
        loaded.score_samples(chain.data), density.score_samples(chain.data)
    )
    assert [len(h) for h in loaded.context_bandwidth_] == [0, 1, 1]


def test_weights_of_two_equal_repeated_rows(chain):
    weight = np.where(np.arange(len(chain.data)) < 100, 2, 1)
    repeated = np.repeat(chain.data, weight, axis=0)
    weighted = KernelScoreDensity(chain.graph).fit(chain.data, sample_weight=weight)
    other = KernelScoreDensity(chain.graph).fit(repeated)
    np.testing.assert_allclose(weighted.bandwidth_, other.bandwidth_, rtol=1e-6)
    X = chain.data[:50]
    np.testing.assert_allclose(weighted.score_samples(X), other.score_samples(X))


MANY_ROWS = """
import resource
from skdiffusion import KernelScoreDensity
from skdiffusion.datasets import make_nonlinear_chain
X = make_nonlinear_chain(100_000, 8, random_state=0).data
KernelScoreDensity(bandwidth=0.2).fit(X).score_samples(X[:2000])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_many_training_rows_need_little_memory():
    """Peak of a process of its own, in GiB."""
    run = subprocess.run(
        [sys.executable, "-c", MANY_ROWS], capture_output=True, check=True
    )
    assert float(run.stdout) < 2

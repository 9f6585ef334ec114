"""The fitted estimator: exactness, consistency, reproducibility, errors."""

import copy
import datetime
import pickle
import subprocess
import sys

import joblib
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KernelDensity

from skdiffusion import FactorizedDiffusionDensity, KernelScoreDensity, training
from skdiffusion.datasets import (
    make_heavy_tails,
    make_nonlinear_chain,
    make_separated_mixture,
)
from skdiffusion.defaults import FOLLOW_ROWS, suited
from skdiffusion.metrics import integration_error, paired_difference

QUICK = {"max_iter": 300, "hidden_size": 32, "random_state": 0, "n_networks": 1}


def hard_tables():
    rng = np.random.RandomState(0)
    bimodal = np.concatenate([rng.normal(-3, 0.2, 150), rng.normal(2, 0.7, 150)])
    return {
        "bimodal": bimodal[:, None],
        "heavy": make_heavy_tails(300, 1, random_state=0).data,
        "ties": rng.randint(0, 4, 300)[:, None].astype(float),
        "zeros": np.r_[np.zeros(250), rng.exponential(size=50)][:, None],
        "three": np.array([[0.0], [1.0], [5.0]]),
        "tiny": 1e-8 * bimodal[:, None],
        "huge": 1e8 * bimodal[:, None],
    }


SPIKED = "ties", "zeros", "three"


def integral(estimator, n=60_001):
    """Mass of one column, on a grid that is even in standardised units.

    In these units, too: those of the data crowd where a map is steep. At a spike 20,001
    trapezoids were wrong by 0.001 in either units, where 200,001 of them gave 1.0003.
    """
    z = np.linspace(-12, 12, n)
    x = estimator.margins_.inverse(z[:, None])
    slope = estimator.margins_.log_derivative(x)
    return np.trapezoid(np.exp(estimator.score_samples(x) - slope), z)


@pytest.mark.parametrize("name", hard_tables())
def test_density_of_one_column_integrates_to_one(name):
    """Catches a lost Jacobian, noise-floor term or scale."""
    X = hard_tables()[name]
    estimator = FactorizedDiffusionDensity(**QUICK).fit(X)
    total = integral(estimator, 60_001 if name in SPIKED else 10_001)
    assert total == pytest.approx(1, abs=1e-3)


@pytest.fixture(scope="module")
def plane():
    """Two columns in five separated groups, and a fit to them; no column is bent."""
    X = make_separated_mixture(400, 2, random_state=0).data
    return X, FactorizedDiffusionDensity(**QUICK).fit(X)


@pytest.fixture(scope="module")
def grid_of_plane(plane):
    X, estimator = plane
    axes = [np.linspace(c.min() - 4, c.max() + 4, 301) for c in X.T]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    density = np.exp(estimator.score_samples(points.reshape(-1, 2))).reshape(301, 301)
    return axes, density


def test_density_of_two_columns_integrates_to_one(grid_of_plane):
    axes, density = grid_of_plane
    total = np.trapezoid(np.trapezoid(density, axes[1], axis=1), axes[0])
    assert total == pytest.approx(1, abs=1e-3)


def test_samples_fall_into_bins_as_the_density_says(plane, grid_of_plane):
    """Catches samples and log-densities of two different laws."""
    _, estimator = plane
    axes, density = grid_of_plane
    n = 20_000
    samples = estimator.sample(n, random_state=0)
    # bins end halfway between points of the grid, so that the sum over points is exact
    quartiles = [
        np.searchsorted(a, np.quantile(c, [0.25, 0.5, 0.75]))
        for a, c in zip(axes, samples.T, strict=True)
    ]
    splits = [(a[i] + a[i - 1]) / 2 for a, i in zip(axes, quartiles, strict=True)]
    bins = [np.digitize(c, s) for c, s in zip(samples.T, splits, strict=True)]
    counts = np.bincount(4 * bins[0] + bins[1], minlength=16)
    cells = np.ix_(*(np.digitize(a, s) for a, s in zip(axes, splits, strict=True)))
    area = np.prod([a[1] - a[0] for a in axes])
    labels = (4 * cells[0] + cells[1]).ravel()
    mass = np.bincount(labels, weights=density.ravel(), minlength=16) * area
    error = np.sqrt(n * mass * (1 - mass))
    assert (np.abs(counts - n * mass) < 4 * error + 1e-3 * n).all()


def test_samples_of_one_column_follow_the_distribution_function():
    X = hard_tables()["bimodal"]
    estimator = FactorizedDiffusionDensity(**QUICK).fit(X)
    x = np.linspace(X.min() - 5, X.max() + 5, 20_001)
    density = np.exp(estimator.score_samples(x[:, None]))
    cdf = np.cumsum(density) * (x[1] - x[0])
    samples = np.sort(estimator.sample(20_000, random_state=1)[:, 0])
    distance = np.abs(np.interp(samples, x, cdf) - np.arange(20_000) / 20_000).max()
    assert distance < 1.63 / np.sqrt(20_000) + 1e-3


def test_default_steps_keep_the_integration_error_small(plane):
    X, estimator = plane
    error = integration_error(estimator, X)
    assert abs(error.mean_per_column) <= 5e-4
    assert error.rms <= 0.02


@pytest.mark.parametrize("name", ["bimodal", "heavy", "ties", "zeros"])
def test_integration_error_is_small_for_hard_columns(name):
    X = hard_tables()[name]
    error = integration_error(FactorizedDiffusionDensity(**QUICK).fit(X), X)
    assert abs(error.mean_per_column) <= 5e-4
    assert error.rms <= 0.02


def test_small_table_of_many_columns_is_not_overfitted():
    """The linear Gaussian network scores about -30 here; unwatched training -88."""
    rng = np.random.RandomState(0)
    estimator = FactorizedDiffusionDensity(**QUICK).fit(rng.standard_normal((45, 20)))
    assert estimator.n_iter_ == 0
    assert estimator.score(rng.standard_normal((500, 20))) > -31


def test_huge_weights_are_only_ratios(chain):
    X, quick = chain.data, {**QUICK, "max_iter": 3}
    plain = FactorizedDiffusionDensity(**quick).fit(X)
    weight = np.full(len(X), 1e308)
    huge = FactorizedDiffusionDensity(**quick).fit(X, sample_weight=weight)
    np.testing.assert_allclose(huge.score_samples(X), plain.score_samples(X))


def test_gradient_is_that_of_score_samples(fitted, chain):
    """In double precision: differences of single precision are mostly rounding."""
    precise = copy.copy(fitted).set_params(dtype="float64")
    X, step = chain.data[:5], 1e-5
    columns = []
    for j in range(3):
        shift = step * np.eye(3)[j]
        ahead, behind = (precise.score_samples(X + s) for s in (shift, -shift))
        columns.append((ahead - behind) / (2 * step))
    np.testing.assert_allclose(
        precise.log_density_gradient(X), np.transpose(columns), rtol=1e-5, atol=1e-5
    )


def test_model_saved_before_a_parameter_existed_gets_its_default(fitted, chain):
    state = fitted.__getstate__()
    del state["dtype"]
    loaded = FactorizedDiffusionDensity.__new__(FactorizedDiffusionDensity)
    loaded.__setstate__(state)
    assert loaded.dtype == "float32"
    X = chain.data[:5]
    np.testing.assert_array_equal(loaded.score_samples(X), fitted.score_samples(X))


def test_odd_networks_score_rows_alone_as_together(chain):
    """A size that no vector unit divides; catches rounding that depends on the place."""
    options = QUICK | {"hidden_size": 65, "max_iter": 20}
    density = FactorizedDiffusionDensity(chain.graph, **options).fit(chain.data)
    X = chain.data[:70]
    order = np.random.RandomState(0).permutation(70)
    together = density.score_samples(X)
    np.testing.assert_allclose(
        density.score_samples(X[order]), together[order], rtol=1e-8
    )
    alone = density.score_samples(X[69:])
    np.testing.assert_allclose(alone, together[69:], rtol=1e-8)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(chain):
    """Fitted and asked there; the model is then read by a machine without CUDA."""
    X = chain.data[:50]
    there = FactorizedDiffusionDensity(chain.graph, **QUICK, device="cuda")
    there = pickle.loads(pickle.dumps(there.fit(chain.data)))
    found = there.score_samples(X), there.sample(20, random_state=0)
    here = there.set_params(device="cpu")
    np.testing.assert_allclose(here.score_samples(X), found[0], atol=1e-3)
    np.testing.assert_allclose(here.sample(20, random_state=0), found[1], atol=1e-3)


def test_single_precision_costs_little(fitted, chain):
    """Catches sums or states of the flow in single precision."""
    precise = copy.copy(fitted).set_params(dtype="float64")
    X = np.r_[chain.data, 50 * chain.data[:20]]
    difference = fitted.score_samples(X) - precise.score_samples(X)
    assert np.abs(difference[: len(chain.data)]).max() < 1e-4
    np.testing.assert_allclose(
        fitted.score_samples(X), precise.score_samples(X), rtol=1e-4, atol=1e-5
    )
    samples, others = (e.sample(200, random_state=0) for e in (fitted, precise))
    np.testing.assert_allclose(samples, others, atol=1e-4)


@pytest.mark.parametrize("distance", [20, 1e6])
def test_far_rows_are_finite_and_less_likely_than_all_training_rows(
    fitted, chain, distance
):
    X = chain.data
    for direction in (*np.eye(3), *-np.eye(3), np.ones(3), -np.ones(3)):
        far = X.mean(axis=0) + distance * X.std(axis=0) * direction
        log_density = fitted.score_samples(far[None])[0]
        assert np.isfinite(log_density)
        assert log_density < fitted.score_samples(X).min()


def test_graph_gives_a_better_density_than_kernels(chain):
    fresh = make_nonlinear_chain(2000, n_features=3, random_state=1)
    estimator = FactorizedDiffusionDensity(chain.graph, random_state=0).fit(chain.data)
    kde = KernelDensity(bandwidth=0.25).fit(chain.data)
    truth = fresh.log_density(fresh.data)
    kl = paired_difference(truth, estimator.score_samples(fresh.data)).mean
    kl_of_kde = paired_difference(truth, kde.score_samples(fresh.data)).mean
    assert 0 < kl < 0.5 * kl_of_kde


def test_markov_property_holds_in_the_fitted_density(fitted, chain):
    """x2 is independent of x0 given x1: the log-density splits into two parts."""
    X = chain.data[:6]
    swapped = X.copy()
    swapped[:, 1] = X[0, 1]
    mixed = swapped.copy()
    mixed[:, 0] = swapped[::-1, 0]
    back = swapped.copy()
    back[:, 2] = swapped[::-1, 2]
    total = lambda rows: fitted.score_samples(rows)
    np.testing.assert_allclose(
        total(swapped) + total(swapped)[::-1], total(mixed) + total(back), rtol=1e-9
    )


def test_equal_seeds_give_equal_bits(chain):
    fits = [
        FactorizedDiffusionDensity(chain.graph, **QUICK).fit(chain.data) for _ in range(2)
    ]
    scores = [fit.score_samples(chain.data) for fit in fits]
    samples = [fit.sample(10, random_state=3) for fit in fits]
    np.testing.assert_array_equal(*scores)
    np.testing.assert_array_equal(*samples)


def test_global_random_state_is_untouched(chain):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    estimator = FactorizedDiffusionDensity(max_iter=3, random_state=0).fit(chain.data)
    estimator.sample(3, random_state=0)
    estimator.score_samples(chain.data[:3])
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    assert torch.get_default_dtype() == torch.float32


def test_samples_differ_between_calls_unless_seeded(fitted):
    assert not np.array_equal(fitted.sample(3), fitted.sample(3))
    np.testing.assert_array_equal(
        fitted.sample(3, random_state=1), fitted.sample(3, random_state=1)
    )


def test_rows_are_scored_alone_as_together(fitted, chain):
    X = chain.data[:50]
    alone = np.concatenate([fitted.score_samples(x[None]) for x in X])
    np.testing.assert_allclose(fitted.score_samples(X), alone, rtol=1e-10)


def test_rows_of_weight_zero_are_as_if_absent(chain):
    X = chain.data
    weight = np.ones(len(X))
    weight[::4] = 0
    weighted = FactorizedDiffusionDensity(**QUICK).fit(X, sample_weight=weight)
    without = FactorizedDiffusionDensity(**QUICK).fit(X[weight > 0])
    np.testing.assert_array_equal(weighted.score_samples(X), without.score_samples(X))


def test_weights_shift_the_density():
    X = hard_tables()["bimodal"]
    left = X[:, 0] < 0
    weight = np.where(left, 3.0, 1.0)
    estimator = FactorizedDiffusionDensity(**QUICK).fit(X, sample_weight=weight)
    share = (estimator.sample(4000, random_state=0) < -0.5).mean()
    assert share == pytest.approx(weight[left].sum() / weight.sum(), abs=0.05)


def test_units_do_not_matter(chain):
    """Multiplying a column by c divides the density by c."""
    scale = np.array([1e6, 1.0, 1e-6])
    plain = FactorizedDiffusionDensity(**QUICK).fit(chain.data)
    scaled = FactorizedDiffusionDensity(**QUICK).fit(chain.data * scale)
    np.testing.assert_allclose(
        scaled.score_samples(chain.data * scale) + np.log(scale).sum(),
        plain.score_samples(chain.data),
        atol=0.02,
    )


def test_validation_scores_are_in_data_units(chain):
    plain = FactorizedDiffusionDensity(**QUICK).fit(chain.data)
    scaled = FactorizedDiffusionDensity(**QUICK).fit(1024.0 * chain.data)
    np.testing.assert_allclose(
        np.subtract(plain.validation_scores_, scaled.validation_scores_),
        3 * np.log(1024.0),
        atol=1e-3,
    )
    assert plain.n_iter_ == len(plain.loss_curve_)


def test_constant_column_warns_and_has_the_documented_density(chain):
    X = np.column_stack([chain.data, np.full(len(chain.data), 7.0)])
    with pytest.warns(UserWarning, match=r"\['x3'\] are constant.*noise_floor"):
        estimator = FactorizedDiffusionDensity(noise_floor=0.05, **QUICK).fit(X)
    assert estimator.factorization_.blocks[3].engine == "linear Gaussian"
    above = X[:1] + [0, 0, 0, 0.05]
    drop = estimator.score_samples(X[:1]) - estimator.score_samples(above)
    assert drop == pytest.approx(0.5, abs=1e-6)
    assert estimator.sample(2000, random_state=0)[:, 3].std() == pytest.approx(
        0.05, rel=0.05
    )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda X: np.column_stack([X, X[:, 0]]),
        lambda X: np.column_stack([X, X[:, 0] + 1e-10 * X[:, 1]]),
        lambda X: X[:20] * [1e-8, 1.0, 1e8],
        lambda X: np.vstack([X[:1]] * 30 + [X]),
        lambda X: np.random.RandomState(0).standard_normal((15, 30)),
        lambda X: np.vstack([X, 1e6 * X[:1]]),
        lambda X: X[:2],
    ],
    ids=["duplicate", "nearly", "scales", "repeated", "wide", "outlier", "two rows"],
)
def test_difficult_tables_fit(chain, spoil):
    X = spoil(chain.data)
    estimator = FactorizedDiffusionDensity(**QUICK).fit(X)
    assert np.isfinite(estimator.score_samples(X)).all()
    assert np.isfinite(estimator.sample(50, random_state=0)).all()


def test_warm_start_continues(chain):
    estimator = FactorizedDiffusionDensity(warm_start=True, **QUICK).fit(chain.data)
    first = estimator.validation_scores_
    estimator.fit(chain.data)
    assert estimator.validation_scores_[0] > first[0] + 0.1
    before = estimator.score_samples(chain.data)
    estimator.set_params(graph=nx.path_graph(3), hidden_size=8)
    with pytest.raises(ValueError, match="graph, hidden_size changed"):
        estimator.fit(chain.data)
    np.testing.assert_array_equal(estimator.score_samples(chain.data), before)


def test_warm_start_holds_out_the_same_rows(chain, monkeypatch):
    """Catches a second fit judged on rows the first was trained on."""
    splits = []
    split = training.split

    def remember(*args):
        parts = split(*args)
        splits.append(torch.cat([held_out.z for _, held_out in parts]))
        return parts

    monkeypatch.setattr(training, "split", remember)
    estimator = FactorizedDiffusionDensity(warm_start=True, max_iter=2, random_state=0)
    estimator.fit(chain.data).fit(chain.data)
    assert torch.equal(*splits)


def test_failed_fit_leaves_the_previous_model(chain, monkeypatch):
    """Catches new scales beside old weights."""
    estimator = FactorizedDiffusionDensity(max_iter=2, random_state=0).fit(chain.data)
    before = estimator.score_samples(chain.data)

    def fail(self, *args):
        raise FloatingPointError

    monkeypatch.setattr(training.Trainer, "_step", fail)
    with pytest.raises(FloatingPointError):
        estimator.fit(1000 * chain.data)
    np.testing.assert_array_equal(estimator.score_samples(chain.data), before)


def test_steps_are_checked_when_scoring(chain):
    estimator = FactorizedDiffusionDensity(max_iter=2, random_state=0).fit(chain.data)
    with pytest.raises(ValueError, match="n_steps must be at least 1"):
        estimator.set_params(n_steps=0).score_samples(chain.data)


def test_rounding_noise_is_a_constant_column(chain):
    X = chain.data.copy()
    X[:, 1] = np.where(np.arange(len(X)) % 2, 0.1, np.nextafter(0.1, 1))
    with pytest.warns(UserWarning, match="constant"):
        estimator = FactorizedDiffusionDensity(max_iter=2, random_state=0).fit(X)
    spread = estimator.sample(2000, random_state=0)[:, 1].std()
    assert spread == pytest.approx(estimator.noise_floor, rel=0.05)


def test_pickle_and_joblib_keep_every_bit(fitted, chain, tmp_path):
    expected = fitted.score_samples(chain.data), fitted.sample(4, random_state=0)
    joblib.dump(fitted, tmp_path / "model.joblib")
    copies = [
        pickle.loads(pickle.dumps(fitted)),
        joblib.load(tmp_path / "model.joblib", mmap_mode="r"),
    ]
    for loaded in copies:
        np.testing.assert_array_equal(loaded.score_samples(chain.data), expected[0])
        np.testing.assert_array_equal(loaded.sample(4, random_state=0), expected[1])


def test_pickle_gives_the_same_scores_in_a_fresh_process(fitted, chain, tmp_path):
    np.save(tmp_path / "X.npy", chain.data)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(fitted))
    script = (
        "import pickle, sys, numpy as np, torch;"
        f"torch.set_num_threads({torch.get_num_threads()});"
        "model = pickle.load(open('model.pickle', 'rb'));"
        "np.save('scores.npy', model.score_samples(np.load('X.npy')))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    found = np.load(tmp_path / "scores.npy")
    np.testing.assert_array_equal(found, fitted.score_samples(chain.data))


def test_model_from_the_future_says_so(fitted):
    state = fitted.__getstate__()
    state["format_version_"] = 99
    with pytest.raises(ValueError, match="format 99.*upgrade"):
        FactorizedDiffusionDensity().__setstate__(state)


def test_saved_state_holds_no_tensors(fitted):
    fitted.sample(1)
    assert b"torch" not in pickle.dumps(fitted)


def test_clone_of_a_fit_is_unfitted(fitted):
    assert not hasattr(clone(fitted), "model_")


def test_verbose_prints_progress(chain, capsys):
    FactorizedDiffusionDensity(max_iter=60, verbose=1, random_state=0).fit(chain.data)
    out = capsys.readouterr().out
    assert "step 50 of 60: loss" in out
    assert "held-out" in out


def test_frame_in_frame_out(chain):
    names = ["height", "a b", "Ünit (m²)"]
    frame = pd.DataFrame(chain.data, columns=names)
    graph = nx.DiGraph([("height", "a b"), ("a b", "Ünit (m²)")])
    estimator = FactorizedDiffusionDensity(graph, max_iter=5, random_state=0).fit(frame)
    samples = estimator.sample(3, random_state=0, as_frame=True)
    assert list(samples.columns) == names
    assert "p(a b | height)" in str(estimator.factorization_)
    estimator.score_samples(samples)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"hidden_size": 0}, ValueError, "hidden_size must be at least 1, got 0"),
        ({"hidden_size": 3.5}, TypeError, "hidden_size must be an integer, got 3.5"),
        ({"n_layers": "2"}, TypeError, "n_layers must be an integer"),
        ({"max_iter": True}, TypeError, "max_iter must be an integer or None, got True"),
        ({"dropout": 1.0}, ValueError, r"dropout must be in \[0, 1\), got 1.0"),
        ({"noise_floor": 0}, ValueError, r"noise_floor must be in \(0, 1\]"),
        ({"noise_floor": np.nan}, ValueError, "noise_floor must be in"),
        ({"learning_rate_init": -1e-3}, ValueError, "learning_rate_init"),
        ({"validation_fraction": 1}, ValueError, r"in \(0, 1\), got 1"),
        ({"early_stopping": "yes"}, TypeError, "True or False"),
        ({"device": "gpu"}, ValueError, "'gpu' is not a torch device"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of 'float32', 'float64'"),
        ({"max_factor_size": 0}, ValueError, "max_factor_size"),
        ({"graph": "tree"}, ValueError, "graph must be one of .auto. or a networkx"),
        ({"verbose": None}, TypeError, "verbose"),
    ],
)
def test_wrong_parameter_is_named_before_training(chain, parameters, error, message):
    with pytest.raises(error, match=message):
        FactorizedDiffusionDensity(**parameters).fit(chain.data)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([[1.0, np.nan], [2.0, 3.0]]), "NaN"),
        (
            np.array([[1.0, np.inf], [2.0, 3.0]]),
            r"infinite values in 1 of 2 rows .*\[1\]",
        ),
        (np.array([["a", "b"], ["c", "d"]]), r"columns \[0, 1\] of X hold text"),
        (
            np.array([["2026-01-01"], ["2026-01-02"]], dtype="datetime64"),
            r"columns \[0\]",
        ),
        (np.array([[1], [2]], dtype="timedelta64[h]"), r"columns \[0\] .* durations"),
        (np.array([[b"1"], [b"2"]]), r"columns \[0\] .* astype"),
        (np.array([[1.0, "a"], [2.0, "b"]], dtype=object), r"columns \[1\] of X hold"),
        (np.array([1.0, 2.0]), "2D array"),
        (np.zeros((0, 2)), "0 sample"),
        (np.zeros((1, 2)), "1 sample"),
    ],
)
def test_wrong_table_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        FactorizedDiffusionDensity().fit(X)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"v": np.nan}, r"NaN in 3 of 3 rows \(columns \['v'\]\).*marginal\(columns\)"),
        ({"u": [1, -np.inf, 2]}, r"infinite values in 1 of 3 rows \(columns \['u'\]\)"),
        ({"u": ["1", "2", "3"]}, r"columns \['u'\] of X hold text"),
    ],
)
def test_rows_that_have_no_density_are_refused_by_column(changed, message):
    table = pd.DataFrame({"u": [1.0, 2.0, 3.0], "v": [2.0, 1.0, 2.0]})
    density = KernelScoreDensity(bandwidth=0.5).fit(table)
    changed = table.assign(**changed)
    with pytest.raises(ValueError, match=message):
        density.score_samples(changed)
    if not changed.isna().any(axis=None):
        with pytest.raises(ValueError, match=message):
            density.impute(changed)


@pytest.mark.parametrize(
    "column",
    [
        ["u", "v", "u"],
        pd.Categorical(["u", "v", "u"]),
        pd.date_range("2026-01-01", periods=3),
        [1.5, "v", 2.5],
        [datetime.date(2026, 1, 1)] * 3,
        [datetime.time(12)] * 3,
        pd.to_timedelta([1, 2, 3], unit="h"),
    ],
)
def test_columns_of_text_or_dates_are_named(column):
    table = pd.DataFrame({"x": [1.0, 2.0, 3.0], "kind": column})
    with pytest.raises(ValueError, match=r"columns \['kind'\] of X hold text"):
        FactorizedDiffusionDensity().fit(table)


def test_numbers_of_any_type_are_numbers():
    """Catches a check of types that refuses what can be fitted."""
    x, kinds = pd.Series([1, 2, 4, 3]), ("object", "Int64", "int8", "float32")
    table = pd.DataFrame({kind: x.astype(kind) for kind in kinds})
    with pytest.warns(ConvergenceWarning, match="nothing was trained"):
        assert FactorizedDiffusionDensity().fit(table).n_features_in_ == 4
    table["missing"] = pd.array([1, None, 2, 3], dtype="Int64")
    with pytest.raises(ValueError, match="NaN in 1 of 4 rows"):
        FactorizedDiffusionDensity().fit(table)


def test_inference_mode_of_torch_changes_nothing(chain):
    options = {"max_iter": 20, "max_iter_likelihood": 4, "random_state": 0}
    expected = FactorizedDiffusionDensity(**options).fit(chain.data)
    with torch.inference_mode():
        model = FactorizedDiffusionDensity(**options).fit(chain.data)
        # builds the networks, which the gradient outside uses, too
        model.score_samples(chain.data[:5])
        inside = model.log_density_gradient(chain.data[:5])
    assert model.loss_curve_ == expected.loss_curve_
    np.testing.assert_array_equal(inside, model.log_density_gradient(chain.data[:5]))
    np.testing.assert_array_equal(inside, expected.log_density_gradient(chain.data[:5]))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, -1.0, 1.0], "must not be negative"),
        ([0.0, 0.0, 0.0], "zero"),
        ([1.0, 0.0, 0.0], "only 1 sample"),
        ([1.0, 1.0], "inconsistent"),
        ([[1.0], [1.0], [1.0]], "one-dimensional"),
        ([1.0, np.nan, 1.0], "NaN"),
    ],
)
def test_wrong_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        FactorizedDiffusionDensity().fit(np.eye(3), sample_weight=weight)


@pytest.mark.parametrize("n_samples", [0, -1, 2.5, "3"])
def test_wrong_number_of_samples_is_refused(fitted, n_samples):
    with pytest.raises((ValueError, TypeError), match="n_samples must be"):
        fitted.sample(n_samples)


def test_sparse_matrix_is_refused():
    from scipy.sparse import csr_array

    with pytest.raises(TypeError, match="[Ss]parse"):
        FactorizedDiffusionDensity().fit(csr_array(np.eye(4)))


def test_integer_labels_are_refused_because_nodes_are_positions(chain):
    frame = pd.DataFrame(chain.data, columns=[2, 0, 1])
    with pytest.raises(ValueError, match=r"astype\(str\)"):
        FactorizedDiffusionDensity(nx.path_graph(3)).fit(frame)


def test_kept_weights_score_at_least_as_well_as_the_start(fitted):
    assert fitted.best_validation_score_ >= fitted.validation_scores_[0]


def test_score_is_that_of_the_average_of_different_networks(chain):
    """Catches one member that stands for all, and members that start or end equal."""
    options = QUICK | {"n_networks": 2, "max_iter": 60}
    both = FactorizedDiffusionDensity(chain.graph, **options).fit(chain.data)
    first, second = ([s["arrays"] for s in m] for m in both.model_["members"])
    assert not np.array_equal(first[0]["w_inner"], second[0]["w_inner"])
    mean = copy.deepcopy(both)
    # the last layer is linear, so an average of equal networks but for it is their mean
    ensemble = copy.deepcopy(both.model_["members"])
    ensemble[1] = copy.deepcopy(ensemble[0])
    for name in ("w_out", "b_out"):
        ensemble[1][0]["arrays"][name] = np.zeros_like(first[0][name])
    mean.model_, mean._cache = {"members": ensemble, "beside": []}, None
    halved = copy.deepcopy(ensemble[:1])
    for name in ("w_out", "b_out"):
        halved[0][0]["arrays"][name] = first[0][name] / 2
    half = copy.deepcopy(both)
    half.model_, half._cache = {"members": halved, "beside": []}, None
    X = chain.data[:20]
    np.testing.assert_allclose(mean.score_samples(X), half.score_samples(X), atol=1e-4)


def test_estimator_bends_heavy_tails():
    X = make_heavy_tails(200, 1, df=2, random_state=0).data
    density = FactorizedDiffusionDensity(**QUICK).set_params(max_iter=2).fit(X)
    assert np.isfinite(density.margins_.width).all()


@pytest.mark.parametrize(
    ("n_rows", "expected"), [(4000, (2, 512, 2000, 100)), (4001, (1, 1024, 4000, 200))]
)
def test_defaults_follow_the_rows(n_rows, expected):
    nothing = dict.fromkeys(FOLLOW_ROWS) | {"early_stopping": True}
    assert tuple(suited(nothing, n_rows, False).values()) == expected
    with_joint = tuple(suited(nothing, n_rows, True).values())
    assert with_joint == (1, expected[1], 2000, 0)
    given = {"n_networks": 3, "batch_size": 4, "max_iter": 50, "max_iter_likelihood": 0}
    assert suited(nothing | given, n_rows, False) == given
    unjudged = suited(nothing | {"early_stopping": False}, n_rows, False)
    assert unjudged["max_iter_likelihood"] == 0
    assert suited(nothing | {"max_iter": 50}, n_rows, False)["max_iter_likelihood"] == 2


def test_warm_start_refuses_another_number_of_networks(chain):
    options = QUICK | {"max_iter": 2, "warm_start": True}
    density = FactorizedDiffusionDensity(**options).fit(chain.data)
    with pytest.raises(ValueError, match="n_networks changed"):
        density.set_params(n_networks=2).fit(chain.data)
    density.set_params(n_networks=None).fit(chain.data)
    assert len(density.model_["members"]) == 1


def test_model_of_another_format_says_what_to_do(fitted):
    state = fitted.__getstate__()
    for version, advice in ((1, "fit it again"), (99, "upgrade skdiffusion")):
        loaded = FactorizedDiffusionDensity.__new__(FactorizedDiffusionDensity)
        with pytest.raises(ValueError, match=f"format {version}.*{advice}"):
            loaded.__setstate__(state | {"format_version_": version})

"""Joint and mixed models, and shared weights, through the estimator."""

import pickle
import warnings

import networkx as nx
import numpy as np
import pytest
import torch
from conftest import standard_normal
from test_factorized import integral

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.datasets import make_lattice, make_nonlinear_chain
from skdiffusion.flow import log_density_of_own
from skdiffusion.graphs import factorize
from skdiffusion.margin_choice import fit_margins
from skdiffusion.metrics import integration_error, paired_difference

QUICK = {
    "diffusion": "joint",
    "max_iter": 60,
    "hidden_size": 16,
    "random_state": 0,
    "n_networks": 1,
}


@pytest.fixture(scope="module")
def cycle():
    """Four columns of a lattice, and a short joint fit to them."""
    table = make_lattice(300, n_rows=2, n_columns=2, random_state=0)
    return table, FactorizedDiffusionDensity(table.graph, **QUICK).fit(table.data)


def test_density_of_one_column_integrates_to_one():
    rng = np.random.RandomState(0)
    X = np.concatenate([rng.normal(-3, 0.2, 150), rng.normal(2, 0.7, 150)])[:, None]
    estimator = FactorizedDiffusionDensity(**{**QUICK, "max_iter": 300}).fit(X)
    assert integral(estimator) == pytest.approx(1, abs=1e-3)


def test_density_given_a_column_integrates_to_one():
    """A joint block given a cut node: fixing that node leaves a density."""
    graph = nx.Graph([(0, 1), (1, 2), (2, 3), (3, 0), (3, 4), (4, 5), (5, 6), (6, 3)])
    X = np.random.RandomState(0).standard_normal((200, 7))
    X[:, 4] += 0.8 * np.sign(X[:, 3])
    options = {**QUICK, "diffusion": "auto", "max_factor_size": 2}
    estimator = FactorizedDiffusionDensity(graph, **options).fit(X)
    blocks = estimator.factorization_.blocks
    assert [b.engine for b in blocks] == ["joint", "joint"]
    assert [len(b.context) for b in blocks] == [0, 1]
    inside = blocks[1].columns
    axis = np.linspace(-6, 6, 17)
    cube = np.stack(np.meshgrid(*[axis] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    rows = np.tile(X[:1], (len(cube), 1))
    rows[:, list(inside)] = cube
    log_density = estimator.score_samples(rows)
    # what the other block adds is one number for all rows
    mass = np.exp(log_density - log_density.max()).sum() * (axis[1] - axis[0]) ** 3
    total = np.log(mass) + log_density.max()
    first = estimator._denoisers()[0]
    with torch.no_grad():
        z = torch.tensor(estimator.margins_.forward(X[:1]))
        part = log_density_of_own(first, z, estimator._path()).sum().item()
    part += estimator.margins_.log_derivative(X[:1])[0] * 4 / 7
    scales = np.log(estimator.margins_.scale)
    part = part + scales.sum() * 4 / 7 - scales[list(first.columns)].sum()
    assert total == pytest.approx(part, abs=0.02)


def test_samples_have_the_density_that_is_scored():
    """Moments and entropy from a grid and from samples; they differ for another law."""
    table = make_lattice(300, n_rows=1, n_columns=3, random_state=0)
    estimator = FactorizedDiffusionDensity(table.graph, **QUICK).fit(table.data)
    axis = np.linspace(-5, 5, 41)
    grid = np.stack(np.meshgrid(*[axis] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    log_density = estimator.score_samples(grid)
    mass = np.exp(log_density) * (axis[1] - axis[0]) ** 3
    assert mass.sum() == pytest.approx(1, abs=1e-3)
    samples = estimator.sample(3000, random_state=0)
    for i, j in [(0, 1), (0, 2), (1, 2), (2, 2)]:
        product = lambda x, i=i, j=j: np.tanh(x[:, i]) * np.tanh(x[:, j])
        error = product(samples).std() / np.sqrt(3000)
        expected = mass @ product(grid)
        assert product(samples).mean() == pytest.approx(expected, abs=4 * error)
    scored = estimator.score_samples(samples)
    error = scored.std() / np.sqrt(3000)
    assert scored.mean() == pytest.approx(mass @ log_density, abs=4 * error)


def test_default_steps_keep_the_integration_error_small(cycle):
    table, estimator = cycle
    error = integration_error(estimator, table.data[:100])
    assert abs(error.mean_per_column) <= 5e-4
    assert error.rms <= 0.02


def test_mixed_model_is_the_sum_of_its_parts():
    """Independent components fitted at once: their log-densities add up."""
    rng = np.random.RandomState(0)
    graph = nx.disjoint_union(nx.cycle_graph(4), nx.path_graph(2))
    graph.add_node(6)
    X = rng.standard_normal((120, 7))
    options = {**QUICK, "diffusion": "auto", "max_factor_size": 2}
    estimator = FactorizedDiffusionDensity(graph, **options).fit(X)
    engines = [b.engine for b in estimator.factorization_.blocks]
    assert sorted(engines) == ["conditional"] * 3 + ["joint"]
    changed = X[:10].copy()
    changed[:, 4:] = X[10:20, 4:]
    swapped = X[10:20].copy()
    swapped[:, 4:] = X[:10, 4:]
    before = estimator.score_samples(X[:10]) + estimator.score_samples(X[10:20])
    after = estimator.score_samples(changed) + estimator.score_samples(swapped)
    np.testing.assert_allclose(before, after, rtol=1e-6)
    assert estimator.sample(3, random_state=0).shape == (3, 7)


def test_gradient_is_that_of_score_samples(cycle):
    table, estimator = cycle
    estimator = pickle.loads(pickle.dumps(estimator)).set_params(dtype="float64")
    X, step = table.data[:3], 1e-5
    gradient = estimator.log_density_gradient(X)
    for j in range(4):
        moved = [X + s * step * np.eye(4)[j] for s in (1, -1)]
        above, below = (estimator.score_samples(m) for m in moved)
        np.testing.assert_allclose(
            gradient[:, j], (above - below) / (2 * step), rtol=1e-4, atol=1e-4
        )


def test_equal_seeds_give_equal_bits_and_leave_the_global_state_alone(cycle):
    table, estimator = cycle
    state = torch.random.get_rng_state()
    again = FactorizedDiffusionDensity(table.graph, **QUICK).fit(table.data)
    assert torch.equal(state, torch.random.get_rng_state())
    X = table.data[:5]
    np.testing.assert_array_equal(again.score_samples(X), estimator.score_samples(X))


def test_pickle_keeps_every_bit(cycle):
    table, estimator = cycle
    again = pickle.loads(pickle.dumps(estimator))
    X = table.data[:5]
    np.testing.assert_array_equal(again.score_samples(X), estimator.score_samples(X))


def test_warm_start_continues_and_refuses_other_sizes(cycle):
    table, _ = cycle
    estimator = FactorizedDiffusionDensity(table.graph, **QUICK, warm_start=True)
    estimator.fit(table.data)
    first = estimator.best_validation_score_
    estimator.fit(table.data)
    assert estimator.validation_scores_[0] == pytest.approx(first, abs=1e-4)
    with pytest.raises(ValueError, match="n_rounds"):
        estimator.set_params(n_rounds=5).fit(table.data)
    with pytest.raises(ValueError, match="share_weights"):
        estimator.set_params(n_rounds=4, share_weights=True).fit(table.data)


def test_constant_column_has_the_documented_density(cycle):
    X = cycle[0].data.copy()
    X[:, 2] = 7.0
    with pytest.warns(UserWarning, match="constant"):
        estimator = FactorizedDiffusionDensity(cycle[0].graph, **QUICK).fit(X)
    off = X + [0, 0, 0.03, 0]
    # of single rows it is 0.5 up to the errors of a short fit, 0.06
    lost = estimator.score_samples(X) - estimator.score_samples(off)
    assert lost.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("diffusion", ["conditional", "joint"])
def test_shared_columns_have_one_scale_and_one_network(diffusion):
    chain = make_nonlinear_chain(200, n_features=5, random_state=0)
    options = {**QUICK, "diffusion": diffusion, "share_weights": True}
    estimator = FactorizedDiffusionDensity(chain.graph, **options).fit(chain.data)
    assert len(set(estimator.margins_.scale)) == len(set(estimator.margins_.mean)) == 1
    pooled = chain.data.std()
    assert estimator.margins_.scale[0] == pytest.approx(pooled)
    state = estimator.model_["members"][0][0]
    name = "w_inner" if diffusion == "conditional" else "w_message_2"
    weights = state["arrays"][name]
    # columns 1 to 4 have a parent; the first column of the chain has none
    assert all(np.array_equal(w, weights[-1]) for w in weights[1:])
    if diffusion == "conditional":
        assert not np.array_equal(weights[0], weights[1])
        part = estimator.score_samples(chain.data[:4])
        assert np.isfinite(part).all()


@pytest.mark.parametrize("diffusion", ["conditional", "joint"])
def test_shared_weights_stay_equal_at_odd_sizes(diffusion):
    """Optimisers may round entries by their place in memory."""
    chain = make_nonlinear_chain(150, n_features=7, random_state=0)
    options = {**QUICK, "diffusion": diffusion, "share_weights": True, "hidden_size": 9}
    estimator = FactorizedDiffusionDensity(chain.graph, **options).fit(chain.data)
    state = estimator.model_["members"][0][0]
    kinds = np.array(state["kinds" if diffusion == "conditional" else "column_kinds"])
    for name, array in state["arrays"].items():
        if name.startswith(("w_", "b_")) and len(array) == len(kinds):
            alike = array[kinds == kinds[-1]]
            assert (alike == alike[:1]).all()


def test_constant_column_among_alike_ones_keeps_its_place():
    """Pooled margins do not put it at zero."""
    X = np.random.RandomState(0).standard_normal((200, 4))
    X[:, 2] = 7
    options = {**QUICK, "share_weights": True}
    estimator = FactorizedDiffusionDensity(nx.path_graph(4), **options).fit(X)
    assert estimator.score(X) > -10
    assert np.abs(estimator.sample(50, random_state=0)[:, 2] - 7).max() < 1


def test_components_share_their_weights():
    X = np.random.RandomState(0).standard_normal((150, 5))
    options = {**QUICK, "share_weights": True}
    graph = nx.Graph([(0, 1), (2, 3)])
    graph.add_node(4)
    estimator = FactorizedDiffusionDensity(graph, **options).fit(X)
    state = estimator.model_["members"][0][0]
    first, second = state["arrays"]["w_message_2"]
    assert np.array_equal(first, second)
    assert first.any()


def test_shared_conditionals_are_one_function():
    """The conditional of a column given its parent is the same along the chain."""
    chain = make_nonlinear_chain(200, n_features=4, random_state=0)
    options = {**QUICK, "diffusion": "conditional", "share_weights": True}
    estimator = FactorizedDiffusionDensity(chain.graph, **options).fit(chain.data)
    a, b = 0.3, -0.4

    def change(position):
        """Effect on the log-density of another value at one position."""
        rows = np.array([[a] * 4, [a] * 4])
        rows[1, position] = b
        low, high = estimator.score_samples(rows)
        return high - low

    assert change(1) == pytest.approx(change(2), abs=1e-5)


def test_many_colours_warn_of_their_cost():
    X = np.random.RandomState(0).standard_normal((60, 34))
    options = {**QUICK, "max_iter": 1, "hidden_size": 4}
    with pytest.warns(UserWarning, match="34 derivatives.*35 evaluations.*n_rounds"):
        FactorizedDiffusionDensity(**options).fit(X)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"diffusion": "join"}, ValueError, "'joint'"),
        ({"n_rounds": 0}, ValueError, "n_rounds must be at least 1"),
        ({"n_rounds": 2.5}, TypeError, "n_rounds must be an integer"),
        ({"share_weights": 1}, TypeError, "share_weights must be True or False"),
        ({"share_weights": "kind"}, ValueError, "no attribute of the graph"),
        ({"dropout": 1.0}, ValueError, "dropout"),
    ],
)
def test_wrong_parameter_is_named_before_training(cycle, parameters, error, message):
    table, _ = cycle
    with pytest.raises(error, match=message):
        FactorizedDiffusionDensity(table.graph, **{**QUICK, **parameters}).fit(table.data)


@pytest.mark.slow
def test_shared_messages_beat_completion_on_a_lattice():
    """All else equal: networks that denoise only. By 0.09 nats in docs/theory.md."""
    table = make_lattice(2000, n_rows=3, n_columns=3, random_state=0)
    fresh = make_lattice(1000, n_rows=3, n_columns=3, random_state=1).data
    options = {"max_iter_likelihood": 0, "max_components": 0, "normal_scores": False}
    joint, conditional = (
        FactorizedDiffusionDensity(table.graph, random_state=0, **options, **own)
        .fit(table.data)
        .score_samples(fresh)
        for own in (
            {"diffusion": "joint", "share_weights": True},
            {"diffusion": "conditional"},
        )
    )
    gain = paired_difference(joint, conditional)
    assert gain.mean > 2 * gain.standard_error


@pytest.mark.parametrize(
    ("factor", "shift", "warns"),
    [(1e3, 0.0, True), (1.0, 5e3, True), (20.0, 20.0, False)],
)
def test_columns_of_other_units_that_share_are_named(factor, shift, warns):
    X = standard_normal(60, 4)
    X[:, 2] = factor * X[:, 2] + shift
    # a column that hardly varies, and one that does not, are no other units
    X = np.column_stack([X, 1e-3 * X[:, 0], np.full(60, 0.1)])
    given = X, np.ones(60), factorize(nx.path_graph(6), 6, share_weights=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_margins(*given, "auto", 0.03)
    assert [("share their weights" in str(w.message)) for w in caught] == [True] * warns

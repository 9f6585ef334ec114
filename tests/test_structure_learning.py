"""Graphs learned from rows: known structures are found, and chosen when they help."""

import warnings

import networkx as nx
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion._selection import _best, choose_graph, learned_graphs
from skdiffusion.datasets import make_nonlinear_chain
from skdiffusion.graphs import _lasso, chow_liu_tree, graphical_lasso_graph, greedy_dag

# small and short: enough for differences of a nat
FAST = {"hidden_size": 16, "n_layers": 1, "n_networks": 1, "n_steps": 4, "max_iter": 150}
LEARNERS = [chow_liu_tree, graphical_lasso_graph, greedy_dag]


def gaussian(n, edges, n_columns, strength=0.35, seed=0):
    """Rows whose precision matrix is one on the diagonal and `strength` at the edges."""
    precision = np.eye(n_columns)
    for i, j in edges:
        precision[i, j] = precision[j, i] = strength
    covariance = np.linalg.inv(precision)
    return np.random.RandomState(seed).multivariate_normal(
        np.zeros(n_columns), covariance, n
    )


def collider(n, seed=0):
    """Columns 0 and 1 cause column 2; 3 has nothing to do with them."""
    X = np.random.RandomState(seed).standard_normal((n, 4))
    X[:, 2] = X[:, 0] * X[:, 1] + 0.3 * X[:, 2]
    return X


def edges(graph):
    return {frozenset(edge) for edge in graph.edges}


def expected(pairs):
    return {frozenset(pair) for pair in pairs}


@pytest.mark.parametrize("rho", [-0.95, -0.5, 0.3, 0.8])
def test_information_of_normal_pairs_is_the_closed_form(rho):
    """Catches a forgotten one half, and ranks that are not turned into normal scores."""
    X = np.random.RandomState(0).multivariate_normal([0, 0], [[1, rho], [rho, 1]], 5000)
    found = chow_liu_tree(np.exp(X)).edges[0, 1]["mutual_information"]
    assert found == pytest.approx(-0.5 * np.log(1 - rho**2), rel=0.05, abs=0.005)


def test_information_without_correlation_is_found_and_not_exceeded():
    """Y = X^2 + noise; the truth by quadrature is 0.430 nats, bins lose some of it."""
    x, noise = np.random.RandomState(0).standard_normal((2, 5000))
    found = chow_liu_tree(np.column_stack([x, x**2 + noise]))
    assert 0.35 < found.edges[0, 1]["mutual_information"] < 0.45


def test_information_of_a_fair_bit_is_log_two():
    """Catches normal scores of ties taken for normal columns, which say 13.8 nats."""
    bit = np.arange(1000) % 2
    tree = chow_liu_tree(np.column_stack([bit, 5 - 2 * bit]))
    assert tree.edges[0, 1]["mutual_information"] == pytest.approx(np.log(2), abs=0.002)


def test_tree_of_normal_columns_is_recovered():
    truth = expected([(0, 3), (3, 1), (3, 4), (4, 2), (4, 5)])
    assert edges(chow_liu_tree(gaussian(1500, truth, 6))) == truth


def test_nonlinear_chain_is_recovered_in_any_order():
    table = make_nonlinear_chain(1000, n_features=6, random_state=0).data
    order = np.random.RandomState(1).permutation(6)
    place = np.argsort(order)
    truth = expected((int(place[j]), int(place[j + 1])) for j in range(5))
    assert edges(chow_liu_tree(table[:, order])) == truth
    assert edges(greedy_dag(table[:, order], max_rows=400, random_state=0)) == truth


@pytest.mark.parametrize("learner", LEARNERS)
def test_independent_columns_stay_isolated(learner):
    """Catches thresholds without correction for the number of pairs."""
    X = np.random.RandomState(3).standard_normal((400, 8))
    # the criterion of the lasso is no test; its usual weight lets one edge through here
    options = {"gamma": 1.0} if learner is graphical_lasso_graph else {}
    graph = learner(X, **options)
    assert list(graph) == list(range(8))
    assert graph.number_of_edges() == 0


def test_level_bounds_the_chance_of_any_edge():
    """Over 200 independent tables 5 percent expected; 11 percent is 4 deviations more."""
    tables = np.random.RandomState(0).standard_normal((200, 100, 4))
    some = [chow_liu_tree(X, level=0.05).number_of_edges() > 0 for X in tables]
    assert np.mean(some) < 0.11


def test_information_of_independent_columns_is_zero():
    """Catches the bias of the bins, 0.04 nats here."""
    X = np.random.RandomState(0).standard_normal((1000, 6))
    tree = chow_liu_tree(X, level=1)
    assert max(v for *_, v in tree.edges.data("mutual_information")) < 0.02


def test_level_one_joins_all_columns():
    X = np.random.RandomState(0).standard_normal((100, 5))
    assert nx.is_tree(chow_liu_tree(X, level=1))


def test_lasso_recovers_edges_and_partial_correlations():
    """The oracle: partial correlations are minus the precision matrix's entries."""
    truth = expected([(0, 1), (1, 2), (2, 3), (3, 0), (4, 5)])
    graph = graphical_lasso_graph(np.exp(gaussian(3000, truth, 7, strength=0.3)))
    assert edges(graph) == truth
    found = [r for *_, r in graph.edges.data("partial_correlation")]
    np.testing.assert_allclose(found, -0.3, atol=0.05)


def test_lasso_with_one_penalty_and_with_fewer_rows_than_columns():
    X = gaussian(1000, [(0, 1)], 3)
    assert edges(graphical_lasso_graph(X, alpha=0.1)) == expected([(0, 1)])
    assert graphical_lasso_graph(X, alpha=1.0).number_of_edges() == 0
    wide = np.random.RandomState(0).standard_normal((10, 20))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert len(graphical_lasso_graph(wide)) == 20


def test_lasso_says_which_penalties_failed(monkeypatch):
    X = np.random.RandomState(0).randn(3, 30)
    with pytest.raises(ValueError, match=r"did not converge for alpha=1e-12. Raise"):
        graphical_lasso_graph(X, alpha=1e-12)
    monkeypatch.setattr(_lasso, "_path", lambda correlation, n_alphas: [0.5, 1e-12])
    with pytest.warns(ConvergenceWarning, match=r"penalties .*'1e-12'\]"):
        graphical_lasso_graph(X)


def test_one_penalty_is_judged_like_many():
    X = np.random.RandomState(0).standard_normal((300, 6))
    assert len(graphical_lasso_graph(X, n_alphas=1).edges) == 0


def test_both_causes_are_found_though_no_pair_is_correlated():
    graph = greedy_dag(collider(600), max_rows=400, random_state=0)
    assert set(graph.edges) == {(0, 2), (1, 2)}
    assert min(gain for *_, gain in graph.edges.data("gain")) > 0.3


def test_directed_search_is_acyclic_and_within_its_limits():
    X = np.random.RandomState(0).standard_normal((300, 6)).cumsum(axis=1)
    X[:, 5] += X[:, 0] ** 2
    graph = greedy_dag(X, max_parents=1, max_rows=200, random_state=0)
    assert nx.is_directed_acyclic_graph(graph)
    assert max(degree for _, degree in graph.in_degree) == 1
    ordered = greedy_dag(X, in_order=True, max_rows=200, random_state=0)
    assert all(i < j for i, j in ordered.edges)
    assert ordered.number_of_edges() >= 5


def test_search_over_random_rows_can_be_repeated():
    X = np.random.RandomState(0).standard_normal((300, 4)).cumsum(axis=1)
    one, same = (greedy_dag(X, max_rows=100, random_state=5) for _ in range(2))
    assert list(one.edges.data("gain")) == list(same.edges.data("gain"))


@pytest.mark.parametrize("learner", LEARNERS)
def test_integer_weights_count_rows_as_often(learner):
    """Rows of weight zero count for nothing; a bad row is one of them."""
    X = gaussian(300, [(0, 1), (1, 2)], 4)
    bad = np.column_stack([np.full((50, 3), 1e6), np.arange(50)])
    weight = np.r_[np.ones(300), np.zeros(50)]
    weighted = learner(np.r_[X, bad], sample_weight=weight)
    assert nx.utils.graphs_equal(weighted, learner(X))


def test_weights_are_repetitions_of_rows():
    X = gaussian(200, [(0, 1)], 2, strength=0.8)
    weight = np.where(np.arange(200) < 100, 2.0, 1.0)
    weighted = chow_liu_tree(X, sample_weight=weight)
    repeated = chow_liu_tree(np.r_[X, X[:100]])
    for a, b in weighted.edges:
        value = weighted.edges[a, b]["mutual_information"]
        other = repeated.edges[a, b]["mutual_information"]
        # repeated rows are ties, and corrections of the bias count effective rows
        assert value == pytest.approx(other, abs=0.005)


@pytest.mark.parametrize("learner", LEARNERS)
def test_constant_tied_and_copied_columns(learner):
    X = gaussian(200, [(0, 1)], 4)
    X[:, 2] = 7.0
    X[:, 3] = np.round(X[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        graph = learner(np.column_stack([X, X[:, 1]]))
    assert graph.degree(2) == 0
    assert {frozenset((0, 3)), frozenset((1, 4))} <= edges(graph)


@pytest.mark.parametrize("learner", LEARNERS)
def test_three_rows_are_enough_and_two_are_not(learner):
    X = np.random.RandomState(0).standard_normal((3, 2))
    assert len(learner(X)) == 2
    with pytest.raises(ValueError, match="at least 3"):
        learner(X[:2])


@pytest.mark.parametrize("learner", LEARNERS)
def test_nodes_are_names_where_there_are_some(learner):
    pd = pytest.importorskip("pandas")
    X = gaussian(300, [(0, 2)], 3, seed=1)
    assert edges(learner(pd.DataFrame(X, columns=list("abc")))) == expected(["ac"])
    assert edges(learner(pd.DataFrame(X))) == expected([(0, 2)])
    with pytest.raises(ValueError, match="Rename them"):
        learner(pd.DataFrame(X, columns=["a", 1, 2]))
    with pytest.raises(ValueError, match="same name"):
        learner(pd.DataFrame(X, columns=["a", "a", "b"]))


@pytest.mark.parametrize("learner", LEARNERS)
def test_missing_values_are_refused(learner):
    X = gaussian(20, [(0, 1)], 2)
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="X contains NaN"):
        learner(X)


@pytest.mark.parametrize(
    ("learner", "options", "error"),
    [
        (chow_liu_tree, {"level": 1.5}, ValueError),
        (chow_liu_tree, {"sample_weight": -np.ones(20)}, ValueError),
        (graphical_lasso_graph, {"alpha": 0}, ValueError),
        (graphical_lasso_graph, {"gamma": 2}, ValueError),
        (graphical_lasso_graph, {"n_alphas": 2.5}, TypeError),
        (greedy_dag, {"max_parents": 0}, ValueError),
        (greedy_dag, {"in_order": "yes"}, TypeError),
        (greedy_dag, {"n_standard_errors": -1}, ValueError),
    ],
)
def test_parameters_out_of_range_are_refused(learner, options, error):
    with pytest.raises(error, match=next(iter(options))):
        learner(gaussian(20, [(0, 1)], 2), **options)


# ------------------------------------------------------------------ graph="auto"


def learning(graph="auto", **options):
    return FactorizedDiffusionDensity(graph, random_state=0, **FAST | options)


@pytest.fixture(scope="module")
def table():
    return make_nonlinear_chain(400, n_features=4, random_state=0).data


@pytest.fixture(scope="module")
def automatic(table):
    """A fit that chose its graph itself; tests must not change it."""
    return learning().fit(table)


def test_the_chain_is_chosen_over_no_graph(automatic):
    assert edges(automatic.graph_) == expected([(0, 1), (1, 2), (2, 3)])
    scores = automatic.graph_scores_
    assert set(scores) == {"none", "tree", "lasso", "dag", "ordered dag"}
    assert max(scores.values()) > scores["none"] + 0.1
    assert ", learned (" in str(automatic.factorization_)


def test_the_fit_is_that_with_the_chosen_graph(automatic, table):
    """Catches a final fit on a part of the rows, or of a short fit's length."""
    given = learning(automatic.graph_).fit(table)
    np.testing.assert_array_equal(
        given.score_samples(table[:20]), automatic.score_samples(table[:20])
    )
    assert given.graph_ is automatic.graph_
    assert given.graph_scores_ == {}


def test_a_dense_table_keeps_its_largest_factor():
    """A sphere: the last column depends on all others, whatever the order."""
    X = np.random.RandomState(0).standard_normal((300, 3))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    assert learning().fit(X).factorization_.largest_factor == 3


def test_a_graph_must_be_clearly_better_than_none():
    """Paired differences of mean 0.1: with standard error 0.05 clear, with 0.2 not."""
    graphs = {"none": None, "tree": nx.Graph()}
    noise = np.r_[np.ones(50), -np.ones(50)] * np.sqrt(99)
    for error, chosen in ((0.05, graphs["tree"]), (0.2, None)):
        gains = 0.1 + error * noise
        judged = {"none": np.zeros(100), "tree": gains, "lasso": np.full(100, np.nan)}
        choice = _best(graphs, judged, np.ones(100))
        assert choice.graph is chosen
        assert "tree" in choice.note
        assert f"+0.100 ({error:.3f}) nats" in choice.note


def test_names_and_sharing_go_along(table):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(table, columns=list("abcd"))
    density = learning(share_weights=True).fit(frame)
    assert edges(density.graph_) == expected(["ab", "bc", "cd"])
    assert density.factorization_.sharing is not None


def test_weights_reach_learners_and_judgement(table):
    """Rows of hardly any weight tell of another graph: 0 and 3 are joined, no others."""
    other = np.random.RandomState(0).standard_normal((400, 4))
    other[:, 3] = other[:, 0] + 0.1 * other[:, 3]
    X, weight = np.r_[table, other], np.r_[np.ones(400), np.full(400, 1e-9)]
    alone = learned_graphs(table, np.ones(400), 0)
    for name, graph in learned_graphs(X, weight, 0).items():
        assert edges(graph) == edges(alone[name])
    # half of every batch has no weight, so that it takes more steps
    choice = choose_graph(learning(max_iter=600), X, weight)
    assert edges(choice.graph) == expected([(0, 1), (1, 2), (2, 3)])
    assert choice.scores["tree"] > choice.scores["none"]


def test_weights_reach_short_fits(table):
    class Recording(FactorizedDiffusionDensity):
        def fit(self, X, y=None, sample_weight=None):
            seen.append((X, sample_weight))
            return super().fit(X, y, sample_weight)

    seen, X = [], table[:120]
    weight = np.linspace(1, 2, 120)
    choose_graph(Recording("auto", max_iter=1, random_state=0), X, weight)
    for rows, given in seen:
        assert {*zip(rows[:, 0], given, strict=True)} < {
            *zip(X[:, 0], weight, strict=True)
        }
        assert len(rows) == 90
    assert len(seen) >= 2


def test_large_factors_are_not_judged():
    """With factors of two columns at most, a lasso graph with a triangle is out."""
    X = gaussian(200, [(0, 1), (1, 2), (2, 0)], 3, strength=0.45)
    choice = choose_graph(learning(max_factor_size=2, max_iter=1), X, np.ones(200))
    assert np.isnan(choice.scores["lasso"])
    assert np.isfinite(choice.scores["tree"])


def test_few_rows_fall_back_to_no_graph_and_say_so(table):
    density = learning(max_iter=1)
    with pytest.warns(UserWarning, match="at least 100 rows to choose a graph, got 60"):
        density.fit(table[:60])
    assert density.graph_ is None
    assert "fewer than 100 rows" in density.factorization_.source


def test_a_warm_start_keeps_the_chosen_graph(table):
    density = learning(max_iter=1, warm_start=True).fit(table[:120])
    graph, scores = density.graph_, density.graph_scores_
    density.fit(table)
    assert density.graph_ is graph
    assert density.graph_scores_ is scores
    assert "kept from the previous fit" in density.factorization_.source


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"graph": "automatic"}, "'auto' or a networkx graph or None, got 'automatic'"),
        ({"graph": "auto", "share_weights": "kind"}, "share_weights=True or False"),
    ],
)
def test_strings_that_mean_nothing_are_refused(table, parameters, message):
    with pytest.raises(ValueError, match=message):
        FactorizedDiffusionDensity(**parameters).fit(table)


# --------------------------------------------------------- graphs of other libraries


def test_edges_in_both_directions_are_refused_with_advice(table):
    """So networkx-based libraries store undirected edges of partially directed graphs."""
    graph = nx.DiGraph([(0, 1), (1, 2), (2, 1), (2, 3)])
    with pytest.raises(ValueError, match=r"both directions between \[\(1, 2\)\]"):
        learning(graph).fit(table)


def test_graphs_of_pgmpy(table):
    """A DAG is taken as it is; a partially directed graph has to be directed first."""
    pytest.importorskip("pgmpy")
    pd = pytest.importorskip("pandas")
    from pgmpy.base import DAG, PDAG

    frame = pd.DataFrame(table, columns=list("abcd"))
    chain = DAG([("a", "b"), ("b", "c"), ("c", "d")])
    density = learning(chain, max_iter=1).fit(frame)
    assert density.factorization_.structure == _chain_blocks()
    partial = PDAG(directed_ebunch=[("c", "d")], undirected_ebunch=[("a", "b")])
    with pytest.raises(ValueError, match=r"graph.to_dag\(\)"):
        learning(partial, max_iter=1).fit(frame)
    directed = learning(partial.to_dag(), max_iter=1).fit(frame)
    assert directed.factorization_.largest_factor == 2


def test_graphs_of_causal_learn(table):
    """The conversion that the user guide shows."""
    pytest.importorskip("causallearn")
    from causallearn.graph.Edge import Edge
    from causallearn.graph.Endpoint import Endpoint
    from causallearn.graph.GeneralGraph import GeneralGraph
    from causallearn.graph.GraphNode import GraphNode
    from causallearn.utils.PDAG2DAG import pdag2dag

    nodes = [GraphNode(f"X{j}") for j in range(4)]
    found = GeneralGraph(nodes)
    for j in range(3):
        ends = Endpoint.TAIL, Endpoint.ARROW
        found.add_edge(Edge(nodes[j], nodes[j + 1], *ends))
    ends = pdag2dag(found).graph
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(ends)))
    graph.add_edges_from(np.argwhere((ends == -1) & (ends.T == 1)).tolist())
    density = learning(graph, max_iter=1).fit(table)
    assert density.factorization_.structure == _chain_blocks()


def _chain_blocks():
    return tuple(((j,), (j - 1,) if j else (), ()) for j in range(4))

import networkx as nx
import pytest
from conftest import random_graph

from skdiffusion.graphs import factorize


def test_directed_graph_gives_parents_as_contexts():
    graph = nx.DiGraph([(2, 0), (1, 0), (2, 1)])
    result = factorize(graph, 3)
    assert result.contexts == {2: (), 1: (2,), 0: (1, 2)}
    assert result.generations == ((2,), (1,), (0,))
    assert (result.largest_factor, result.treewidth) == (3, 2)


def test_without_graph_every_column_depends_on_all_before():
    result = factorize(None, 4)
    assert result.contexts == {0: (), 1: (0,), 2: (0, 1), 3: (0, 1, 2)}
    assert result.cliques == ((0, 1, 2, 3),)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("p", [0.1, 0.3, 0.6])
def test_factors_of_an_undirected_graph_are_cliques_of_its_completion(seed, p):
    """Catches a wrong elimination order: a context that is no clique."""
    graph = random_graph(9, p, seed)
    result = factorize(graph, 9)
    chordal = result.markov_graph
    assert nx.is_chordal(chordal)
    assert set(map(frozenset, graph.edges)) <= set(map(frozenset, chordal.edges))
    expected = {tuple(sorted(c)) for c in nx.find_cliques(chordal)}
    assert set(result.cliques) == expected
    for block in result.blocks:
        assert chordal.subgraph(block.factor).number_of_edges() == (
            len(block.factor) * (len(block.factor) - 1) // 2
        )


@pytest.mark.parametrize("seed", range(5))
def test_contexts_come_before_their_column(seed):
    result = factorize(random_graph(8, 0.4, seed), 8)
    seen = set()
    for generation in result.generations:
        for j in generation:
            assert set(result.contexts[j]) <= seen
        seen |= set(generation)
    assert seen == set(range(8))


@pytest.mark.parametrize("seed", range(5))
def test_each_column_is_counted_once(seed):
    """Cliques that hold a column exceed separators that hold it by one."""
    result = factorize(random_graph(8, 0.3, seed), 8)
    separators = [block.context for block in result.blocks]
    factors = [block.factor for block in result.blocks]
    for j in range(8):
        n_factors = sum(j in factor for factor in factors)
        assert n_factors - sum(j in separator for separator in separators) == 1


def test_chordal_graph_is_not_completed():
    path = nx.path_graph(6)
    result = factorize(path, 6)
    assert result.treewidth == 1
    assert set(result.markov_graph.edges) == set(path.edges)


def test_cycle_is_completed_with_as_few_edges_as_possible():
    result = factorize(nx.cycle_graph(6), 6)
    assert result.treewidth == 2
    assert result.markov_graph.number_of_edges() == 6 + 3
    assert "completed with 3 edges" in str(result)


def test_isolated_column_is_independent_without_a_warning(recwarn):
    graph = nx.Graph([(0, 1)])
    graph.add_node(2)
    assert factorize(graph, 3).contexts[2] == ()
    assert not recwarn.list


def test_absent_column_warns_by_name():
    with pytest.warns(UserWarning, match=r"\['c'\].*independent"):
        result = factorize(nx.Graph([("a", "b")]), 3, column_names=["a", "b", "c"])
    assert result.contexts[2] == ()


def test_nodes_may_be_names_or_positions():
    by_name = factorize(nx.DiGraph([("a", "b")]), 2, column_names=["a", "b"])
    by_position = factorize(nx.DiGraph([(0, 1)]), 2, column_names=["a", "b"])
    assert by_name.blocks == by_position.blocks
    assert "p(b | a)" in str(by_name)


def test_printed_factorization_names_all_parts():
    text = str(factorize(nx.path_graph(3), 3, column_names=["u", "v", "w"]))
    for part in ("p(u)", "p(v | u)", "p(w | v)", "{u, v}", "treewidth: 1", "[cond"):
        assert part in text


CYCLE = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a")])


@pytest.mark.parametrize(
    ("graph", "error", "message"),
    [
        ([(0, 1)], TypeError, "got list.*networkx.DiGraph"),
        (nx.MultiGraph([(0, 1)]), ValueError, "MultiGraph.*parallel edges"),
        (nx.DiGraph([(0, 7)]), ValueError, "7 is not a column.*0 to 2"),
        (nx.DiGraph([(0, -1)]), ValueError, "-1 is not a column"),
        (nx.DiGraph([(0, 1.5)]), ValueError, "1.5 is not a column"),
        (nx.DiGraph([(True, 2)]), ValueError, "True is not a column"),
        (nx.DiGraph([("a", "z")]), ValueError, "'z' is not a column.*'a', 'b', 'c'"),
        (nx.DiGraph([("a", 0)]), ValueError, "same column"),
        (nx.Graph([(1, 1)]), ValueError, "self-loops at .'b'."),
        (CYCLE, ValueError, "directed cycle.*->"),
        (nx.complete_graph(3), ValueError, "3 columns.*max_factor_size=2"),
        (nx.DiGraph([(0, 2), (1, 2)]), ValueError, "max_factor_size=2"),
    ],
)
@pytest.mark.filterwarnings("ignore:columns")
def test_wrong_graph_is_refused_with_its_reason(graph, error, message):
    with pytest.raises(error, match=message):
        factorize(graph, 3, column_names=["a", "b", "c"], max_factor_size=2)


def test_names_on_an_array_point_to_set_output():
    with pytest.raises(ValueError, match="set_output"):
        factorize(nx.DiGraph([("a", "b")]), 2)


def test_mistyped_name_gets_a_suggestion():
    with pytest.raises(ValueError, match="did you mean 'height'"):
        factorize(nx.Graph([("heigth", "b")]), 2, column_names=["height", "b"])

import networkx as nx
import pytest
from conftest import random_graph

from skdiffusion._columns import position
from skdiffusion.graphs import Block, colouring, factorize


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


def lattice(n_rows, n_columns):
    grid = nx.grid_2d_graph(n_rows, n_columns)
    return nx.convert_node_labels_to_integers(grid, ordering="sorted")


@pytest.mark.parametrize("radius", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_columns_of_one_colour_are_out_of_reach(seed, radius):
    graph = random_graph(14, 0.15, seed)
    distances = dict(nx.all_pairs_shortest_path_length(graph, cutoff=radius))
    groups = colouring(graph, radius)
    assert sorted(j for group in groups for j in group) == list(range(14))
    for group in groups:
        assert all(j not in distances[i] for i in group for j in group if i != j)


def test_joint_blocks_are_components_with_the_cliques_of_the_moral_graph():
    graph = nx.DiGraph([(0, 2), (1, 2), (3, 4)])
    result = factorize(graph, 6 - 1, diffusion="joint")
    assert [b.columns for b in result.blocks] == [(0, 1, 2), (3, 4)]
    assert result.cliques == ((0, 1, 2), (3, 4))
    assert {b.engine for b in result.blocks} == {"joint"}
    assert result.generations == ((0, 1, 2, 3, 4),)


def test_joint_block_without_graph_is_one_factor():
    result = factorize(None, 4, diffusion="joint")
    assert result.blocks == (Block((0, 1, 2, 3), (), "joint", ((0, 1, 2, 3),)),)


def test_auto_completes_what_stays_within_the_limit():
    """A cycle that fits, a lattice that does not, and a column by itself."""
    graph = nx.disjoint_union(nx.cycle_graph(4), lattice(4, 4))
    graph.add_node(20)
    result = factorize(graph, 21, diffusion="auto", max_factor_size=3)
    engines = {b.columns: b.engine for b in result.blocks}
    assert engines.pop(tuple(range(4, 20))) == "joint"
    assert set(engines) == {(j,) for j in (0, 1, 2, 3, 20)}
    assert result.largest_factor == 3
    assert result.markov_graph.number_of_edges() == 4 + 1 + 24


def test_auto_cuts_at_cut_nodes():
    """Two lattices on a path: the second is a joint block given the end of the path."""
    graph = nx.disjoint_union(lattice(4, 4), lattice(3, 3))
    graph.add_edges_from([(15, 25), (25, 16)])
    result = factorize(graph, 26, diffusion="auto", max_factor_size=3)
    joint = [b for b in result.blocks if b.engine == "joint"]
    assert joint[0].columns == tuple(range(16))
    assert joint[1].columns == tuple(range(17, 25))
    assert joint[1].context == (16,)
    assert result.contexts[25] == (15,)
    assert result.contexts[16] == (25,)
    seen = set()
    for generation in result.generations:
        assert all(set(result.contexts[j]) <= seen for j in generation)
        seen |= set(generation)


def test_completion_beyond_the_limit_points_to_joint_blocks():
    with pytest.raises(ValueError, match="diffusion='auto'"):
        factorize(lattice(4, 4), 16, max_factor_size=3)
    with pytest.raises(ValueError, match="4 columns"):
        factorize(nx.complete_graph(4), 4, max_factor_size=3, diffusion="auto")


def test_long_lists_are_shortened_when_printed():
    text = str(factorize(lattice(6, 6), 36, diffusion="joint"))
    assert "p(x0, x1, x2, ..., x35 (36 columns))  [joint]" in text
    assert "... and 36 more" in text


def shared(graph, n_columns, share_weights):
    return factorize(graph, n_columns, share_weights=share_weights, diffusion="joint")


def test_nodes_tell_factors_apart_by_the_values_of_their_slots():
    graph = nx.path_graph(4)
    nx.set_node_attributes(graph, {0: "a", 1: "b", 2: "a", 3: "b"}, "kind")
    sharing = shared(graph, 4, "kind").sharing
    assert sharing.kind((0, 1)) == sharing.kind((2, 3))
    assert sharing.kind((0, 1)) != sharing.kind((1, 2))
    assert sharing.columns == ("a", "b", "a", "b")


def test_edges_tell_factors_apart_and_columns_by_the_edges_around_them():
    graph = lattice(3, 3)
    across = {(i, j): "right" if j - i == 1 else "down" for i, j in graph.edges}
    nx.set_edge_attributes(graph, across, "direction")
    sharing = shared(graph, 9, "direction").sharing
    assert sharing.kind((0, 1)) == sharing.kind((4, 5)) != sharing.kind((0, 3))
    assert len(set(sharing.columns)) == 1


def test_true_shares_all_factors_of_one_size():
    sharing = shared(nx.path_graph(4), 4, True).sharing
    assert sharing.kind((0, 1)) == sharing.kind((2, 3)) != sharing.kind((0, 1, 2))
    assert shared(nx.path_graph(4), 4, False).sharing is None


def test_column_without_edges_is_like_no_other():
    graph = nx.Graph()
    graph.add_edge(0, 1, kind="a")
    graph.add_nodes_from([2, 3])
    labels = shared(graph, 4, "kind").sharing.columns
    assert labels[0] == labels[1]
    assert len(set(labels)) == 3


def unhashable():
    graph = nx.path_graph(2)
    nx.set_node_attributes(graph, (1, [2]), "kind")
    return graph


def mixed_sizes():
    graph = nx.Graph([(0, 1), (1, 2), (0, 2), (2, 3)])
    nx.set_node_attributes(graph, 1, "kind")
    return graph


def partly_named():
    graph = nx.path_graph(3)
    graph.nodes[0]["kind"] = 1
    return graph


def both_named():
    graph = mixed_sizes()
    nx.set_edge_attributes(graph, 1, "kind")
    return graph


@pytest.mark.parametrize(
    ("graph", "name", "message"),
    [
        (nx.path_graph(3), "kind", "no attribute of the graph; its nodes have none"),
        (mixed_sizes(), "kinds", r"its nodes have \['kind'\], its edges none"),
        (mixed_sizes(), "kind", r"\['x2', 'x3'\].* 3 and 2 columns|2 and 3 columns"),
        (partly_named(), "kind", r"nodes \['x1', 'x2'\] have no such attribute"),
        (both_named(), "kind", "of nodes and of edges"),
        (unhashable(), "kind", "cannot be compared"),
        (None, "kind", "graph=None"),
    ],
)
def test_wrong_sharing_is_refused_with_its_reason(graph, name, message):
    with pytest.raises(ValueError, match=message):
        shared(graph, 4 if graph is None else len(graph), name)


def test_a_position_that_is_the_name_of_another_column_is_refused():
    names = ["a", "2", "b"]
    with pytest.raises(ValueError, match="2 is the position of column 'b', but another"):
        factorize(nx.Graph([(0, 2)]), 3, column_names=names)
    with pytest.raises(ValueError, match="2 is the position of column 'b', but another"):
        position(2, names)
    assert position(2, ["0", "1", "2"]) == 2

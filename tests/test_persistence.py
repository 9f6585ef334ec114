"""Saved densities: pickle, joblib and skops, in this process and in another one."""

import pickle
import subprocess
import sys
import zipfile

import joblib
import networkx as nx
import numpy as np
import pytest

from skdiffusion import (
    FactorizedDiffusionDensity,
    KernelScoreDensity,
    make_density_pipeline,
)
from skdiffusion.graphs import from_plain, to_plain
from skdiffusion.transformers import LogitTransformer

LOAD_AND_SCORE = """
import sys
import joblib, numpy, pickle
path, rows, scores = sys.argv[1:]
with open(path, "rb") as file:
    density = joblib.load(path) if path.endswith("joblib") else pickle.load(file)
numpy.save(scores, density.score_samples(numpy.load(rows)))
"""


def densities():
    short = {"max_iter": 60, "n_networks": 1, "hidden_size": 8, "random_state": 0}
    path = nx.path_graph(3)
    nx.set_node_attributes(path, "a", "kind")
    return {
        "conditional": FactorizedDiffusionDensity(nx.DiGraph([(0, 1), (1, 2)]), **short),
        "joint": FactorizedDiffusionDensity(
            path, diffusion="joint", share_weights="kind", **short
        ),
        "kernels": KernelScoreDensity(path),
        "pipeline": make_density_pipeline(LogitTransformer(-9, 9), KernelScoreDensity()),
    }


@pytest.fixture(scope="module", params=list(densities()))
def density(request, chain):
    return densities()[request.param].fit(chain.data)


def dump_pickle(density, path):
    path.write_bytes(pickle.dumps(density))


@pytest.mark.parametrize(
    ("suffix", "dump"), [("pickle", dump_pickle), ("joblib", joblib.dump)]
)
def test_another_process_scores_the_same(density, chain, tmp_path, suffix, dump):
    dump(density, tmp_path / f"density.{suffix}")
    np.save(tmp_path / "rows.npy", chain.data)
    files = [
        tmp_path / f"density.{suffix}",
        tmp_path / "rows.npy",
        tmp_path / "scores.npy",
    ]
    subprocess.run([sys.executable, "-c", LOAD_AND_SCORE, *map(str, files)], check=True)
    found = np.load(tmp_path / "scores.npy")
    np.testing.assert_allclose(found, density.score_samples(chain.data), rtol=1e-12)


def test_skops_trusts_our_own_types_only(density, chain):
    skops = pytest.importorskip("skops.io")
    saved = skops.dumps(density)
    untrusted = skops.get_untrusted_types(data=saved)
    assert all(name.startswith("skdiffusion.") for name in untrusted)
    loaded = skops.loads(saved, trusted=untrusted)
    np.testing.assert_array_equal(
        loaded.score_samples(chain.data), density.score_samples(chain.data)
    )


def test_normal_scores_and_mixtures_are_saved(chain):
    """In files of skops, which ask about every type."""
    skops = pytest.importorskip("skops.io")
    options = {"max_iter": 50, "max_iter_likelihood": 0, "normal_scores": True}
    model = FactorizedDiffusionDensity(chain.graph, random_state=0, **options)
    model.fit(chain.data)
    assert model.mixture_shares_.max() > 0
    saved = skops.dumps(model)
    untrusted = skops.get_untrusted_types(data=saved)
    assert all(name.startswith("skdiffusion.") for name in untrusted)
    loaded = skops.loads(saved, trusted=untrusted)
    for other in (loaded, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(
            other.score_samples(chain.data), model.score_samples(chain.data)
        )


def test_parameters_and_structure_come_back(chain):
    density = densities()["joint"].fit(chain.data)
    loaded = pickle.loads(pickle.dumps(density))
    assert nx.utils.graphs_equal(loaded.graph, density.graph)
    assert loaded.factorization_.structure == density.factorization_.structure
    assert str(loaded.factorization_) == str(density.factorization_)
    # a fit that goes on needs them
    loaded.set_params(warm_start=True, max_iter=10).fit(chain.data)


def test_graphs_come_back_from_plain_lists():
    for graph in (nx.DiGraph([("a", "b")]), nx.Graph([(2, 0), (1, 2)]), nx.Graph()):
        graph.add_node("alone", weight=2)
        graph.graph["name"] = "of a test"
        assert nx.utils.graphs_equal(from_plain(to_plain(graph)), graph)
        assert type(from_plain(to_plain(graph))) is type(graph)
        assert from_plain(to_plain(graph)).graph == graph.graph
    multigraph = nx.MultiGraph()
    assert to_plain(multigraph) is multigraph
    assert to_plain(None) is None
    assert from_plain("auto") == "auto"


def test_broken_files_are_not_loaded(density, tmp_path):
    skops = pytest.importorskip("skops.io")
    half = pickle.dumps(density)
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        pickle.loads(half[: len(half) // 2])
    half = skops.dumps(density)
    with pytest.raises(zipfile.BadZipFile):
        skops.loads(half[: len(half) // 2], trusted=[])

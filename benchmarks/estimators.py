"""All estimators by name, how they are made, and when one is left out."""

from dataclasses import dataclass
from importlib.util import find_spec

from families import FamilyKernelPeer, FamilyMixturePeer
from peers import KernelPeer, MixturePeer

from skdiffusion import FactorizedDiffusionDensity, KernelScoreDensity

MAX_VINE_ROWS, MAX_VINE_COLUMNS = 8000, 20


@dataclass(frozen=True)
class Entry:
    """What the comparison knows of an estimator.

    Attributes
    ----------
    title : str
        Name in tables and figures.
    knows_graph : bool
        Whether it is given the graph.
    is_ours : bool
        Whether it belongs to this library; all others are peers.
    needs : str or None
        Package that has to be installed.
    """

    title: str
    knows_graph: bool = False
    is_ours: bool = False
    needs: str | None = None


ESTIMATORS = {
    "kde": Entry("KernelDensity"),
    "gmm": Entry("GaussianMixture"),
    "vine": Entry("vine copula", needs="pyvinecopulib"),
    "nsf": Entry("spline flow", needs="zuko"),
    "maf": Entry("affine flow", needs="zuko"),
    "kernel": Entry("kernel scores", is_ours=True),
    "diffusion": Entry("diffusion", is_ours=True),
    "kde-graph": Entry("conditional kernels, graph", knows_graph=True),
    "gmm-graph": Entry("conditional mixtures, graph", knows_graph=True),
    "nsf-graph": Entry("spline flow, graph", knows_graph=True, needs="zuko"),
    "kernel-graph": Entry("kernel scores, graph", knows_graph=True, is_ours=True),
    "diffusion-graph": Entry("diffusion, graph", knows_graph=True, is_ours=True),
}
REFERENCES = ("diffusion", "diffusion-graph")
CLASSICAL = {
    "kde": KernelPeer,
    "gmm": MixturePeer,
    "kde-graph": FamilyKernelPeer,
    "gmm-graph": FamilyMixturePeer,
}


def make(name, graph, seed, flow_seconds):
    """An estimator that is not fitted yet.

    Parameters
    ----------
    name : str
        A key of `ESTIMATORS`.
    graph : networkx.DiGraph, networkx.Graph or None
        Given to those that know it.
    seed : int
        Seed of all randomness in fit.
    flow_seconds : float
        Wall-clock limit of the training of flows.
    """
    known = (graph,) * ESTIMATORS[name].knows_graph
    if ESTIMATORS[name].needs == "zuko":
        return _flow(name, known, seed, flow_seconds)
    if name == "vine":
        from vines import VinePeer

        return VinePeer(seed)
    if name in CLASSICAL:
        return CLASSICAL[name](*known, seed)
    ours = KernelScoreDensity if "kernel" in name else FactorizedDiffusionDensity
    return ours(*known, random_state=seed)


def _flow(name, known, seed, flow_seconds):
    import flows

    kinds = {
        "nsf": flows.SplineFlowPeer,
        "maf": flows.AffineFlowPeer,
        "nsf-graph": flows.GraphSplineFlowPeer,
    }
    return kinds[name](*known, seed, flow_seconds)


def reason_to_skip(name, n_rows, n_columns):
    """Why an estimator cannot take part, or None."""
    needs = ESTIMATORS[name].needs
    if needs is not None and find_spec(needs) is None:
        return f"{needs} is not installed (pip install '.[benchmarks]')"
    if name == "vine" and (n_rows > MAX_VINE_ROWS or n_columns > MAX_VINE_COLUMNS):
        return (
            f"{n_rows} rows of {n_columns} columns; vines are fitted to at most "
            f"{MAX_VINE_ROWS} rows of {MAX_VINE_COLUMNS}"
        )
    return None

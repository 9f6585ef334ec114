"""A graph for a table that comes without one: learn several, keep what predicts best.

Graphs are learned on a part of the rows, models with each of them, and one without, are
fitted shortly to the same part, and the other rows decide by their log-density.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import networkx as nx
import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from ._warnings import InterruptedFit, warn_user
from .defaults import default_max_iter
from .graphs import chow_liu_tree, factorize, graphical_lasso_graph, greedy_dag
from .metrics import paired_difference

NONE = "none"
# with fewer rows what is held out cannot tell graphs apart
MIN_ROWS = 100
HELD_OUT_SHARE, MAX_HELD_OUT = 0.25, 2000
# steps of a short fit: a share of those of the final one, and at least so many
SHORT, LEAST_STEPS = 0.25, 200
TOO_FEW = (
    'graph="auto" needs at least {} rows to choose a graph, got {}; graph=None was used. '
    "Pass a graph, or graph=None to silence this warning."
)


@dataclass(frozen=True)
class Choice:
    """A graph to use, and how it was come by.

    Attributes
    ----------
    graph : networkx.Graph, networkx.DiGraph or None
        As given, or on the positions of the columns.
    scores : dict from str to float
        Held-out mean log-density of each candidate; empty if there was no choice.
    note : str
        What was chosen among, in words; empty if there was no choice.
    """

    graph: nx.Graph | None
    scores: dict[str, float] = field(default_factory=dict)
    note: str = ""

    def named(self, column_names) -> "Choice":
        """The same with names of columns, if there are any, as nodes."""
        if self.graph is None or column_names is None:
            return self
        names = {j: str(name) for j, name in enumerate(column_names)}
        return replace(self, graph=nx.relabel_nodes(self.graph, names))


def refuse_attribute(share_weights) -> None:
    """Raise if weights are to be shared by an attribute, which no learned graph has."""
    if isinstance(share_weights, str):
        raise ValueError(
            f"share_weights={share_weights!r} names an attribute of a graph, but the "
            'graphs that graph="auto" learns have none; use share_weights=True or False, '
            "or pass a graph."
        )


def learned_graphs(X, weight, random_state) -> dict[str, nx.Graph]:
    """Graphs to choose among, by name."""
    options = {"sample_weight": weight, "random_state": random_state}
    return {
        "tree": chow_liu_tree(X, sample_weight=weight),
        "lasso": graphical_lasso_graph(X, sample_weight=weight),
        "dag": greedy_dag(X, **options),
        "ordered dag": greedy_dag(X, in_order=True, **options),
    }


def choose_graph(
    estimator,
    X: np.ndarray,
    weight: np.ndarray,
    report: Callable[[str], None] = lambda line: None,
) -> Choice:
    """Learn graphs and keep the one whose short fit predicts held-out rows best.

    No graph is kept unless one beats it by more than the standard error of the paired
    difference.

    Parameters
    ----------
    estimator : FactorizedDiffusionDensity
        Cloned for the short fits, of one network and fewer steps. Its
        `random_state` splits the rows and seeds all short fits alike.
    X : ndarray of shape (n_samples, n_features)
        Rows.
    weight : ndarray of shape (n_samples,)
        Their weights, positive.
    report : callable
        Is told each candidate's score in a line.

    Returns
    -------
    Choice
        Candidates whose factors are too large for the estimator score NaN.
    """
    if len(X) < MIN_ROWS:
        warn_user(TOO_FEW.format(MIN_ROWS, len(X)))
        return Choice(None, note=f"fewer than {MIN_ROWS} rows to choose by")
    random_state = check_random_state(estimator.random_state)
    order = random_state.permutation(len(X))
    n_held_out = min(int(HELD_OUT_SHARE * len(X)), MAX_HELD_OUT)
    held_out, rows = order[:n_held_out], order[n_held_out:]
    seed = int(random_state.randint(np.iinfo(np.int32).max))
    # what short fits complain about, the final one will say again
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", InterruptedFit)
        graphs = {NONE: None, **learned_graphs(X[rows], weight[rows], seed)}
        estimator = _short(estimator, len(X)).set_params(random_state=seed)
        log_densities: dict[str, np.ndarray] = {}
        for name, values in _judged(estimator, graphs, X, weight, rows, held_out):
            log_densities[name] = values
            mean = np.average(values, weights=weight[held_out])
            report(f"graph {name}: held-out {mean:.4f}")
    return _best(graphs, log_densities, weight[held_out])


def _short(estimator, n_rows: int):
    """The estimator with the parameters of short fits."""
    full = estimator.max_iter or default_max_iter(n_rows, estimator.diffusion == "joint")
    max_iter = min(full, max(LEAST_STEPS, round(SHORT * full)))
    short = {"max_iter": max_iter, "n_networks": 1}
    short |= {"max_iter_likelihood": 0, "max_components": 0, "normal_scores": False}
    made = clone(estimator).set_params(warm_start=False, verbose=0, **short)
    # callbacks follow the fit that counts
    vars(made).pop("_skl_callbacks", None)
    return made


def _judged(estimator, graphs: dict, X, weight, rows, held_out):
    """Names of graphs and log-densities of held-out rows; NaN for a graph too large."""
    known: dict[tuple, np.ndarray] = {}
    for name, graph in graphs.items():
        structure = _structure(estimator, graph, X.shape[1])
        if structure is None:
            yield name, np.full(len(held_out), np.nan)
            continue
        if structure not in known:
            fitted = clone(estimator).set_params(graph=graph)
            try:
                fitted.fit(X[rows], sample_weight=weight[rows])
            except InterruptedFit as warning:
                # a short fit that was interrupted says nothing of its graph
                raise KeyboardInterrupt from warning
            known[structure] = fitted.score_samples(X[held_out])
        yield name, known[structure]


def _structure(estimator, graph, n_columns: int) -> tuple | None:
    """What the blocks of a graph are; None if they would be too large.

    A learned graph that only fits with its columns diffused together is no gain in
    structure and dear to judge.
    """
    names = ("diffusion", "max_factor_size", "share_weights")
    options = {name: getattr(estimator, name) for name in names}
    try:
        factorization = factorize(graph, n_columns, **options)
    except ValueError:
        return None
    joint = factorization.has_joint_blocks
    return None if joint and estimator.diffusion == "auto" else factorization.structure


def _best(graphs: dict, log_densities: dict[str, np.ndarray], weight) -> Choice:
    """The graph of the highest score, if it is clearly better than none."""
    scores = {
        name: float(np.average(values, weights=weight))
        for name, values in log_densities.items()
    }
    best = max(scores, key=lambda name: np.nan_to_num(scores[name], nan=-np.inf))
    gain = paired_difference(log_densities[best], log_densities[NONE], weight)
    if gain.mean > gain.standard_error:
        note = f"learned ({best}; {gain} nats of held-out rows over no graph)"
        return Choice(graphs[best], scores, note)
    note = "chosen since no learned graph is clearly better"
    if best != NONE:
        note += f" (best: {best}; {gain} nats of held-out rows over no graph)"
    return Choice(None, scores, note)

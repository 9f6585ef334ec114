"""Rows for learning a graph: checked, on ranks, with the names that nodes will carry."""

from dataclasses import dataclass

import networkx as nx
import numpy as np
from scipy.special import ndtri
from sklearn.utils.validation import check_array

from .._validation import check_weight, effective_size


@dataclass(frozen=True)
class Columns:
    """A table reduced to what learners of structure read.

    Attributes
    ----------
    labels : tuple
        Node of each column: its position or, for a DataFrame, its name.
    ranks : ndarray of shape (n_samples, n_features)
        Mid-distribution function of each column, in (0, 1): the share of the weight below
        a value plus half of that at it. It depends on the order of values only.
    weight : ndarray of shape (n_samples,)
        Sums to one.
    """

    labels: tuple
    ranks: np.ndarray
    weight: np.ndarray

    @property
    def n_effective(self) -> float:
        """Number of equally weighted rows with the same variance of a mean (Kish)."""
        return effective_size(self.weight)

    @property
    def varying(self) -> np.ndarray:
        """Positions of the columns that are not constant."""
        return np.flatnonzero(np.ptp(self.ranks, axis=0))

    def normal_scores(self) -> np.ndarray:
        """Ranks as normal quantiles with mean 0 and variance 1; constants are 0.

        Dependences become those of a distribution with normal columns, whatever the
        columns are (H. Liu, J. Lafferty and L. Wasserman, "The nonparanormal", JMLR 10,
        2009).
        """
        Z = ndtri(self.ranks)
        Z -= self.weight @ Z
        scale = np.sqrt(self.weight @ Z**2)
        scale[np.ptp(self.ranks, axis=0) == 0] = 1
        return Z / scale

    def correlation(self) -> np.ndarray:
        """Correlation matrix of the normal scores; constants correlate with nothing."""
        Z = self.normal_scores()
        correlation = np.clip((Z * self.weight[:, None]).T @ Z, -1, 1)
        np.fill_diagonal(correlation, 1)
        return correlation

    @property
    def resolution(self) -> np.ndarray:
        """Standard deviation of normal scores, as a share of that without ties."""
        untied = ndtri(np.cumsum(self.weight) - self.weight / 2)
        scores = ndtri(self.ranks)
        spread = self.weight @ (scores - self.weight @ scores) ** 2
        return np.sqrt(np.minimum(spread / (self.weight @ untied**2), 1))

    def empty(self, kind=nx.Graph):
        """Graph with a node for each position and no edges."""
        graph = kind()
        graph.add_nodes_from(range(len(self.labels)))
        return graph

    def named(self, graph):
        """Graph on positions as one on labels, in the order of the columns."""
        return nx.relabel_nodes(graph, dict(enumerate(self.labels)))


def read_columns(X, sample_weight=None) -> Columns:
    """Check a table and its weights; rows of weight zero are dropped.

    Raises
    ------
    ValueError
        If fewer than 3 rows count, X has missing or infinite values, or its columns are
        labelled by anything but strings or 0, 1, ...
    """
    labels = _labels(X)
    X = check_array(X, dtype=np.float64, input_name="X")
    weight = check_weight(sample_weight, X)
    X, weight = X[weight > 0], weight[weight > 0]
    if len(X) < 3:
        raise ValueError(
            f"only {len(X)} rows of X count, but a graph is learned from at least 3."
        )
    weight = weight / weight.sum()
    ranks = np.column_stack([_mid_distribution(x, weight) for x in X.T])
    return Columns(tuple(range(X.shape[1])) if labels is None else labels, ranks, weight)


def _labels(X) -> tuple | None:
    """Names of the columns of a frame, None if they are 0, 1, ... or there are none."""
    columns = getattr(X, "columns", None)
    if columns is None or list(columns) == list(range(len(columns))):
        return None
    if not all(isinstance(name, str) for name in columns):
        raise ValueError(
            f"the columns of X are labelled {list(columns)[:5]}; expected strings for "
            "all of them, or 0, 1, ... Rename them: X.columns = X.columns.astype(str)."
        )
    if len(set(columns)) < len(columns):
        raise ValueError(
            "two columns of X have the same name, so a graph cannot tell them apart; "
            "rename one of them."
        )
    return tuple(map(str, columns))


def _mid_distribution(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    _, place = np.unique(x, return_inverse=True)
    mass = np.bincount(place, weight)
    return (np.cumsum(mass) - mass / 2)[place] / mass.sum()

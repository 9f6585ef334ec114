"""Where the rows come from: generators with known density, and real tables.

A table has training rows, fresh rows and, if it was generated, the exact log-density of
the fresh rows. Seeds of a real table are the folds of one split into five, so that the
fresh rows of different seeds are different rows and their differences may be pooled;
from seed 5 on the rows are split anew.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import networkx as nx
import numpy as np
import sklearn.datasets
from sklearn.model_selection import KFold

from skdiffusion import datasets

GENERATORS = {name.removeprefix("make_"): name for name in datasets.__all__}
BUNDLED = ("iris", "wine", "diabetes", "breast_cancer", "digits")
VARIANTS = ("raw", "dequantised")
N_FRESH = 4000  # fresh rows: drawn from generators, at most of a real table
N_FOLDS = 5
# gaps below this share of a column's range are rounding errors, not a resolution
ROUNDING = 1e-9


@dataclass(frozen=True)
class Table:
    """Rows to learn from and rows to be scored on.

    Attributes
    ----------
    train, fresh : ndarray of shape (n_rows, n_columns)
        In the units of the data.
    truth : ndarray of shape (n_fresh,) or None
        Exact log-density of the fresh rows, if known.
    graph : networkx.DiGraph, networkx.Graph or None
        How the columns depend on each other, if known.
    """

    train: np.ndarray
    fresh: np.ndarray
    truth: np.ndarray | None
    graph: nx.Graph | None


def name_of(source):
    """Name of a table in results: files go by their names without folder and ending."""
    return source if source in (*GENERATORS, *BUNDLED) else Path(source).stem


def load(source, variant, n_samples, seed):
    """The table that every estimator of one comparison gets.

    Parameters
    ----------
    source : str
        Name of a generator or of a bundled table, or path of a CSV or npz file.
    variant : {"raw", "dequantised"}
        Whether columns with ties get uniform noise as wide as their resolution.
    n_samples : int
        Number of training rows.
    seed : int
        Draw of a generator, or fold of a real table.

    Returns
    -------
    Table
    """
    if source in GENERATORS:
        return _drawn(source, n_samples, seed)
    X, graph = read(source)
    repetition, fold = divmod(seed, N_FOLDS)
    if variant == "dequantised":
        X = dequantised(X, np.random.default_rng(repetition))
    folds = KFold(N_FOLDS, shuffle=True, random_state=repetition)
    train, fresh = list(folds.split(X))[fold]
    # KFold keeps the order of the file; a part of the rows must be a random part
    train, fresh = map(np.random.default_rng(seed).permutation, (train, fresh))
    return Table(X[train[:n_samples]], X[fresh[:N_FRESH]], None, graph)


def _drawn(name, n_samples, seed):
    """A generator's table; training rows and fresh rows come from different seeds."""
    make = getattr(datasets, GENERATORS[name])
    made = make(n_samples, random_state=seed)
    fresh = make(N_FRESH, random_state=10_000 + seed).data
    return Table(made.data, fresh, made.log_density(fresh), made.graph)


def sizes(source, asked):
    """Numbers of training rows: those asked for, but no more than a real table has."""
    if source in GENERATORS:
        return asked
    available = len(read(source)[0]) * (N_FOLDS - 1) // N_FOLDS
    return sorted({min(n, available) for n in asked})


def variants(source):
    """Raw and, for real tables with ties, dequantised."""
    if source in GENERATORS or not resolutions(read(source)[0]).any():
        return VARIANTS[:1]
    return VARIANTS


def columns_and_graph(source):
    """Number of columns, and what is known of their dependence (or None)."""
    if source in GENERATORS:
        made = getattr(datasets, GENERATORS[source])(1, random_state=0)
        return made.data.shape[1], made.graph
    X, graph = read(source)
    return X.shape[1], graph


def resolutions(X):
    """Smallest gap between distinct values of each column; 0 for one without ties."""
    return np.array([_resolution(column) for column in X.T])


def _resolution(column):
    values = np.unique(column)
    if len(values) == len(column):
        return 0.0
    gaps = np.diff(values)
    return gaps[gaps > ROUNDING * np.ptp(values)].min()


def dequantised(X, generator):
    """Rows with uniform noise as wide as the resolution, in columns with ties."""
    return X + resolutions(X) * (generator.random(X.shape) - 0.5)


def constant_columns(X):
    """Positions of columns of one value, which have no density."""
    return np.flatnonzero(np.ptp(X, axis=0) == 0)


@cache
def read(source):
    """Rows and graph (or None) of a real table, without constant columns."""
    X, graph = read_all(source)
    kept = np.setdiff1d(np.arange(X.shape[1]), constant_columns(X))
    if graph is not None:
        places = {int(j): i for i, j in enumerate(kept)}
        graph = nx.relabel_nodes(graph.subgraph(places), places)
    return X[:, kept], graph


def read_all(source):
    """Rows and graph (or None) of a real table as they are stored."""
    if source == "diabetes":
        # unscaled: the units in which the columns were rounded
        return sklearn.datasets.load_diabetes(scaled=False).data, None
    if source == "digits":
        return sklearn.datasets.load_digits().data, _pixel_lattice(8)
    if source in BUNDLED:
        return getattr(sklearn.datasets, f"load_{source}")().data, None
    X = _read_npz(source) if Path(source).suffix == ".npz" else _read_csv(source)
    _check_finite(X, name_of(source))
    return X, None


def _check_finite(X, name):
    bad = np.flatnonzero(~np.isfinite(X).all(axis=0)).tolist()
    if bad:
        raise ValueError(
            f"{name}: columns {bad} (from 0) have missing or infinite values; expected "
            "finite numbers only. Fill or leave out these rows or columns."
        )


def _pixel_lattice(side):
    """Graph of a square image: neighbouring pixels depend on each other."""
    lattice = nx.grid_2d_graph(side, side)
    return nx.convert_node_labels_to_integers(lattice, ordering="sorted")


def _read_csv(path):
    import pandas as pd

    frame = pd.read_csv(path)
    text = frame.columns[[not pd.api.types.is_numeric_dtype(t) for t in frame.dtypes]]
    if len(text) or all(_is_number(name) for name in frame.columns):
        raise ValueError(
            f"{Path(path).name}: expected a header line and columns of numbers, got "
            f"columns {list(frame.columns)}, not numeric: {list(text)}."
        )
    return frame.to_numpy(float)


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_npz(path):
    with np.load(path) as arrays:
        found = {name: arrays[name] for name in arrays.files if arrays[name].ndim == 2}
    name = next((n for n in ("data", "X") if n in found), None)
    if name is None and len(found) == 1:
        name = next(iter(found))
    if name is None:
        raise ValueError(
            f"{Path(path).name}: expected one two-dimensional array, or one called "
            f"'data' or 'X', got {sorted(found)}."
        )
    return found[name].astype(float)

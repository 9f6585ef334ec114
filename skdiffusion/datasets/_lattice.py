r"""A Markov random field on a small lattice, with its exact normaliser.

.. math::
    p(x) = \frac{1}{Z} \exp\Big(\sum_i \phi(x_i) + \sum_{i \sim j} \psi(x_i, x_j)\Big),
    \qquad x \in [-3, 3]^{rows \times columns},

with :math:`\phi(x) = -(x^2 - 1)^2 / 3` and
:math:`\psi(x, y) = \cos(1.6 (x - y)) + 0.4 \tanh(x) \tanh(y)`. The sites are added
one by one, and the sums over all sites but the last `columns` are kept as a table on
a Gauss-Legendre grid (transfer matrices).
"""

import networkx as nx
import numpy as np
from sklearn.utils import Bunch, check_random_state

from .._validation import check_integer

LIMIT = 3.0
MAX_COLUMNS = 4
N_NODES = {1: 96, 2: 96, 3: 64, 4: 40}
N_SWEEPS = 40


def site_energy(x):
    """Log-factor of one site: two wells."""
    return -((x**2 - 1) ** 2) / 3


def pair_energy(x, y):
    """Log-factor of two neighbouring sites."""
    return np.cos(1.6 * (x - y)) + 0.4 * np.tanh(x) * np.tanh(y)


def make_lattice(n_samples=1000, *, n_rows=3, n_columns=3, random_state=None) -> Bunch:
    """Markov random field on a lattice with factors of two columns.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows of the table.
    n_rows : int, default=3
        Rows of the lattice.
    n_columns : int, default=3
        Columns of the lattice, at most 4: the normaliser is a table with one axis for
        each.
    random_state : int, RandomState instance or None, default=None
        Source of randomness.

    Returns
    -------
    Bunch
        With `data`, `graph` (an undirected lattice; site (r, c) is column
        ``r * n_columns + c``) and `log_density`, which is -inf outside the cube.

    Notes
    -----
    Rows are drawn exactly on the grid, by backward sampling through the tables, and
    then moved by 40 sweeps of the Metropolis algorithm, which leaves the exact law
    unchanged and takes the rows off the grid.
    """
    check_integer("n_samples", n_samples, low=1)
    check_integer("n_rows", n_rows, low=1)
    check_integer("n_columns", n_columns, low=1, high=MAX_COLUMNS)
    lattice = _Lattice(n_rows, n_columns)
    X = lattice.draw(n_samples, check_random_state(random_state))
    return Bunch(data=X, graph=lattice.graph, log_density=lattice.log_density)


class _Lattice:
    def __init__(self, n_rows: int, n_columns: int):
        self.n_rows, self.n_columns = n_rows, n_columns
        grid = nx.grid_2d_graph(n_rows, n_columns)
        self.graph = nx.convert_node_labels_to_integers(grid, ordering="sorted")
        nodes, weights = np.polynomial.legendre.leggauss(N_NODES[n_columns])
        self.nodes = LIMIT * nodes
        self.site = np.exp(site_energy(self.nodes)) * LIMIT * weights
        self.pair = np.exp(pair_energy(self.nodes[:, None], self.nodes))
        self.tables, self.log_normalizer = self._add_sites()

    def _add_sites(self):
        """Tables over the last sites (oldest first) after each site, and log Z."""
        tables, log_normalizer = [self.site / self.site.sum()], np.log(self.site.sum())
        for k in range(1, self.n_rows * self.n_columns):
            table = self._with_site(tables[-1], has_left=k % self.n_columns > 0)
            log_normalizer += np.log(table.sum())
            tables.append(table / table.sum())
        return tables, log_normalizer

    def _with_site(self, table, *, has_left: bool):
        if table.ndim < self.n_columns:
            table = np.repeat(table[..., None], len(self.nodes), axis=-1)
        else:
            # the oldest site is the neighbour above; it is summed out
            table = np.tensordot(table, self.pair, axes=(0, 0))
        if has_left:
            table = table * self.pair
        return table * self.site

    def log_density(self, X):
        X = np.asarray(X, dtype=float)
        energy = site_energy(X).sum(axis=1)
        for i, j in self.graph.edges:
            energy = energy + pair_energy(X[:, i], X[:, j])
        inside = (np.abs(X) <= LIMIT).all(axis=1)
        return np.where(inside, energy - self.log_normalizer, -np.inf)

    def draw(self, n_samples, random_state):
        X = self.nodes[self._draw_on_grid(n_samples, random_state)]
        for sweep in range(N_SWEEPS):
            for i in range(X.shape[1]):
                self._move(X, i, (0.15, 0.8)[sweep % 2], random_state)
        return X

    def _draw_on_grid(self, n_samples, random_state):
        """Indices of sites: the last ones from the last table, then backward."""
        last = self.tables[-1]
        flat = random_state.choice(last.size, n_samples, p=last.ravel() / last.sum())
        n_sites = len(self.tables)
        index = np.zeros((n_samples, n_sites), dtype=int)
        index[:, n_sites - last.ndim :] = np.transpose(np.unravel_index(flat, last.shape))
        for k in range(n_sites - 1, self.n_columns - 1, -1):
            known = tuple(index[:, k - self.n_columns + 1 : k].T)
            above = self.tables[k - 1][(slice(None), *known)]
            above = above if above.ndim == 2 else above[:, None]
            weights = above * self.pair[:, index[:, k]]
            cumulative = np.cumsum(weights, axis=0)
            threshold = random_state.random_sample(n_samples) * cumulative[-1]
            index[:, k - self.n_columns] = (cumulative < threshold).sum(axis=0)
        return index

    def _move(self, X, i, step, random_state):
        """One Metropolis step of site i in every row, in place."""
        neighbours = list(self.graph[i])

        def energy(x):
            pairs = sum(pair_energy(x, X[:, j]) for j in neighbours)
            return site_energy(x) + pairs

        proposal = X[:, i] + step * random_state.standard_normal(len(X))
        gain = energy(proposal) - energy(X[:, i])
        accepted = np.log(random_state.random_sample(len(X))) < gain
        accepted &= np.abs(proposal) <= LIMIT
        X[accepted, i] = proposal[accepted]

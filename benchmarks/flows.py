"""Normalising flows with early stopping (needs zuko).

Five autoregressive transforms with two hidden layers of 64 units, trained by Adam. A
tenth of the rows is held out; the weights with the best held-out likelihood are kept.
"""

import copy
import time

import numpy as np
import torch
import zuko
from families import families
from peers import Peer

OPTIONS = {"transforms": 5, "hidden_features": (64, 64)}
LEARNING_RATE = 1e-3
BATCH_SIZE = 256
HELD_OUT = 0.1
# without progress for so many epochs, and so many steps where epochs are short
PATIENCE_EPOCHS, PATIENCE_STEPS = 30, 500


class FlowPeer(Peer):
    """A flow trained until its held-out likelihood stops to improve, or time is up.

    Parameters
    ----------
    seed : int
        Seed of weights, batches and held-out rows.
    max_seconds : float
        Wall-clock limit of training; `chosen_` says if it was reached.
    """

    def __init__(self, seed, max_seconds):
        self.seed = seed
        self.max_seconds = max_seconds

    def _fit(self, Z):
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self.flow_ = self._make(Z.shape[1])
            self._train(*self._parts(Z))

    def _parts(self, Z):
        """Rows to train on, and rows held out."""
        order = np.random.default_rng(self.seed).permutation(len(Z))
        held_out = max(1, round(HELD_OUT * len(Z)))
        rows = torch.as_tensor(Z[order], dtype=torch.float32)
        return rows[held_out:], rows[:held_out]

    def _train(self, train, held_out):
        optimizer, start = self._optimizer(), time.perf_counter()
        batches = -(-len(train) // BATCH_SIZE)
        patience = max(PATIENCE_EPOCHS, PATIENCE_STEPS // batches)
        best, best_epoch, epoch, weights = np.inf, 0, 0, self._weights()
        while epoch - best_epoch < patience and not self._late(start):
            epoch += 1
            self._epoch(train, optimizer, start)
            loss = self._loss(held_out)
            if loss < best:
                best, best_epoch, weights = loss, epoch, self._weights()
        self.flow_.load_state_dict(weights)
        ended = "time is up" if self._late(start) else "stopped early"
        self.chosen_ = f"epoch {best_epoch} of {epoch}; {ended}"

    def _epoch(self, train, optimizer, start):
        """One pass over the rows in random order."""
        for batch in torch.randperm(len(train)).split(BATCH_SIZE):
            if self._late(start):
                return
            optimizer.zero_grad()
            loss = -self.flow_().log_prob(train[batch]).mean()
            loss.backward()
            optimizer.step()

    def _loss(self, rows):
        """Mean negative log-density; a NaN counts as infinite, so it is never kept."""
        with torch.no_grad():
            loss = -self.flow_().log_prob(rows).mean().item()
        return loss if np.isfinite(loss) else np.inf

    def _late(self, start):
        return time.perf_counter() - start >= self.max_seconds

    def _optimizer(self):
        return torch.optim.Adam(self.flow_.parameters(), lr=LEARNING_RATE)

    def _weights(self):
        return copy.deepcopy(self.flow_.state_dict())

    def _score(self, Z):
        rows = torch.as_tensor(Z, dtype=torch.float32)
        with torch.no_grad():
            return self.flow_().log_prob(rows).double().numpy()

    def _sample(self, n_samples, random_state):
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(random_state)
            return self.flow_().sample((n_samples,)).double().numpy()


class AffineFlowPeer(FlowPeer):
    """Masked autoregressive flow: affine maps of each column given those before."""

    def _make(self, n_columns):
        return zuko.flows.MAF(n_columns, **OPTIONS)


class SplineFlowPeer(FlowPeer):
    """Neural spline flow."""

    def _make(self, n_columns):
        return zuko.flows.NSF(n_columns, **OPTIONS)


class GraphSplineFlowPeer(FlowPeer):
    """Neural spline flow whose transforms follow a graph.

    In every transform a column depends on its parents. Over five transforms it comes to
    depend on its parents' parents and so on as well, so that the flow is richer than the
    graph allows; it is what the flow library offers to somebody who knows the graph.
    """

    def __init__(self, graph, seed, max_seconds):
        super().__init__(seed, max_seconds)
        self.graph = graph

    def _make(self, n_columns):
        adjacency = torch.eye(n_columns, dtype=torch.bool)
        for j, parents in families(self.graph, n_columns):
            adjacency[j, parents] = True
        return zuko.flows.NSF(n_columns, adjacency=adjacency, **OPTIONS)

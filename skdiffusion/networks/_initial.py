"""Untrained networks of a factorization: where training starts."""

import copy
import math
from collections.abc import Sequence

import torch

from .._torch import TRAINING_DTYPE, to_tensor
from .._warnings import warn_user
from ..graphs import Block, Factorization, numbered
from ..whitening import regress_alike
from ._conditional import ConditionalNetwork, bucket_by_context
from ._ensemble import Ensemble
from ._joint import JointNetwork
from ._trainable import ScoreNetwork

# derivatives for one divergence beyond which a warning names the cost
MANY_COLOURS = 32


def initial_networks(
    factorization: Factorization,
    Z,
    weight,
    generator: torch.Generator,
    *,
    t_min: float,
    hidden_size: int,
    n_layers: int,
    n_rounds: int = 4,
) -> list[ScoreNetwork]:
    """Untrained networks: one for many one-column blocks, one for each joint block.

    Parameters
    ----------
    factorization : Factorization
        Its blocks and what they share.
    Z : ndarray of shape (n_samples, n_features)
        Standardised training rows.
    weight : ndarray of shape (n_samples,)
        Positive weights that average to one.
    generator : torch.Generator
        Source of the hidden weights.
    t_min, hidden_size, n_layers, n_rounds
        Keyword arguments of `ConditionalNetwork` and `JointNetwork`.
    """
    z = to_tensor(Z, dtype=TRAINING_DTYPE)
    sizes = {"t_min": t_min, "hidden_size": hidden_size}
    kind_of = _kinds(factorization)
    single = [block for block in factorization.blocks if block.engine != "joint"]
    kinds = numbered(kind_of(_slots(block)) for block in single)
    networks: list[ScoreNetwork] = []
    for bucket in bucket_by_context(single, hidden_size, kinds):
        kinds = numbered(kind_of(_slots(block)) for block in bucket)
        network = _conditional(bucket, kinds, Z, weight, n_layers=n_layers, **sizes)
        networks.append(network.initialize(generator))
    for block in factorization.blocks:
        if block.engine == "joint":
            network = _joint(block, kind_of, n_rounds=n_rounds, **sizes)
            networks.append(network.initialize(generator))
    for network in networks:
        network.calibrate(z)
    return networks


def initial_ensemble(
    n_members: int, factorization, Z, weight, generator, **sizes
) -> Ensemble:
    """Members that are made as by `initial_networks` and differ in their weights."""
    first = initial_networks(factorization, Z, weight, generator, **sizes)
    others = [copy.deepcopy(first) for _ in range(n_members - 1)]
    for network in (network for member in others for network in member):
        network.initialize(generator)
    return Ensemble([first, *others])


def _conditional(bucket, kinds, Z, weight, *, t_min, **sizes) -> ConditionalNetwork:
    """Network of one-column blocks that starts at their linear regressions."""
    families = [(block.columns[0], block.context) for block in bucket]
    columns, contexts = zip(*families, strict=True)
    network = ConditionalNetwork(columns, contexts, t_min=t_min, kinds=kinds, **sizes)
    # the flow spreads a column of scale sin(t_min) to the noise floor tan(t_min)
    constant_scale = math.sin(t_min)
    network.whiten(
        regress_alike(Z, weight, families, kinds, constant_scale=constant_scale)
    )
    return network


def _joint(block: Block, kind_of, **sizes) -> JointNetwork:
    """Network of a joint block, which starts at independent columns."""
    columns = block.columns + block.context
    network = JointNetwork(
        block.columns,
        block.context,
        block.factors,
        column_kinds=numbered(kind_of((j,)) for j in columns),
        factor_kinds=numbered(kind_of(factor) for factor in block.factors),
        **sizes,
    )
    _warn_if_dear(network)
    return network


def _warn_if_dear(network: JointNetwork) -> None:
    n_colours = len(network.colours)
    if n_colours > MANY_COLOURS:
        warn_user(
            f"a joint block of {len(network.columns)} columns needs {n_colours} "
            f"derivatives for one divergence, so its log-densities cost {1 + n_colours} "
            "evaluations of the network. Fewer n_rounds, fewer edges or "
            "diffusion='conditional' cost less."
        )


def _kinds(factorization: Factorization):
    """Function from the slots of a factor to its kind; without sharing all differ."""
    return factorization.sharing.kind if factorization.sharing else lambda slots: slots


def _slots(block: Block) -> Sequence[int]:
    return (*block.columns, *block.context)

"""Untrained networks of a factorization: the linear Gaussian network on it."""

import math
from collections.abc import Sequence

import torch

from .._torch import TRAINING_DTYPE, to_tensor
from ..graphs import Block, Factorization, numbered
from ..whitening import regress_alike
from ._conditional import ConditionalNetwork, bucket_by_context
from ._joint import JointNetwork
from ._trainable import ScoreNetwork


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
    dropout: float | None = None,
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
    dropout : float or None
        Likewise; None is the default of each network.
    """
    z = to_tensor(Z, dtype=TRAINING_DTYPE)
    kind_of = _kinds(factorization)
    single = [b for b in factorization.blocks if b.engine != "joint"]
    sizes = {"t_min": t_min, "hidden_size": hidden_size}
    sizes |= {} if dropout is None else {"dropout": dropout}
    networks: list[ScoreNetwork] = []
    kinds = numbered(kind_of(_slots(block)) for block in single)
    for bucket in bucket_by_context(single, hidden_size, kinds) if single else []:
        kinds = numbered(kind_of(_slots(block)) for block in bucket)
        families = [(block.columns[0], block.context) for block in bucket]
        # the flow spreads a column of scale sin(t_min) to the noise floor tan(t_min)
        regressions = regress_alike(
            Z, weight, families, kinds, constant_scale=math.sin(t_min)
        )
        columns, contexts = zip(*families, strict=True)
        network = ConditionalNetwork(
            columns, contexts, n_layers=n_layers, kinds=kinds, **sizes
        )
        networks.append(network.initialize(generator).calibrate(regressions, z))
    for block in factorization.blocks:
        if block.engine == "joint":
            network = JointNetwork(
                block.columns,
                block.context,
                block.factors,
                n_rounds=n_rounds,
                column_kinds=numbered(
                    kind_of((j,)) for j in block.columns + block.context
                ),
                factor_kinds=numbered(kind_of(factor) for factor in block.factors),
                **sizes,
            )
            families = list(block.families().items())
            kinds = numbered(kind_of((j, *context)) for j, context in families)
            regressions = regress_alike(Z, weight, families, kinds, constant_scale=0.0)
            network.initialize(generator)
            networks.append(network.calibrate(families, regressions, z))
    return networks


def _kinds(factorization: Factorization):
    """Function from the slots of a factor to its kind; without sharing all differ."""
    return factorization.sharing.kind if factorization.sharing else lambda slots: slots


def _slots(block: Block) -> Sequence[int]:
    return (*block.columns, *block.context)

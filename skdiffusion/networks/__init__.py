"""The score networks: one-column conditionals in one batch, and message passing.

Both are denoisers with weights (`ScoreNetwork`); training and the flow see no more.
"""

from ._average import AverageOfNetworks, average
from ._conditional import ConditionalNetwork
from ._initial import initial_ensemble, initial_networks
from ._joint import JointNetwork
from ._trainable import ScoreNetwork

NETWORKS = {network.__name__: network for network in (ConditionalNetwork, JointNetwork)}


def from_state(state: dict) -> ScoreNetwork:
    """Network of any kind from the result of its `to_state`."""
    return NETWORKS[state["network"]].from_state(state)


__all__ = [
    "AverageOfNetworks",
    "ConditionalNetwork",
    "JointNetwork",
    "ScoreNetwork",
    "average",
    "from_state",
    "initial_ensemble",
    "initial_networks",
]

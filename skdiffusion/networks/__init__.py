"""The score networks: one-column conditionals in one batch, and message passing.

Both are denoisers with weights (`ScoreNetwork`); training and the flow see no more. After
training conditional networks may be averaged with mixtures (`Blend`).
"""

from ._average import AverageOfNetworks, average, averages
from ._blend import Blend, mixture_shares
from ._conditional import ConditionalNetwork
from ._initial import initial_ensemble, initial_networks
from ._joint import JointNetwork
from ._mixture import ConditionalMixture
from ._trainable import ScoreNetwork

NETWORKS = {network.__name__: network for network in (ConditionalNetwork, JointNetwork)}


def network_from_state(state: dict) -> ScoreNetwork:
    """Network of any kind from the result of its `to_state`, as training left it."""
    own = {name: value for name, value in state.items() if name != "mixture"}
    return NETWORKS[state["network"]].from_state(own)


def from_state(state: dict) -> ScoreNetwork | Blend:
    """Network of any kind, averaged with a mixture if its state has one."""
    network = network_from_state(state)
    return Blend.from_state(network, state["mixture"]) if "mixture" in state else network


__all__ = [
    "AverageOfNetworks",
    "Blend",
    "ConditionalMixture",
    "ConditionalNetwork",
    "JointNetwork",
    "ScoreNetwork",
    "average",
    "averages",
    "from_state",
    "initial_ensemble",
    "initial_networks",
    "mixture_shares",
    "network_from_state",
]

"""The score networks: one-column conditionals in one batch, and message passing.

Both are denoisers with weights (`ScoreNetwork`); training and the flow see no more. After
training conditional networks may be averaged (`Blend`) with closed forms of the same
columns (`ConditionalPartner`): mixtures and kernel estimates.
"""

from ._average import AverageOfNetworks, average, averages
from ._blend import Blend, averaged_by_state, averaged_with, partner_shares
from ._conditional import ConditionalNetwork
from ._initial import initial_ensemble, initial_networks
from ._joint import JointNetwork
from ._kernels import ConditionalKernels
from ._mixture import ConditionalMixture
from ._partner import ConditionalPartner
from ._trainable import ScoreNetwork

NETWORKS = {network.__name__: network for network in (ConditionalNetwork, JointNetwork)}


def network_from_state(state: dict) -> ScoreNetwork:
    """Network of any kind from the result of its `to_state`, as training left it."""
    own = {name: value for name, value in state.items() if name != "beside"}
    return NETWORKS[state["network"]].from_state(own)


def from_state(state: dict) -> ScoreNetwork | Blend:
    """Network of any kind, averaged with what its state has beside it."""
    network = network_from_state(state)
    return averaged_by_state(network, state["beside"]) if "beside" in state else network


__all__ = [
    "AverageOfNetworks",
    "Blend",
    "ConditionalKernels",
    "ConditionalMixture",
    "ConditionalNetwork",
    "ConditionalPartner",
    "JointNetwork",
    "ScoreNetwork",
    "average",
    "averaged_with",
    "averages",
    "from_state",
    "initial_ensemble",
    "initial_networks",
    "network_from_state",
    "partner_shares",
]

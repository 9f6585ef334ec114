"""The score networks: one-column conditionals in one batch, and message passing.

Both are denoisers with weights (`ScoreNetwork`); training and the flow see no more. After
training networks are averaged over the members of an `Ensemble`, and conditional ones
may be averaged (`Blend`) with closed forms of the same columns (`ConditionalPartner`):
mixtures and kernel estimates.
"""

from ._average import AverageOfNetworks, average, averages
from ._blend import Blend, averaged_with
from ._conditional import ConditionalNetwork
from ._ensemble import Ensemble, PartnerShare, network_from_state
from ._initial import initial_ensemble, initial_networks
from ._joint import JointNetwork
from ._kernels import ConditionalKernels
from ._mixture import ConditionalMixture
from ._partner import ConditionalPartner
from ._trainable import ScoreNetwork

__all__ = [
    "AverageOfNetworks",
    "Blend",
    "ConditionalKernels",
    "ConditionalMixture",
    "ConditionalNetwork",
    "ConditionalPartner",
    "Ensemble",
    "JointNetwork",
    "PartnerShare",
    "ScoreNetwork",
    "average",
    "averaged_with",
    "averages",
    "initial_ensemble",
    "initial_networks",
    "network_from_state",
]

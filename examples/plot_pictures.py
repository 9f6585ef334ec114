"""
Pictures of a fitted density
============================

Every display draws itself from a fitted estimator in one line: its graph, its training,
samples beside data, a slice, and the flow from noise to data.
"""

import matplotlib.pyplot as plt

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.datasets import make_two_parents
from skdiffusion.displays import (
    DensityDisplay,
    FlowDisplay,
    GraphDisplay,
    PairsDisplay,
    TrainingDisplay,
)

table = make_two_parents(1000, n_features=4, random_state=0)
held_out = make_two_parents(500, n_features=4, random_state=1).data
density = FactorizedDiffusionDensity(
    table.graph, n_networks=1, max_iter=800, random_state=0
).fit(table.data)

# %%
# What depends on what
# --------------------

GraphDisplay.from_estimator(density)
plt.show()

# %%
# How the training went
# ---------------------

TrainingDisplay.from_estimator(density)
plt.show()

# %%
# Held-out rows and samples, in pairs of columns
# ----------------------------------------------

PairsDisplay.from_estimator(density, held_out, random_state=0)
plt.show()

# %%
# A slice: two columns, where the others are held
# -----------------------------------------------

DensityDisplay.from_estimator(density, held_out, features=[2, 3], held={0: 1.0, 1: 0.5})
plt.show()

# %%
# From noise to data
# ------------------

FlowDisplay.from_estimator(density, features=[0, 1], random_state=0)
plt.show()

"""
First steps: density, conditional sample, picture
=================================================

Three measurements of 569 cell nuclei become a density. It says how usual a nucleus is,
and what large ones look like; a picture shows the answer.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.displays import PairsDisplay

# %%
# Fit
# ---

cells = load_breast_cancer(as_frame=True).data
cells = cells[["mean radius", "mean texture", "mean concavity"]]
density = FactorizedDiffusionDensity(max_iter=500, random_state=0).fit(cells)
print(density.score_samples(cells[:3]))  # in nats, in the units of the table

# %%
# Ask
# ---
# A number would fix a column; a pair says between which bounds it lies.

large = density.condition({"mean radius": (18, None)}, random_state=0)
print(
    f"share of large nuclei: {np.exp(large.log_normalizer):.3f}", end=" in the density, "
)
print(f"{(cells['mean radius'] > 18).mean():.3f} in the table")
print(large.sample(3, random_state=0, as_frame=True).round(2))

# %%
# Look
# ----
# The table in grey, and as many draws of large nuclei: their outlines are more dented.

display = PairsDisplay.from_estimator(large, cells, random_state=0)
display.figure_.suptitle("All nuclei, and draws of nuclei with a radius above 18")
plt.show()

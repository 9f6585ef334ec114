"""
Checking a fitted density
=========================

Two densities of one table: kernels that are too wide, and a diffusion model. Rows that
neither has seen tell which one is wrong, in which columns, and how.
"""

import matplotlib.pyplot as plt

from skdiffusion import FactorizedDiffusionDensity, KernelScoreDensity
from skdiffusion.datasets import make_nonlinear_chain
from skdiffusion.displays import ProbabilityIntegralDisplay
from skdiffusion.metrics import (
    calibration_test,
    compare,
    integration_error,
    normalization,
    two_sample_test,
)

# %%
# Two densities
# -------------

chain = make_nonlinear_chain(1000, n_features=3, random_state=0)
held_out = make_nonlinear_chain(1000, n_features=3, random_state=1).data
densities = {
    "wide kernels": KernelScoreDensity(chain.graph, bandwidth=0.5),
    "diffusion": FactorizedDiffusionDensity(chain.graph, max_iter=800, random_state=0),
}
for density in densities.values():
    density.fit(chain.data)

# %%
# Which one is better?
# --------------------

print(compare(densities, held_out))

# %%
# Is it a density, and how exactly is it computed?
# ------------------------------------------------
# The density of kernels is a closed form; that of the diffusion integrates an equation.

for name, density in densities.items():
    print(f"{name}: {normalization(density, n_points=4096, random_state=0)}")
print(integration_error(densities["diffusion"], held_out))

# %%
# Does it agree with rows it has not seen?
# ----------------------------------------
# The first test looks at one column after the other, each given its context; the second
# compares samples with rows in all columns at once.

for name, density in densities.items():
    print(f"\n{name}: {calibration_test(density, held_out)}")
    samples = density.sample(1000, random_state=0)
    print(two_sample_test(held_out, samples, random_state=0))

# %%
# How is it wrong?
# ----------------
# Under a true density most bars stay in the band. Hardly any rows at the ends, as in the
# first row of panels, say that the density is too wide; hardly any in the middle, that a
# valley between two humps has been filled. Of the latter the diffusion has a little, too,
# after so short a training.

figure = plt.figure(figsize=(9, 6), layout="constrained")
for ax, (name, density) in zip(figure.subplots(2, 1), densities.items(), strict=True):
    display = ProbabilityIntegralDisplay.from_estimator(density, held_out, ax=ax)
    display.axes_[0, 0].get_legend().remove()
    for panel in display.axes_.flat:
        panel.set_title(f"{panel.get_title()}, {name}")
handles = display.axes_[0, 0].get_legend_handles_labels()
figure.legend(*handles, loc="outside upper center", ncols=3)
plt.show()

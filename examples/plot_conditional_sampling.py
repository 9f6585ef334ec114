"""
Seeing and doing: conditional samples of a Bayesian network
===========================================================

A density fitted along a graph answers questions that were not known when it was fitted:
what do some columns say of the others? Here a chain of four bimodal columns, each a noisy
sine of the one before, is fitted once. Then its third column is seen to be 0.5, and the
draws of its neighbours are compared with their exact conditional densities. At last the
second column is *set* to 1 instead of seen: what precedes it does not change.

Run it with ``python examples/plot_conditional_sampling.py [picture.png]``; without
a path it shows the picture.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.datasets import make_nonlinear_chain

chain = make_nonlinear_chain(2000, n_features=4, random_state=0)
density = FactorizedDiffusionDensity(chain.graph, n_networks=1, random_state=0)
density.fit(chain.data)

# %%
# The chain runs downward: x3 follows from x2 by its own conditional density, while x1 and
# x0 have to be inferred against the direction of the arrows.

seen = density.condition({2: 0.5}, random_state=0)
print(f"log-density of x2 = 0.5: {seen.log_normalizer:.3f}", end=" ")
print(f"(standard error {seen.log_normalizer_error:.3f})")
print(f"effective particles: {seen.effective_sample_size:.0f} of {seen.n_particles}")
draws = seen.sample(5000, random_state=0)

# %%
# The exact conditional densities follow from the known density of the chain: of x1 by
# adding up over x0, of x3 as a ratio of the densities of four and of three columns.

grid = np.linspace(-3.5, 3.5, 281)
step = grid[1] - grid[0]
first_three = make_nonlinear_chain(2, n_features=3).log_density

x0, x1 = (a.ravel() for a in np.meshgrid(grid, grid))
rows = np.c_[x0, x1, np.full(x0.size, 0.5)]
back = np.exp(first_three(rows)).reshape(len(grid), -1).sum(axis=1)
back /= back.sum() * step

rows = np.tile([0.0, 0.0, 0.5], (len(grid), 1))
ahead = np.exp(chain.log_density(np.c_[rows, grid]) - first_three(rows))

# %%
# Seeing x1 = 1 tells of x0, its cause in the chain; setting x1 to 1 does not. That is the
# effect of an intervention only if the arrows of the graph are causes.

seeing = density.sample(5000, random_state=0, given={1: 1.0})
doing = density.sample(5000, random_state=0, do={1: 1.0})

# %%
# Draws, and what they should follow.

figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
bins = np.linspace(-3.5, 3.5, 141)
panels = [
    (1, back, "looking back: x1, given x2 = 0.5"),
    (3, ahead, "looking ahead: x3, given x2 = 0.5"),
]
for ax, (j, truth, title) in zip(axes, panels, strict=False):
    ax.hist(draws[:, j], bins, density=True, color="#9ecae1", label="5000 draws")
    ax.plot(grid, truth, color="#d94801", label="exact density")
    ax.set(title=title, xlabel=f"x{j}", yticks=[])
style = {"density": True, "histtype": "step", "lw": 1.8}
axes[2].hist(seeing[:, 0], bins[::2], color="#31a354", label="given x1 = 1", **style)
axes[2].hist(doing[:, 0], bins[::2], color="#756bb1", label="do x1 = 1", **style)
axes[2].set(title="seeing or doing: x0", xlabel="x0", yticks=[])
for ax in axes:
    ax.legend(frameon=False, fontsize=8)
axes[0].set_ylabel("density")
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=150)
    print(f"\npicture saved to {sys.argv[1]}")
else:
    plt.show()

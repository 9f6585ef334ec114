"""
Kernel scores with and without structure
========================================

A chain of six columns, each a noisy curve of the one before. Four estimates of its
density from 1500 rows: scikit-learn's `KernelDensity`, the kernel score of all columns
(`KernelScoreDensity`, the same thing with a bandwidth by leave-one-out likelihood), the
kernel scores of the factors of the chain, and `FactorizedDiffusionDensity`, which learns
the scores of the factors with small networks.

Run it with ``python examples/plot_kernel_scores.py [picture.png]``; without
a path it shows the picture.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

from skdiffusion import FactorizedDiffusionDensity, KernelScoreDensity
from skdiffusion.datasets import make_nonlinear_chain
from skdiffusion.metrics import mean_log_density, paired_difference, total_variation

# %%
# A table whose density is known
# ------------------------------

chain = make_nonlinear_chain(1500, n_features=6, random_state=0)
fresh = make_nonlinear_chain(4000, n_features=6, random_state=1).data
truth = chain.log_density(fresh)

# %%
# Four estimates
# --------------

search = GridSearchCV(
    KernelDensity(), {"bandwidth": np.geomspace(0.1, 1, 15)}, scoring=mean_log_density
)
estimates = {
    "KernelDensity": search.fit(chain.data).best_estimator_,
    "kernel scores,\nno graph": KernelScoreDensity().fit(chain.data),
    "kernel scores\nof the factors": KernelScoreDensity(chain.graph).fit(chain.data),
    "diffusion\nof the factors": FactorizedDiffusionDensity(
        chain.graph, random_state=0
    ).fit(chain.data),
}

# %%
# How far they are from the truth
# -------------------------------
# The kernel estimates with and without a graph differ in nothing but the graph.

print(f"{'':32}KL to the truth (nats)   total variation")
divergence = {}
for name, density in estimates.items():
    found = density.score_samples(fresh)
    divergence[name] = paired_difference(truth, found)
    distance = total_variation(truth, found)
    label = name.replace("\n", " ")
    print(f"{label:32}{divergence[name]!s:>22}{distance:18.3f}")

# %%
# What their samples look like
# ----------------------------
# Two neighbouring columns of the chain, and two that are three steps apart.

n_shown = 1500
panels = {"truth": fresh[:n_shown]}
panels |= {
    name: density.sample(n_shown, random_state=0) for name, density in estimates.items()
}
figure, axes = plt.subplots(2, 5, figsize=(13, 5.6), sharex="row", sharey="row")
for row, (i, j) in zip(axes, [(4, 5), (2, 5)], strict=True):
    for ax, (name, rows) in zip(row, panels.items(), strict=True):
        color = "black" if name == "truth" else "tab:blue"
        ax.scatter(*rows[:, [i, j]].T, s=4, alpha=0.5, color=color, lw=0)
        ax.set_xlabel(f"column {i}")
    row[0].set_ylabel(f"column {j}")
for ax, name in zip(axes[0], panels, strict=True):
    error = f"\n{divergence[name].mean:.2f} nats off" if name in divergence else ""
    ax.set_title(name + error, fontsize=10)
figure.suptitle(
    "Samples of four estimates from 1500 rows of six columns, and their divergence from "
    "the truth: structure gains most, learning gains more on top"
)
figure.tight_layout()
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=110)
    print(f"\npicture saved to {sys.argv[1]}")
else:
    plt.show()

"""
A Markov random field
=====================

Nine columns on a lattice, each of which depends on its neighbours: an undirected graph
with cycles. Either edges are added until columns can be modelled one by one (completion),
or all columns are diffused together along the lattice as it is. Then factors that are
alike can share their networks, too.
"""

import matplotlib.pyplot as plt

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.datasets import make_lattice
from skdiffusion.displays import GraphDisplay
from skdiffusion.metrics import paired_difference

# %%
# A table whose density is known
# ------------------------------

lattice = make_lattice(1000, n_rows=3, n_columns=3, random_state=0)
fresh = make_lattice(1000, n_rows=3, n_columns=3, random_state=1).data
truth = lattice.log_density(fresh)

# %%
# Three ways to use the graph, or none
# ------------------------------------

settings = {
    "no graph": {"graph": None},
    "completed": {"diffusion": "conditional"},
    "together": {"diffusion": "joint"},
    "together, shared": {"diffusion": "joint", "share_weights": True},
}
fits, divergence = {}, {}
for name, setting in settings.items():
    density = FactorizedDiffusionDensity(
        **{"graph": lattice.graph} | setting,
        n_networks=1,
        batch_size=256,
        max_iter=400,
        random_state=0,
    )
    fits[name] = density.fit(lattice.data)
    divergence[name] = paired_difference(truth, density.score_samples(fresh))
    print(f"{name:18}KL to the truth {divergence[name]} nats")

# %%
# What the graph was turned into, and what it gains
# -------------------------------------------------

figure, axes = plt.subplots(1, 3, figsize=(14, 4.6), layout="constrained")
place = {k: (1.3 * (k % 3), -1.3 * (k // 3)) for k in range(9)}
for ax, name in zip(axes, ["completed", "together"], strict=False):
    GraphDisplay.from_estimator(fits[name], ax=ax, pos=place)
    ax.set_title(f"{name}\n{ax.get_title()}", fontsize="medium")
for k, (name, value) in enumerate(divergence.items()):
    color = "#555555" if name == "no graph" else "#0072B2"
    axes[2].bar(k, value.mean, yerr=value.standard_error, color=color)
labels = [name.replace(", ", ",\n") for name in divergence]
axes[2].set_xticks(range(len(divergence)), labels)
axes[2].set_ylabel("nats")
axes[2].set_title("divergence from the truth (KL), 1000 rows")
axes[2].spines[["top", "right"]].set_visible(False)
plt.show()

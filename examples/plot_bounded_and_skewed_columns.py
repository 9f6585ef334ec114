"""
Columns with bounds and long tails
==================================

A share between 0 and 1 that piles up at 1, and a positive cost with a long tail that
depends on it. The true density is known. Three estimators are fitted twice: to the
columns as they are, only scaled, and to the logit of the share and the logarithm of the
cost. `DensityPipeline` puts the volume changes back, so that all log-densities are in the
units of the table and can be compared.

Run it with ``python examples/plot_bounded_and_skewed_columns.py [picture.png]``; without
a path it shows the picture.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import clone
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler

from skdiffusion import DensityPipeline, FactorizedDiffusionDensity
from skdiffusion.metrics import paired_difference
from skdiffusion.transformers import LogitTransformer, LogTransformer

# %%
# A table with known density
# --------------------------


def cost_given(share):
    """Log-normal distribution; its median grows and its tail shrinks with the share."""
    return stats.lognorm(1.2 - 0.9 * share, scale=np.exp(1 + 2 * share**2))


SHARE = stats.beta(1.5, 0.6)


def draw(n_samples, seed):
    rng = np.random.default_rng(seed)
    share = SHARE.rvs(n_samples, random_state=rng)
    cost = cost_given(share).rvs(random_state=rng)
    return pd.DataFrame({"share": share, "cost": cost})


def true_log_density(share, cost):
    return SHARE.logpdf(share) + cost_given(share).logpdf(cost)


train, test = draw(1000, seed=0), draw(4000, seed=1)
truth = true_log_density(test["share"], test["cost"])

# %%
# Fit
# ---
# In a grid search, a `DensityPipeline` is scored by the mean log-density of held-out rows
# in the units of the table, whatever its last step calls its score. The networks of the
# diffusion are trained for half the usual steps, to be quick.

plain = [("scale", StandardScaler())]
mapped = [
    ("logit", LogitTransformer(columns="share")),
    ("log", LogTransformer(columns="cost")),
    ("scale", StandardScaler()),
]
estimators = {
    "KernelDensity": (
        KernelDensity(),
        {"density__bandwidth": np.geomspace(0.03, 1, 12)},
    ),
    "GaussianMixture": (
        GaussianMixture(n_init=2, random_state=0),
        {"density__n_components": range(1, 9)},
    ),
    "diffusion": (FactorizedDiffusionDensity(max_iter=1000, random_state=0), None),
}


def fitted(transformers, estimator, grid):
    steps = [(name, clone(step)) for name, step in transformers]
    pipeline = DensityPipeline([*steps, ("density", clone(estimator))])
    pipeline.set_output(transform="pandas")  # the second step finds its column by name
    if grid is None:
        return pipeline.fit(train)
    return GridSearchCV(pipeline, grid, cv=5).fit(train).best_estimator_


models = {
    name: (fitted(plain, *setup), fitted(mapped, *setup))
    for name, setup in estimators.items()
}

# %%
# Compare on held-out rows
# ------------------------
# The last columns are the divergence from the truth, in nats per row, with its standard
# error.

print(f"{'held-out mean log-density':28}{'truth':>10} {truth.mean():8.3f}\n")
print(f"{'':18}{'as it is':>9}{'mapped':>9}{'KL as it is':>18}{'KL mapped':>18}")
divergence = {}
for name, pair in models.items():
    found = [model.score_samples(test) for model in pair]
    divergence[name] = [paired_difference(truth, values) for values in found]
    means = "".join(f"{values.mean():9.3f}" for values in found)
    print(f"{name:18}{means}" + "".join(f"{d!s:>18}" for d in divergence[name]))

# %%
# Look at the densities
# ---------------------
# From columns as they are (above), estimates leak across 0 and 1 and below zero cost
# (grey lines), and one width has to fit the bulk and the tail. Through the pipeline
# (below) they cannot leave the support.

share, cost = np.linspace(-0.1, 1.1, 97), np.linspace(-6, 40, 93)
S, C = np.meshgrid(share, cost)
places = pd.DataFrame({"share": S.ravel(), "cost": C.ravel()})


def panel(ax, log_density, title):
    values = np.maximum(log_density.reshape(S.shape), -12)
    image = ax.pcolormesh(share, cost, values, vmin=-12, vmax=0, cmap="viridis")
    for line in (ax.axvline(0), ax.axvline(1), ax.axhline(0)):
        line.set(color="lightgrey", lw=0.8)
    ax.set_title(title, fontsize=10)
    return image


figure, axes = plt.subplots(
    2, 4, figsize=(13, 6.4), sharex=True, sharey=True, layout="constrained"
)
with np.errstate(divide="ignore", invalid="ignore"):
    panel(axes[0, 0], true_log_density(S.ravel(), C.ravel()), "truth")
for column, (name, pair) in zip(axes[:, 1:].T, models.items(), strict=True):
    rows = zip(column, pair, divergence[name], ("as it is", "mapped"), strict=True)
    for ax, model, distance, how in rows:
        title = f"{name}, {how}\n{distance.mean:.3f} nats from the truth"
        image = panel(ax, model.score_samples(places), title)
axes[1, 0].scatter(train["share"], train["cost"], s=4, color="black", lw=0)
axes[1, 0].set_title(f"{len(train)} rows to learn from", fontsize=10)
axes[1, 0].set(xlim=share[[0, -1]], ylim=cost[[0, -1]])
for ax in axes[1]:
    ax.set_xlabel("share")
for ax in axes[:, 0]:
    ax.set_ylabel("cost")
figure.colorbar(image, ax=axes, label="log-density (nats)")
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=110)
    print(f"\npicture saved to {sys.argv[1]}")
else:
    plt.show()

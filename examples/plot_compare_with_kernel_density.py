"""
Four densities of one table
===========================

Ten measurements of 569 cell nuclei (scikit-learn's breast cancer data, its "mean"
columns): what does it gain to model them with diffusion, and what to say how they
depend on each other? Kernel density estimation and Gaussian mixtures, both tuned by
cross-validation, meet `FactorizedDiffusionDensity` without and with a graph on rows
that none of them has seen.

Run it with ``python examples/plot_compare_with_kernel_density.py [picture.png]``; without
a path it shows the picture.
"""

import sys

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.metrics import mean_log_density, paired_difference

# %%
# The data, and the graph that geometry suggests
# ----------------------------------------------
# A nucleus has a size (radius) and a shape. Perimeter and area follow from both, the
# measures of dents (concavity, concave points) from how far the outline is from a
# circle (compactness).

table = load_breast_cancer(as_frame=True).data
table = table[[name for name in table if name.startswith("mean ")]]
table.columns = [name.removeprefix("mean ") for name in table]
train, test = train_test_split(table, test_size=1 / 3, random_state=0)

graph = nx.DiGraph(
    [
        ("radius", "texture"),
        ("radius", "smoothness"),
        ("smoothness", "compactness"),
        ("radius", "compactness"),
        ("radius", "perimeter"),
        ("compactness", "perimeter"),
        ("radius", "area"),
        ("perimeter", "area"),
        ("compactness", "concavity"),
        ("radius", "concavity"),
        ("concavity", "concave points"),
        ("radius", "concave points"),
        ("smoothness", "concave points"),
        ("compactness", "symmetry"),
        ("smoothness", "symmetry"),
        ("radius", "fractal dimension"),
        ("compactness", "fractal dimension"),
        ("smoothness", "fractal dimension"),
    ]
)

# %%
# Fit
# ---
# The two classical estimators need standardised columns. Their log-densities are then
# put back into the units of the data by subtracting the logarithm of the scales;
# `FactorizedDiffusionDensity` does so by itself.

scaler = StandardScaler().fit(train)
log_scale = np.log(scaler.scale_).sum()
Z_train, Z_test = scaler.transform(train), scaler.transform(test)


def tuned(estimator, grid):
    """Grid search by held-out mean log-density."""
    search = GridSearchCV(estimator, grid, scoring=mean_log_density, cv=5)
    return search.fit(Z_train)


print("searching bandwidths and components", flush=True)
kde = tuned(KernelDensity(), {"bandwidth": np.geomspace(0.1, 1.0, 15)})
mixture = tuned(
    GaussianMixture(reg_covar=1e-4, n_init=3, random_state=0),
    {"n_components": range(1, 9), "covariance_type": ["full", "diag"]},
)
print("training without a graph, then with one: one to three minutes each", flush=True)
no_graph = FactorizedDiffusionDensity(random_state=0).fit(train)
with_graph = FactorizedDiffusionDensity(graph, random_state=0).fit(train)
print(with_graph.factorization_)

# %%
# Compare on held-out rows
# ------------------------
# Differences are taken row by row, so their standard errors are much smaller than
# those of the means.

log_density = {
    "KernelDensity": kde.best_estimator_.score_samples(Z_test) - log_scale,
    "GaussianMixture": mixture.best_estimator_.score_samples(Z_test) - log_scale,
    "diffusion, no graph": no_graph.score_samples(test),
    "diffusion, graph": with_graph.score_samples(test),
}
reference = log_density["GaussianMixture"]
print(f"\n{'held-out mean log-density (nats per row)':44}  minus GaussianMixture")
for name, values in log_density.items():
    difference = paired_difference(values, reference)
    print(f"{name:30}{values.mean():14.3f}  {difference!s:>22}")

# %%
# Look at samples
# ---------------
# Each column of panels shows the held-out rows or as many samples of one model, in
# three planes in which the data are far from normal.

samples = {
    "held-out rows": test,
    "KernelDensity": scaler.inverse_transform(
        kde.best_estimator_.sample(len(test), random_state=0)
    ),
    "GaussianMixture": scaler.inverse_transform(
        mixture.best_estimator_.sample(len(test))[0]
    ),
    "diffusion, graph": with_graph.sample(len(test), random_state=0),
}
pairs = [
    ("radius", "area"),
    ("compactness", "concavity"),
    ("radius", "fractal dimension"),
]
figure, axes = plt.subplots(
    len(pairs), len(samples), figsize=(11, 8), sharex="row", sharey="row"
)
for row, pair in zip(axes, pairs, strict=True):
    i, j = (table.columns.get_loc(name) for name in pair)
    for ax, (name, rows) in zip(row, samples.items(), strict=True):
        color = "black" if name == "held-out rows" else "tab:blue"
        ax.scatter(*np.asarray(rows)[:, [i, j]].T, s=8, alpha=0.6, color=color, lw=0)
        ax.set_xlabel(pair[0])
    row[0].set_ylabel(pair[1])
for ax, name in zip(axes[0], samples, strict=True):
    values = log_density.get(name)
    score = "" if values is None else f"\nheld-out {values.mean():.2f} nats per row"
    ax.set_title(name + score, fontsize=10)
figure.suptitle("Held-out measurements of cell nuclei, and samples of three models")
figure.tight_layout()
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=110)
    print(f"\npicture saved to {sys.argv[1]}")
else:
    plt.show()

"""
Digits as a Markov random field
===============================

A pixel depends on its neighbours. On the 8 x 8 images of handwritten digits
(scikit-learn's bundled set) that makes a lattice with factors of two columns, and the
largest clique of its completion has eleven. Joint diffusion passes messages along the
lattice as it is; conditional diffusion needs the completion. Both meet kernel density
estimation and Gaussian mixtures on images that none of them has seen.

Run it with ``python examples/plot_digits_as_random_field.py [picture.png]``; it takes
about a quarter of an hour on two cores.
"""

import sys

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KernelDensity

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.metrics import mean_log_density, paired_difference

# %%
# Data and graph
# --------------
# Pixels are whole numbers from 0 to 16. Uniform noise of width one, the same for all
# methods, makes them continuous; the scale is one grey level for all pixels alike.

pixels = load_digits().data
pixels = pixels + np.random.default_rng(0).random(pixels.shape)
train, test = train_test_split(pixels, test_size=397, random_state=0)
lattice = nx.convert_node_labels_to_integers(nx.grid_2d_graph(8, 8), ordering="sorted")

# %%
# All edges of one direction share their networks: a stroke is a stroke wherever it is.
# Pixels with edges of the same directions share theirs, too; here these are all pixels.

for i, j in lattice.edges:
    lattice.edges[i, j]["direction"] = "across" if j - i == 1 else "down"

# %%
# Fit
# ---


def tuned(estimator, grid):
    """Grid search by held-out mean log-density."""
    search = GridSearchCV(estimator, grid, scoring=mean_log_density, cv=3)
    return search.fit(train).best_estimator_


models = {
    "KernelDensity": tuned(KernelDensity(), {"bandwidth": np.geomspace(0.5, 5, 15)}),
    "GaussianMixture": tuned(
        GaussianMixture(reg_covar=1e-2, random_state=0),
        {"n_components": [1, 2, 5, 10, 20], "covariance_type": ["full", "diag"]},
    ),
    "conditional diffusion": FactorizedDiffusionDensity(
        lattice, diffusion="conditional", n_networks=1, random_state=0
    ).fit(train),
    "joint diffusion": FactorizedDiffusionDensity(
        lattice,
        diffusion="joint",
        share_weights="direction",
        n_networks=1,
        max_iter=1200,
        random_state=0,
    ).fit(train),
}
print(models["joint diffusion"].factorization_)

# %%
# Compare on held-out images
# --------------------------

scores = {name: model.score_samples(test) for name, model in models.items()}
reference = scores["joint diffusion"]
print(f"\n{'held-out log-density (nats per image)':44} minus joint diffusion")
for name, values in scores.items():
    difference = paired_difference(values, reference)
    print(f"{name:30}{values.mean():14.2f}  {difference!s:>22}")

# %%
# Look at samples
# ---------------
# Pixels that depend on their neighbours only make strokes, but nothing tells two strokes
# far from each other that together they should be a digit. The picture is that of an
# earlier run; this example takes too long to run whenever the pages are built.
#
# .. image:: /images/digits_as_random_field.png
#    :alt: Held-out digits, and samples of four densities

# sphinx_gallery_thumbnail_path = 'images/digits_as_random_field.png'

images = {"held-out images": test[:10]}
for name, model in models.items():
    if name == "GaussianMixture":
        # ordered by component; ten at random
        drawn = np.random.default_rng(0).permutation(model.sample(1000)[0])
        images[name] = drawn[:10]
    else:
        images[name] = model.sample(10, random_state=0)

figure, axes = plt.subplots(len(images), 10, figsize=(8, 4.6))
for row, (name, drawn) in zip(axes, images.items(), strict=True):
    for ax, image in zip(row, drawn, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=17)
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(
        name.replace(" ", "\n"), rotation=0, ha="right", va="center", fontsize=9
    )
figure.suptitle("Held-out digits, and samples of four densities", fontsize=11)
figure.tight_layout()
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=150)
    print(f"\npicture saved to {sys.argv[1]}")
else:
    plt.show()

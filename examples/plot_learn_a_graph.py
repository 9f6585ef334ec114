"""
Learning the graph from the table
=================================

Seven columns, each a noisy curve of another, and nobody says which of which. Three
learners look for a graph in 1000 rows; with ``graph="auto"`` the estimator tries their
graphs itself and keeps what predicts held-out rows best.

Run it with ``python examples/plot_learn_a_graph.py [picture.png]``; without
a path it shows the picture.
"""

import sys
import warnings

import matplotlib.pyplot as plt
import networkx as nx
from sklearn.exceptions import ConvergenceWarning

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.datasets import make_nonlinear_tree
from skdiffusion.graphs import chow_liu_tree, graphical_lasso_graph, greedy_dag
from skdiffusion.metrics import paired_difference

# %%
# A table whose graph is known
# ----------------------------
# A binary tree: the left child of a column is a sine of it, the right child a square.

tree = make_nonlinear_tree(1000, n_features=7, random_state=0)
fresh = make_nonlinear_tree(4000, n_features=7, random_state=1).data
truth = tree.log_density(fresh)

# %%
# Three learners
# --------------
# The Chow-Liu tree joins columns by mutual information and finds the squares, which
# have next to no correlation. The graphical lasso sees correlations only. The greedy
# search lets a column have several parents.

learned = {
    "truth": tree.graph,
    "chow_liu_tree": chow_liu_tree(tree.data),
    "graphical_lasso_graph": graphical_lasso_graph(tree.data),
    "greedy_dag": greedy_dag(tree.data, random_state=0),
}


def edges(graph):
    """Pairs of columns joined in either direction."""
    return {frozenset(edge) for edge in graph.edges}


for name, graph in learned.items():
    missing = edges(tree.graph) - edges(graph)
    added = edges(graph) - edges(tree.graph)
    print(f"{name:24}{len(missing)} edges missing, {len(added)} added")

# %%
# Let the estimator choose
# ------------------------
# Each graph is judged by a short fit; then the chosen one is fitted to all rows. The
# divergence from the truth is taken on rows that no fit has seen. To save time all fits
# are shorter than by default, and we know it without warnings.

warnings.simplefilter("ignore", ConvergenceWarning)
fits = {"no graph": None, "auto": "auto", "true graph": tree.graph}
divergence = {}
for name, graph in fits.items():
    density = FactorizedDiffusionDensity(
        graph, n_networks=1, max_iter=800, random_state=0
    ).fit(tree.data)
    divergence[name] = paired_difference(truth, density.score_samples(fresh))
    print(f"{name:16}KL to the truth {divergence[name]} nats")
    if graph == "auto":
        automatic = density
print(automatic.factorization_)
for name, score in automatic.graph_scores_.items():
    print(f"{name:16}held-out mean log-density {score:.3f}")

# %%
# The graphs, and what they are worth
# -----------------------------------
# Edges that the truth does not have are dashed.

figure, axes = plt.subplots(1, 5, figsize=(15, 3.4), width_ratios=[1, 1, 1, 1, 1.1])
place = {0: (3, 2), 1: (1, 1), 2: (5, 1), 3: (0, 0), 4: (2, 0), 5: (4, 0), 6: (6, 0)}
for ax, (name, graph) in zip(axes, learned.items(), strict=False):
    wrong = [e for e in graph.edges if frozenset(e) not in edges(tree.graph)]
    right = [e for e in graph.edges if e not in wrong]
    nx.draw_networkx_nodes(graph, place, ax=ax, node_color="white", edgecolors="black")
    nx.draw_networkx_labels(graph, place, ax=ax, font_size=9)
    nx.draw_networkx_edges(graph, place, right, ax=ax, width=1.5)
    bend = {"connectionstyle": "arc3,rad=0.2", "arrows": True}
    nx.draw_networkx_edges(
        graph, place, wrong, ax=ax, style="dashed", edge_color="tab:red", **bend
    )
    ax.set_title(name, fontsize=10)
    ax.margins(0.15)
    ax.axis("off")
for k, (name, value) in enumerate(divergence.items()):
    color = "tab:blue" if "auto" in name else "tab:gray"
    axes[-1].bar(k, value.mean, yerr=value.standard_error, color=color)
axes[-1].set_xticks(range(len(divergence)), divergence)
axes[-1].set_ylabel("nats")
axes[-1].set_title("KL to the truth", fontsize=10)
axes[-1].spines[["top", "right"]].set_visible(False)
figure.suptitle("Graphs learned from 1000 rows, and the density with the chosen one")
figure.tight_layout()
if len(sys.argv) > 1:
    figure.savefig(sys.argv[1], dpi=110)
    print(f"\npicture saved to {sys.argv[1]}")
else:
    plt.show()

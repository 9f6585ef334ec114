"""
Missing cells
=============

Half the cells of a column are missing, and what is left of the row often allows two
values. A regression fills in their mean, which no complete row has; `impute` draws from
the law of the missing cells given the others.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.datasets import make_nonlinear_chain
from skdiffusion.metrics import two_sample_test

# %%
# Complete rows to learn from, and rows with gaps
# -----------------------------------------------
# The second column of the chain is a noisy sine of the first, so that one value of the
# second may come from several of the first. Here the first is missing.

complete = make_nonlinear_chain(1000, n_features=3, random_state=0)
truth = make_nonlinear_chain(1000, n_features=3, random_state=1).data
rows = truth.copy()
gone = np.random.default_rng(0).random(len(rows)) < 0.5
rows[gone, 0] = np.nan

# %%
# Two ways to fill them
# ---------------------

density = FactorizedDiffusionDensity(
    complete.graph, n_networks=1, max_iter=800, random_state=0
).fit(complete.data)
filled = {
    "truth": truth,
    "regression": IterativeImputer(random_state=0).fit(complete.data).transform(rows),
    "drawn from the density": density.impute(rows, n_particles=500, random_state=0),
}
for name in ("regression", "drawn from the density"):
    print(name, two_sample_test(truth[~gone], filled[name][gone], random_state=0))

# %%
# Several draws say how sure they are: here the mean, and the spread over 50 tables, of
# the first missing cells.

draws = density.impute(rows[gone][:3], n_draws=50, random_state=0)[..., 0]
print("mean  ", draws.mean(axis=0).round(2))
print("spread", draws.std(axis=0).round(2))
print("truth ", truth[gone][:3, 0].round(2))

# %%
# What was filled in
# ------------------

figure, axes = plt.subplots(
    1, 3, figsize=(11, 3.6), sharex=True, sharey=True, layout="constrained"
)
for ax, (name, table) in zip(axes, filled.items(), strict=True):
    ax.scatter(*table[~gone, :2].T, s=6, color="#BBBBBB", label="complete rows")
    ax.scatter(*table[gone, :2].T, s=9, color="#D55E00", label="x0 was missing")
    ax.set(title=name, xlabel="x0")
axes[0].set_ylabel("x1")
axes[0].legend(loc="lower right", markerscale=2)
figure.suptitle("A missing column: its true values, and two ways to fill it in")
plt.show()

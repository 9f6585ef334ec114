"""
Outliers where the density is low
=================================

Rows along two crescents, and a few anywhere. `DensityOutlierDetector` calls rows outliers
where a density is low, whatever the shape of the bulk; one ellipse has to cover the empty
space between the crescents, too.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.covariance import EllipticEnvelope
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.metrics import roc_auc_score

from skdiffusion import DensityOutlierDetector, FactorizedDiffusionDensity

# %%
# A table with intruders
# ----------------------

moons = make_moons(570, noise=0.07, random_state=0)[0]
intruders = np.random.default_rng(0).uniform([-1.5, -1], [2.5, 1.5], (30, 2))
table = np.r_[moons, intruders]
is_intruder = np.arange(len(table)) >= len(moons)

# %%
# Two detectors
# -------------
# Both are told that one row in twenty is an outlier.

density = FactorizedDiffusionDensity(n_networks=1, max_iter=800, random_state=0)
detectors = {
    "one ellipse": EllipticEnvelope(contamination=0.05, random_state=0),
    "diffusion density": DensityOutlierDetector(density, contamination=0.05),
}
for detector in detectors.values():
    detector.fit(table)

# %%
# Where the line is drawn
# -----------------------

figure, axes = plt.subplots(
    1, 2, figsize=(10, 4.2), sharex=True, sharey=True, layout="constrained"
)
for ax, (name, detector) in zip(axes, detectors.items(), strict=True):
    called = detector.predict(table) == -1
    ranked = roc_auc_score(is_intruder, -detector.decision_function(table))
    DecisionBoundaryDisplay.from_estimator(
        detector, table, response_method="predict", ax=ax, cmap="Greys_r", alpha=0.25
    )
    ax.scatter(*moons.T, s=6, color="#555555", label="bulk")
    ax.scatter(*intruders.T, s=14, color="#D55E00", label="intruders")
    ax.scatter(*table[called].T, s=60, fc="none", ec="black", label="called outliers")
    found = (called & is_intruder).sum()
    ax.set_title(f"{name}: {found} of 30 found, area under ROC {ranked:.2f}")
figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

"""Figures of a comparison: divergence against rows, and differences on real tables."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
from estimators import ESTIMATORS, REFERENCES
from matplotlib import pyplot as plt
from matplotlib.ticker import (
    LogLocator,
    NullFormatter,
    NullLocator,
    SymmetricalLogLocator,
)

N_ACROSS = 4
MIN_WIDTH = 7
WIDE = 5.0  # nats beyond which differences are drawn on a logarithmic scale
COLOURS = {
    "kde": "tab:brown",
    "gmm": "tab:orange",
    "vine": "tab:green",
    "nsf": "tab:purple",
    "maf": "tab:pink",
    "kernel": "tab:cyan",
    "diffusion": "tab:blue",
}


def _style(name):
    """One colour for each kind of estimator, dashed and hollow with a graph."""
    kind, entry = name.removesuffix("-graph"), ESTIMATORS[name]
    return {
        "color": COLOURS[kind],
        "linestyle": "--" if entry.knows_graph else "-",
        "markerfacecolor": "white" if entry.knows_graph else COLOURS[kind],
        "linewidth": 2.4 if name in REFERENCES else 1.2,
        "zorder": 3 if name in REFERENCES else 2,
    }


def _panels(n, width, height):
    """A figure with n panels in rows, and the panels."""
    across = min(n, N_ACROSS)
    down = -(-n // across)
    size = max(width * across, MIN_WIDTH), height * down
    figure, axes = plt.subplots(down, across, figsize=size, squeeze=False)
    for ax in axes.ravel()[n:]:
        ax.set_axis_off()
    return figure, axes.ravel()[:n]


def draw_known(summary, folder):
    """Divergence from the truth against training rows; the names of files written."""
    if summary.empty:
        return []
    groups = list(summary.groupby("table", sort=False))
    figure, axes = _panels(len(groups), 3.4, 3.2)
    for ax, (table, group) in zip(axes, groups, strict=True):
        _lines(ax, group)
        ax.set(title=table, xlabel="training rows")
    axes[0].set_ylabel("KL, nats (2 s.e.)")
    figure.suptitle("Divergence from the truth (lower is better)")
    _legend(figure, axes)
    return _saved(figure, folder, "known_density.png")


def _lines(ax, group):
    for name, rows in group.groupby("estimator", sort=False):
        rows = rows[np.isfinite(rows["kl"])].sort_values("n_samples")
        label = ESTIMATORS[name].title
        x, y, error = rows["n_samples"], rows["kl"], 2 * rows["kl_se"]
        ax.errorbar(x, y, error, marker="o", label=label, **_style(name))
    ax.set_xscale("log")
    least = group["kl"].min()
    if least > 0:
        # errors may reach below zero; the axis need not
        ax.set_yscale("log", nonpositive="clip")
        ax.set_ylim(bottom=least / 2)
        _plain(ax.yaxis, LogLocator(subs=(1, 2, 5)))
    else:  # a divergence near zero may be estimated below zero
        ax.set_yscale("symlog", linthresh=0.01)
        ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ticks = sorted(group["n_samples"].unique())
    ax.set_xticks(ticks, [f"{tick}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())


def _plain(axis, locator):
    """Numbers of a logarithmic axis as people write them."""
    axis.set_major_locator(locator)
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def draw_real(summary, folder):
    """Differences from ours on real tables, where it was fitted; names of files."""
    summary = summary[np.isfinite(summary["minus_diffusion"])]
    if summary.empty:
        return []
    groups = list(summary.groupby(["table", "variant"], sort=False))
    figure, axes = _panels(len(groups), 3.8, 3.0)
    for ax, ((table, variant), group) in zip(axes, groups, strict=True):
        _dots(ax, group)
        ax.set_title(f"{table}, {variant}")
        ax.set_xlabel("nats per row minus diffusion (2 s.e.)")
    figure.suptitle("Log-density of new rows: left of the line ours is ahead")
    return _saved(figure, folder, "real_tables.png")


def _dots(ax, group):
    """A line for each estimator; sizes lie above each other."""
    names = [n for n in ESTIMATORS if n in set(group["estimator"]) and n != "diffusion"]
    shown = sorted(group["n_samples"].unique())
    for k, n_samples in enumerate(shown):
        rows = group[group["n_samples"] == n_samples].set_index("estimator")
        for place, name in enumerate(names):
            if name in rows.index:
                x, error = rows.loc[name, ["minus_diffusion", "minus_diffusion_se"]]
                y = place + 0.25 * (k - (len(shown) - 1) / 2)
                ax.errorbar(x, y, xerr=2 * error, marker="os^D"[k % 4], **_style(name))
    ax.set_yticks(range(len(names)), [ESTIMATORS[name].title for name in names])
    ax.invert_yaxis()
    if group["minus_diffusion"].abs().max() > WIDE:
        ax.set_xscale("symlog", linthresh=1.0)
        _plain(ax.xaxis, SymmetricalLogLocator(base=10, linthresh=1.0, subs=(1, 3)))
    ax.axvline(0, color="tab:blue", linewidth=1)


def _legend(figure, axes):
    """One legend for all panels."""
    found = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    figure.legend(found.values(), found, loc="outside lower center", ncols=4, fontsize=8)


def _saved(figure, folder, name):
    figure.set_layout_engine("constrained")
    figure.savefig(folder / name, dpi=110)
    plt.close(figure)
    return [name]

"""What fitting, scoring and sampling cost, against the arithmetic and against peers.

    python benchmarks/cost.py

Measures in one run, with the threads torch chooses: the share of this machine's matrix
rate that a training step, scoring and sampling reach; the cost against the number of
rows, of columns (a chain), the size of factors and the number of solver steps, with
fitted exponents; and the speed beside `KernelDensity` and, if zuko is installed, a
neural spline flow. Models are trained for a few steps only: cost does not depend on how
good they are. Writes `cost.md`, `cost.csv` and `cost.png` into docs.
"""

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import networkx as nx
import numpy as np
import torch
from matplotlib import pyplot as plt
from reporting import markdown, timed
from sklearn.neighbors import KernelDensity

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion.datasets import make_nonlinear_chain
from skdiffusion.solvers import THREE_EIGHTHS

# rows at once with 8 columns: in scoring, and in sampling, where a chain is walked
# column by column
SCORED_AT_ONCE, DRAWN_AT_ONCE = 240, 2000
N_SCORED = 4096
# what smooth densities take by default
N_STEPS = 8
BATCHES = (256, 512)


def best_seconds(function, *arguments, n_repetitions=3):
    """Least wall-clock seconds of a call, after one call to warm up."""
    function(*arguments)
    return min(timed(function, *arguments)[1] for _ in range(n_repetitions))


def fitted(X, graph, **parameters):
    """A model trained for a few steps, not selected."""
    fixed = {"n_steps": N_STEPS, "random_state": 0}
    options = {"max_iter": 10, "early_stopping": False, **fixed}
    return FactorizedDiffusionDensity(graph, **options | parameters).fit(X)


def step_seconds(X, graph, batch_size):
    """Seconds of a training step: the difference of a long and a short fit."""

    def fit(n):
        return timed(fitted, X, graph, max_iter=n, batch_size=batch_size)[1]

    fit(10)
    return min((fit(110) - fit(10)) / 100 for _ in range(3))


def product_seconds(model, n_columns, n_rows, passes):
    """Seconds of the hidden layers' matrix products, `passes` times, in float32."""
    x, y = (torch.randn(n_columns, n_rows, model.hidden_size) for _ in range(2))
    w = torch.randn(n_columns, model.hidden_size, model.hidden_size)

    def run():
        for _ in range(2 * model.n_layers * passes):
            torch.bmm(x, w, out=y)

    return best_seconds(run, n_repetitions=10)


def shares_of_products(rows):
    """Time of the work, and of its matrix products alone."""
    table = make_nonlinear_chain(2000, 8, random_state=0)
    new = make_nonlinear_chain(N_SCORED, 8, random_state=1).data
    model = fitted(table.data, table.graph)
    for batch in BATCHES:
        took = step_seconds(table.data, table.graph, batch)
        alone = product_seconds(model, 8, batch, 3)
        rows.append((f"training step, batch {batch}", took, alone))
    evaluations = N_SCORED * model.n_steps * THREE_EIGHTHS.n_stages
    took = best_seconds(model.score_samples, new)
    alone = product_seconds(model, 8, SCORED_AT_ONCE, 2) / SCORED_AT_ONCE
    rows.append((f"score {N_SCORED} rows", took, evaluations * alone))
    took = best_seconds(model.sample, N_SCORED)
    alone = 8 * product_seconds(model, 1, DRAWN_AT_ONCE, 1) / DRAWN_AT_ONCE
    rows.append((f"sample {N_SCORED} rows", took, evaluations * alone))


def scaling(records):
    """Cost against rows, columns, size of factors and steps of the solver."""

    def record(axis, value, X, graph, **parameters):
        model = fitted(X, graph, **parameters)
        new = X[:1024]
        records.append(
            {
                "axis": axis,
                "value": value,
                "step": step_seconds(X, graph, 256),
                "score": best_seconds(model.score_samples, new, n_repetitions=2)
                / len(new),
                "sample": best_seconds(model.sample, 1024, n_repetitions=1) / len(new),
            }
        )
        print(records[-1], flush=True)

    for n in (1000, 10_000, 100_000):
        table = make_nonlinear_chain(n, 8, random_state=0)
        record("training rows", n, table.data, table.graph)
    for D in (8, 32, 128, 512):
        table = make_nonlinear_chain(1100, D, random_state=0)
        record("columns of a chain", D, table.data, table.graph)
    X = np.random.RandomState(0).standard_normal((1100, 16))
    for d in (2, 4, 8, 12):
        graph = nx.DiGraph(
            [(i, j) for j in range(16) for i in range(max(0, j - d + 1), j)]
        )
        record("columns of a factor", d, X, graph)
    table = make_nonlinear_chain(1100, 8, random_state=0)
    for n_steps in (6, 12, 24, 48):
        record("steps of the solver", n_steps, table.data, table.graph, n_steps=n_steps)


def spline_flow(X, new):
    """Rows per second of a neural spline flow of zuko: score and sample; or None."""
    try:
        import zuko
    except ImportError:
        return None
    with torch.random.fork_rng():
        flow = zuko.flows.NSF(X.shape[1], transforms=5, hidden_features=(64, 64))
    x = torch.tensor(new, dtype=torch.float32)
    with torch.no_grad():
        score = best_seconds(lambda: flow().log_prob(x))
        sample = best_seconds(lambda: flow().sample((len(x),)))
    return len(x) / score, len(x) / sample


def peers(rows):
    """Rows per second of ours and of peers on the same rows."""
    new = make_nonlinear_chain(N_SCORED, 8, random_state=1).data
    for n in (2000, 10_000, 50_000):
        table = make_nonlinear_chain(n, 8, random_state=0)
        model = fitted(table.data, table.graph)
        kde = KernelDensity(bandwidth=0.2).fit(table.data)
        ours = N_SCORED / best_seconds(model.score_samples, new)
        drawn = N_SCORED / best_seconds(model.sample, N_SCORED)
        rows.append(("diffusion, graph", n, ours, drawn, 1.0))
        few = new[:500]
        theirs = len(few) / best_seconds(kde.score_samples, few, n_repetitions=1)
        rows.append(("KernelDensity", n, theirs, None, ours / theirs))
        if n == 2000:
            speeds = spline_flow(table.data, new)
            if speeds is not None:
                rows.append(("spline flow (zuko)", n, *speeds, ours / speeds[0]))


def exponent(records, axis, what):
    """Slope of log cost on log value."""
    chosen = [r for r in records if r["axis"] == axis]
    x, y = (np.log([r[name] for r in chosen]) for name in ("value", what))
    return np.polyfit(x, y, 1)[0]


def picture(records, path):
    """Four panels of cost with exponents."""
    axes_names = list(dict.fromkeys(r["axis"] for r in records))
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.6), sharey=True)
    names = {"step": "training step", "score": "score a row", "sample": "sample a row"}
    for ax, axis in zip(axes, axes_names, strict=True):
        chosen = [r for r in records if r["axis"] == axis]
        for what, name in names.items():
            label = f"{name}: {exponent(records, axis, what):.2f}"
            values = [1000 * r[what] for r in chosen]
            ax.plot([r["value"] for r in chosen], values, marker="o", label=label)
        ax.set(xscale="log", yscale="log", xlabel=axis)
        ticks = [r["value"] for r in chosen]
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
        ax.legend(fontsize=7, title="exponents", title_fontsize=7)
    axes[0].set_ylabel("milliseconds")
    figure.suptitle(
        "Cost of a training step of 256 rows, and of one of 1024 rows scored and drawn"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def report(limit_rows, records, peer_rows):
    """All results as Markdown."""
    shares = [
        (name, f"{1000 * took:.2f}", f"{1000 * alone:.2f}", f"{alone / took:.0%}")
        for name, took, alone in limit_rows
    ]
    slopes = [
        (
            axis,
            *(f"{exponent(records, axis, w):.2f}" for w in ("step", "score", "sample")),
        )
        for axis in dict.fromkeys(r["axis"] for r in records)
    ]
    speeds = [
        (
            name,
            n,
            f"{score:.0f}",
            "" if sample is None else f"{sample:.0f}",
            f"{ratio:.2f}",
        )
        for name, n, score, sample, ratio in peer_rows
    ]
    return "\n".join(
        [
            markdown(
                ("what", "took, ms", "its matrix products alone, ms", "share"), shares
            ),
            markdown(("cost against", "training step", "score", "sample"), slopes),
            markdown(
                ("estimator", "rows", "score, rows/s", "sample, rows/s", "ours / this"),
                speeds,
            ),
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = Path(__file__).parents[1] / "docs" / "cost"
    parser.add_argument(
        "--output", type=Path, default=default, help="folder of the results"
    )
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    limit_rows, records, peer_rows = [], [], []
    shares_of_products(limit_rows)
    peers(peer_rows)
    scaling(records)
    with (output / "cost.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    text = report(limit_rows, records, peer_rows)
    (output / "cost.md").write_text(text)
    picture(records, output / "cost.png")
    print(f"\n{torch.get_num_threads()} threads\n\n{text}\nin {output}")

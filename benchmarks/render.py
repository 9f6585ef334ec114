"""Tables and figures of a comparison.

    python benchmarks/render.py results/compare.csv --report docs/benchmarks

Results that the folder of the report holds from other runs stay in it. Results of several
seeds are averaged. Differences of log-densities are taken row by row on the same fresh
rows, from seeds that both estimators have. Their standard errors tell how sure the means
are for fresh rows; how much they vary with the training rows is shown by the standard
deviation over seeds.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from collected import collect
from estimators import ESTIMATORS, REFERENCES
from pictures import draw_known, draw_real
from reporting import REPORT, markdown
from store import Store

GROUP = ["table", "variant", "n_samples"]
SURE = 2.0  # standard errors from which a difference counts
MEANS = ("log_density", "kl", "tv")
MEDIANS = ("fit_seconds", "score_rows_per_second", "sample_rows_per_second")
MEMORY = ("peak_memory_mib", "added_memory_mib")


def pooled(means, errors):
    """Mean over seeds, its standard error, and the standard deviation over seeds."""
    means, errors = np.asarray(means, float), np.asarray(errors, float)
    with np.errstate(invalid="ignore"):
        spread = means.std(ddof=1) if len(means) > 1 else np.nan
    return means.mean(), np.sqrt((errors**2).sum()) / len(errors), spread


def summarise(fits, differences):
    """One row for each table, variant, size and estimator, as a DataFrame.

    Parameters
    ----------
    fits, differences : DataFrame
        As `collected.collect` returns them.
    """
    rows = []
    for key, group in fits.groupby(GROUP, sort=False):
        here = differences[(differences[GROUP] == list(key)).all(axis=1)]
        for name in ESTIMATORS:
            chosen = group[group["estimator"] == name]
            if len(chosen):
                row = dict(zip(GROUP, key, strict=True))
                rows.append(row | _averages(name, chosen) | _from_ours(name, here))
    return _in_order(pd.DataFrame(rows)) if rows else pd.DataFrame()


def _in_order(summary):
    """Tables in the order of their first results, variants and sizes ascending."""
    places = {name: place for place, name in enumerate(summary["table"].unique())}
    places |= {"raw": 0, "dequantised": 1}
    return summary.sort_values(
        GROUP, key=lambda c: c.map(places) if c.dtype != "int64" else c, kind="stable"
    ).reset_index(drop=True)


def _averages(name, fits):
    """Scores, costs and memory of one estimator over its seeds."""
    row = {
        "estimator": name,
        "n_columns": fits["n_columns"].iloc[0],
        "n_seeds": len(fits),
    }
    for column in MEANS:
        mean, error, _ = pooled(fits[column], fits[f"{column}_se"])
        row |= {column: mean, f"{column}_se": error}
    row |= {"solver_error": fits["solver_error"].mean()}
    row |= {column: fits[column].median() for column in MEDIANS}
    row |= {column: fits[column].max() for column in MEMORY}
    return row | {"commits": " ".join(fits["commit"].fillna("earlier").unique())}


def _from_ours(name, differences):
    """Pooled differences from both of our diffusion models, if there are any."""
    row = {}
    for reference in REFERENCES:
        pair = differences["estimator"].eq(name) & differences["reference"].eq(reference)
        values = differences.loc[pair, ["difference", "difference_se"]]
        found = pooled(*values.to_numpy(float).T) if len(values) else (np.nan,) * 3
        for ending, value in zip(("", "_se", "_sd"), found, strict=True):
            row[f"minus_{reference}{ending}"] = value
    return row


def verdict(group, reference):
    """Where ours stands among the peers that know no more, in words.

    Ours is first if no peer is ahead of it by more than two standard errors.
    """
    if reference not in set(group["estimator"]):
        return ""
    column = f"minus_{reference}"
    peers = group[group["estimator"].map(partial(_is_rival, reference))]
    peers = peers[peers[column].notna()]
    if peers.empty:
        return "no peers"
    return _in_words(peers, column)


def _is_rival(reference, name):
    """Whether an estimator is a peer that knows no more than ours."""
    entry = ESTIMATORS[name]
    knows_more = entry.knows_graph and not ESTIMATORS[reference].knows_graph
    return not entry.is_ours and not knows_more


def _in_words(peers, column):
    """Standing against the peer that matters most, given differences peer minus ours.

    That is the best of those surely ahead or, if there are none, of those level with
    ours or, if there are none either, of all.
    """
    mean, error = peers[column], peers[f"{column}_se"].fillna(0)
    level = mean.abs() <= SURE * error
    standing, chosen = "first, ahead of", mean
    if (mean[~level] > 0).any():
        standing, chosen = "**behind**", mean[~level]
    elif level.any():
        standing, chosen = "first, level with", mean[level]
    best = peers.loc[chosen.idxmax()]
    shown = _with_error(best[column], best[f"{column}_se"], "+.3f")
    return f"{standing} {ESTIMATORS[best['estimator']].title} {shown}"


def _with_error(mean, error, style=".3f"):
    if pd.isna(mean):
        return ""
    return f"{mean:{style}}" if pd.isna(error) else f"{mean:{style}} ({error:.3f})"


def standings(summary):
    """Markdown table of where ours stands on each table."""
    header = ("table", "columns", "n", "seeds", "without graph", "with graph")
    rows = []
    for key, group in summary.groupby(GROUP, sort=False):
        seeds = group["n_seeds"]
        shown = (
            f"{seeds.min()}" if seeds.nunique() == 1 else f"{seeds.min()}-{seeds.max()}"
        )
        words = (verdict(group, reference) for reference in REFERENCES)
        columns = group["n_columns"].iloc[0]
        rows.append((_title(*key[:2]), columns, key[2], shown, *words))
    return markdown(header, rows)


def _title(table, variant):
    return f"{table}, dequantised" if variant == "dequantised" else table


def details(group):
    """Markdown table of all estimators on one table, without columns that are empty."""
    cells = [[show(row) for show in _parts().values()] for _, row in group.iterrows()]
    columns = zip(_parts(), *cells, strict=True)
    used = [column for column in columns if any(cell != "" for cell in column[1:])]
    header, *rows = zip(*used, strict=True)
    return markdown(header, rows)


def _parts():
    """Columns of a table of details, each with what it shows of a row."""
    return {
        "n": lambda r: r["n_samples"],
        "estimator": lambda r: ESTIMATORS[r["estimator"]].title,
        "seeds": lambda r: r["n_seeds"],
        "log-density": _pair("log_density"),
        "KL": _pair("kl"),
        "TV": _pair("tv"),
        "solver error": lambda r: _with_error(r["solver_error"], np.nan, "+.4f"),
        "minus diffusion": _triple("minus_diffusion"),
        "minus diffusion, graph": _triple("minus_diffusion-graph"),
        "fit, s": lambda r: f"{r['fit_seconds']:.1f}",
        "score, rows/s": lambda r: f"{r['score_rows_per_second']:.0f}",
        "sample, rows/s": lambda r: f"{r['sample_rows_per_second']:.0f}",
        "peak (added) memory, MiB": _memory,
        "commit": lambda r: r["commits"] if ESTIMATORS[r["estimator"]].is_ours else "",
    }


def _pair(column):
    return lambda row: _with_error(row[column], row[f"{column}_se"])


def _triple(column):
    def show(row):
        if pd.isna(row[column]):
            return ""
        text = _with_error(row[column], row[f"{column}_se"], "+.3f")
        spread = row[f"{column}_sd"]
        return text if pd.isna(spread) else f"{text} [{spread:.3f}]"

    return show


def _memory(row):
    return f"{row['peak_memory_mib']:.0f} ({row['added_memory_mib']:.0f})"


ABOUT = """Log-densities are in nats per row, on fresh rows; standard errors are in round
brackets. "Minus diffusion" is the mean of the row by row differences from our estimator
on the same fresh rows, over the seeds that both have: negative where ours is ahead; in
square brackets the standard deviation of that mean over seeds. KL is the
Kullback-Leibler divergence from the truth and TV the total variation distance,
E_p[(1 - q/p)_+], both on fresh draws from the truth. The solver error, in nats a row, is
what our scores gain by the finite number of their steps: their mean less that with ten
times as many, on the first 1000 fresh rows, over the seeds for which it was measured.
Fit seconds and speeds are medians over seeds, memory is the largest: the peak of the
whole process and, in brackets, what fitting, scoring and sampling added to it. "Commit"
is that of the code that made our fits; "earlier" is before commits were noted.

"First" means that no peer is ahead by more than two standard errors. Estimators without
graph are compared with peers without graph, those with graph with all peers. Numbers
behind the name of a peer are its mean difference from ours.

Dequantised tables have uniform noise as wide as the smallest gap between distinct values
in each column with ties, the same for all methods. On raw tables with ties the likelihood
has no upper bound, and a method gains by narrow kernels on values that occur often: the
score is set by the smallest bandwidth or variance that a method allows itself.

Infinite values are in the tables only, not in the figures.
"""


def report(summary, pictures, threads):
    """The whole text."""
    lines = ["# Comparison of density estimators", "", f"Threads: {threads}.", "", ABOUT]
    lines += ["## Where ours stands", "", standings(summary)]
    lines += [line for name in pictures for line in (f"![{name}]({name})", "")]
    for (table, variant), group in summary.groupby(GROUP[:2], sort=False):
        lines += [f"## {_title(table, variant)}", "", details(group)]
    return "\n".join(lines)


def render(store, folder):
    """Write tables and figures of a run, and of those before it, into a folder."""
    fits, differences = collect(store, folder)
    summary = summarise(fits, differences)
    if summary.empty:
        print("no results yet, so there is no report")
        return
    summary.round(5).to_csv(folder / "summary.csv", index=False)
    known = summary["kl"].notna()
    pictures = draw_known(summary[known], folder) + draw_real(summary[~known], folder)
    threads = "/".join(map(str, sorted(fits["threads"].unique())))
    (folder / "compare.md").write_text(report(summary, pictures, threads))


def main():
    """Render the results of a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="CSV file written by compare.py")
    about = "folder of the report; default: docs/benchmarks"
    parser.add_argument("--report", type=Path, default=REPORT, help=about)
    options = parser.parse_args()
    render(Store(options.results), options.report)


if __name__ == "__main__":
    main()

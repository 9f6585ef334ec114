"""What the experiments share: slopes with standard errors, tables, figures."""

import argparse
import csv
import itertools
import time
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")

DOCS = Path(__file__).parents[2] / "docs" / "theory"
# networks that denoise only, on plain margins, which joint blocks have in any case: what
# is compared is the factorization, not the training
DENOISED = {"max_iter_likelihood": 0, "max_components": 0, "normal_scores": False}


def arguments(description, n_seeds):
    """Command line of every experiment: how many seeds, and where results go."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--n-seeds", type=int, default=n_seeds, help="repetitions")
    parser.add_argument("--output", type=Path, default=DOCS, help="folder of the results")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    return options


def repeat(settings, n_seeds, measure):
    """Records of `measure(seed=..., **setting)` for all settings and seeds."""
    records, start = [], time.time()
    for setting, seed in itertools.product(settings, range(n_seeds)):
        records.append({**setting, "seed": seed, **measure(**setting, seed=seed)})
        print(f"{time.time() - start:6.0f} s  {records[-1]}", flush=True)
    return records


def write(records, path):
    """Write records to a CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    print(f"results in {path}")


def read(path: Path):
    """Records of a CSV file; none if there is no such file."""
    if not path.exists():
        return []
    with path.open() as file:
        return [{k: _number(v) for k, v in r.items()} for r in csv.DictReader(file)]


def _number(text):
    """An int or a float, or else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def run_missing(path: Path, fields, settings, n_seeds, measure):
    """Results of `measure(*setting, seed)` for all seeds, in a CSV file row by row.

    The fields name the entries of a setting, the seed and the results. What is in the
    file already is not computed again.
    """
    n_known = fields.index("seed") + 1
    known = {tuple(r[k] for k in fields[:n_known]) for r in read(path)}
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow(fields)
        for seed, setting in itertools.product(range(n_seeds), settings):
            if (*setting, seed) not in known:
                results = [f"{x:.5f}" for x in measure(*setting, seed)]
                writer.writerow([*setting, seed, *results])
                file.flush()
                print(*setting, seed, *results, flush=True)
    return read(path)


def select(records, **setting):
    """Records that agree with a setting."""
    return [r for r in records if all(r[k] == v for k, v in setting.items())]


def curve(records, x, y):
    """Values of x in order, and means and standard errors of y over the seeds."""
    xs = sorted({r[x] for r in records})
    ys = [[r[y] for r in records if r[x] == value] for value in xs]
    error = [np.std(v, ddof=1) / np.sqrt(len(v)) if v[1:] else np.nan for v in ys]
    return np.array(xs), np.array([np.mean(v) for v in ys]), np.array(error)


def slope(records, x, y):
    """Slope of log y on log x: mean and standard error over slopes seed by seed."""
    seeds = sorted({r["seed"] for r in records})
    slopes = []
    for seed in seeds:
        rows = select(records, seed=seed)
        log_x, log_y = (np.log([r[name] for r in rows]) for name in (x, y))
        slopes.append(np.polyfit(log_x, log_y, 1)[0])
    return np.mean(slopes), np.std(slopes, ddof=1) / np.sqrt(len(slopes))


def over_seeds(records):
    """Mean over the seeds, with its standard error if there are several."""
    values = [r["kl"] for r in records]
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else ""
    return f"{np.mean(values):.3f} ({np.std(values, ddof=1) / len(values) ** 0.5:.3f})"


def table(header, rows, path):
    """Write a Markdown table and print it."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (header, *rows)]
    lines.insert(1, "|" + "---|" * len(header))
    text = "\n".join(lines) + "\n"
    path.write_text(text)
    print(f"\n{text}\nin {path}")


def with_error(mean, error):
    """A mean with its standard error in brackets."""
    return f"{mean:.2f} ({error:.2f})"

"""Compare density estimators side by side on known and on real tables.

    python benchmarks/compare.py --output benchmarks/compare.csv
    python benchmarks/compare.py --tables nonlinear_chain my_table.csv --n-samples 2000

Every estimator sees the same rows and is scored on the same fresh rows. For generators
with known density the score is the Kullback-Leibler divergence to the truth (mean of the
differences row by row), otherwise the held-out mean log-density. Each fit runs in a
process of its own, so that its peak memory is its own. Rows already in the output file
are not computed again: remove the file after a change of the code.
"""

import argparse
import csv
import multiprocessing
import resource
from pathlib import Path

import numpy as np
import sklearn.datasets
from reporting import timed
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffusion import FactorizedDiffusionDensity, KernelScoreDensity, datasets
from skdiffusion.metrics import mean_log_density, paired_difference

GENERATORS = {name.removeprefix("make_"): name for name in datasets.__all__}
REAL = ("wine", "diabetes", "breast_cancer", "iris")
N_FRESH = 4000
FIELDS = [
    "table",
    "n_samples",
    "n_fitted",
    "n_features",
    "seed",
    "estimator",
    "log_density",
    "log_density_se",
    "kl",
    "kl_se",
    "fit_seconds",
    "score_rows_per_second",
    "sample_rows_per_second",
    "peak_memory_mib",
]


def tuned_kde():
    """Kernel density estimate on standardised columns, bandwidth by cross-validation."""
    grid = {"bandwidth": np.geomspace(0.05, 1.5, 20)}
    search = GridSearchCV(KernelDensity(), grid, scoring=mean_log_density, cv=5)
    return make_pipeline(StandardScaler(), search)


def tuned_mixture():
    """Gaussian mixture on standardised columns; components by cross-validation."""
    grid = {
        "n_components": [1, 2, 3, 5, 8, 12, 20, 30],
        "covariance_type": ["full", "diag"],
    }
    mixture = GaussianMixture(reg_covar=1e-4, random_state=0)
    search = GridSearchCV(mixture, grid, scoring=mean_log_density, cv=3)
    return make_pipeline(StandardScaler(), search)


def estimators(graph, seed):
    """Functions that make the estimators to be compared on one table."""
    made = {
        "KernelDensity": tuned_kde,
        "GaussianMixture": tuned_mixture,
        "kernel scores": lambda: KernelScoreDensity(random_state=seed),
        "diffusion": lambda: FactorizedDiffusionDensity(random_state=seed),
    }
    if graph is not None:
        made["kernel scores, graph"] = lambda: KernelScoreDensity(
            graph, random_state=seed
        )
        made["diffusion, graph"] = lambda: FactorizedDiffusionDensity(
            graph, random_state=seed
        )
    return made


def log_density_of(model, X):
    """Log-density in the units of X, for estimators behind a scaler too."""
    if not isinstance(model, Pipeline):
        return model.score_samples(X)
    scaler, search = model[0], model[-1].best_estimator_
    return search.score_samples(scaler.transform(X)) - np.log(scaler.scale_).sum()


def draw_from(model, n_samples):
    """Sample from an estimator, behind a scaler or not."""
    if not isinstance(model, Pipeline):
        return model.sample(n_samples, random_state=0)
    rows = model[-1].best_estimator_.sample(n_samples)
    return model[0].inverse_transform(rows[0] if isinstance(rows, tuple) else rows)


def load(table, n_samples, seed):
    """Training rows, fresh rows, exact log-density of the fresh rows or None, graph."""
    if table in GENERATORS:
        make = getattr(datasets, GENERATORS[table])
        train = make(n_samples, random_state=seed)
        fresh = make(N_FRESH, random_state=10_000 + seed).data
        return train.data, fresh, train.log_density(fresh), train.graph
    if table in REAL:
        X = getattr(sklearn.datasets, f"load_{table}")().data
    else:
        X = np.genfromtxt(table, delimiter=",", skip_header=1)
    train, fresh = train_test_split(X, test_size=0.2, random_state=seed)
    return train[:n_samples], fresh, None, None


def measure(table, n_samples, seed, name):
    """One row of the result: a fit of one estimator to one table."""
    train, fresh, truth, graph = load(table, n_samples, seed)
    model, fit_seconds = timed(estimators(graph, seed)[name]().fit, train)
    log_density, score_seconds = timed(log_density_of, model, fresh)
    _, sample_seconds = timed(draw_from, model, N_FRESH)
    kl = None if truth is None else paired_difference(truth, log_density)
    return {
        "table": table,
        "n_samples": n_samples,
        "n_fitted": len(train),
        "n_features": train.shape[1],
        "seed": seed,
        "estimator": name,
        "log_density": round(log_density.mean(), 4),
        "log_density_se": round(log_density.std() / len(fresh) ** 0.5, 4),
        "kl": "" if kl is None else round(kl.mean, 4),
        "kl_se": "" if kl is None else round(kl.standard_error, 4),
        "fit_seconds": round(fit_seconds, 2),
        "score_rows_per_second": round(len(fresh) / score_seconds),
        "sample_rows_per_second": round(N_FRESH / sample_seconds),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def in_own_process(*arguments):
    """Run `measure` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, arguments)


def done_before(path):
    """Keys of the rows that the output file already holds."""
    if not path.exists():
        return set()
    with path.open() as file:
        return {
            (r["table"], int(r["n_samples"]), int(r["seed"]), r["estimator"])
            for r in csv.DictReader(file)
        }


def main():
    """Parse the command line, measure, and write rows as they come."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*GENERATORS, *REAL]
    about = f"any of {', '.join(known)}, or CSV files with a header; default: all"
    parser.add_argument("--tables", nargs="+", default=known, help=about)
    about = "largest numbers of training rows; default: 2000"
    parser.add_argument("--n-samples", nargs="+", type=int, default=[2000], help=about)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    about = "CSV file to be continued; default: compare.csv"
    parser.add_argument("--output", type=Path, default=Path("compare.csv"), help=about)
    options = parser.parse_args()
    unknown = [t for t in options.tables if t not in known and not Path(t).exists()]
    if unknown:
        parser.error(f"unknown tables {unknown}; choose from {known}, or name CSV files")
    done = done_before(options.output)
    with options.output.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if file.tell() == 0:
            writer.writeheader()
        for table in options.tables:
            has_graph = table in GENERATORS
            for n_samples in options.n_samples:
                for seed in options.seeds:
                    for name in estimators({} if has_graph else None, seed):
                        key = (table, n_samples, seed, name)
                        if key in done:
                            continue
                        row = in_own_process(*key)
                        writer.writerow(row)
                        file.flush()
                        print(*row.values(), sep="\t", flush=True)


if __name__ == "__main__":
    main()

r"""Compare density estimators side by side on known and on real tables.

    python benchmarks/compare.py --output results/compare.csv
    python benchmarks/compare.py --output results/compare.csv \
        --tables wine my_table.csv --n-samples 2000 --seeds 0 1 --estimators gmm diffusion

Every estimator sees the same rows and is scored on the same fresh rows. For generators
with known density the scores are the Kullback-Leibler divergence and the total variation
distance to the truth, otherwise the held-out mean log-density. Real tables with ties are
taken raw and with uniform noise as wide as the resolution of each column with ties.
Each fit runs in a process of its own, so that its peak memory is its own.

What the output file holds already is not computed again, so a run may be interrupted and
done in pieces; --redo computes it again, which is needed after a change of the code. At
the end tables and figures of all results in the file are written to --report. Results
that the report holds from other runs, perhaps on other machines, stay in it.
"""

import argparse
import multiprocessing
import resource
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

import estimators
import numpy as np
import tables
import torch
from reporting import REPORT, timed
from store import KEY, Store, fingerprint

from skdiffusion.metrics import integration_error, paired_difference

# fresh rows that are scored again with ten times as many steps
N_FINER = 1000


@dataclass(frozen=True)
class Job:
    """One fit of one estimator to one table."""

    source: str
    variant: str
    n_samples: int
    seed: int
    estimator: str

    @property
    def key(self):
        """What the result goes by; files by their names alone."""
        return (tables.name_of(self.source), *astuple(self)[1:])


def measure(job, flow_seconds):
    """Fit, score and sample once: a row of the result, and arrays to be kept."""
    # before the fit, which may outlast a commit
    made_by = commit()
    table = tables.load(job.source, job.variant, job.n_samples, job.seed)
    model = estimators.make(job.estimator, table.graph, job.seed, flow_seconds)
    log_density, costs = used(model, table, job.seed)
    row = dict(zip(KEY, job.key, strict=True)) | {
        "n_columns": table.train.shape[1],
        "n_fresh": len(table.fresh),
        **mean_and_error("log_density", log_density),
        **against_truth(table.truth, log_density),
        "solver_error": solver_error(model, table.fresh),
        **costs,
        "chosen": chosen_by(model),
        "commit": made_by,
    }
    arrays = {"log_density": log_density, "fresh": fingerprint(table.fresh)}
    return row, arrays | ({} if table.truth is None else {"truth": table.truth})


def used(model, table, seed):
    """Fit, score and sample: log-density of the fresh rows, and what it all cost."""
    before = peak_memory()
    _, fit_seconds = timed(model.fit, table.train)
    log_density, score_seconds = timed(model.score_samples, table.fresh)
    _, sample_seconds = timed(model.sample, tables.N_FRESH, random_state=seed)
    return log_density, {
        "fit_seconds": round(fit_seconds, 2),
        "score_rows_per_second": round(len(table.fresh) / score_seconds),
        "sample_rows_per_second": round(tables.N_FRESH / sample_seconds),
        "peak_memory_mib": peak_memory(),
        "added_memory_mib": peak_memory() - before,
        "threads": torch.get_num_threads(),
    }


def mean_and_error(name, values):
    """Mean of values and its standard error, under a name."""
    with np.errstate(invalid="ignore"):
        error = np.std(values, ddof=1) / len(values) ** 0.5
    return {name: round(np.mean(values), 5), f"{name}_se": round(error, 5)}


def against_truth(truth, log_density):
    """Divergence and total variation with standard errors, if the truth is known."""
    if truth is None:
        if np.isnan(log_density).any():
            raise ValueError("the log-density of some fresh rows is NaN.")
        return {}
    kl = paired_difference(truth, log_density)
    lost = -np.expm1(np.minimum(log_density - truth, 0))
    found = {"kl": round(kl.mean, 5), "kl_se": round(kl.standard_error, 5)}
    return found | mean_and_error("tv", lost)


def solver_error(model, fresh):
    """Nats a row that our scores gain by their few steps, against ten times as many.

    Models that are scored without a solver have none.
    """
    if not hasattr(model, "n_steps_"):
        return ""
    found = integration_error(model, fresh[:N_FINER])
    return round(found.mean_per_column * fresh.shape[1], 5)


def chosen_by(model):
    """Settings that a peer chose, or the length of our training."""
    steps = getattr(model, "n_iter_", None)
    return getattr(model, "chosen_", "" if steps is None else f"{steps} steps")


def commit():
    """Commit of the code that runs, with a plus if it was changed since."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    folder = Path(__file__).parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.stdout.strip()


def peak_memory():
    """Largest resident memory of this process so far, in MiB (on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def in_own_process(*arguments):
    """Run `measure` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, *arguments).result()


def jobs(options):
    """All fits that were asked for."""
    for source in options.tables:
        for variant in tables.variants(source):
            if variant not in options.variants:
                continue
            for n_samples in tables.sizes(source, options.n_samples):
                chosen = taking_part(source, n_samples, options.estimators)
                for seed in options.seeds:
                    yield from (
                        Job(source, variant, n_samples, seed, name) for name in chosen
                    )


def taking_part(source, n_samples, names):
    """Estimators that can be fitted; those that need a graph only where there is one."""
    n_columns, graph = tables.columns_and_graph(source)
    chosen = []
    for name in names:
        entry = estimators.ESTIMATORS[name]
        if entry.knows_graph and graph is None:
            continue
        reason = estimators.reason_to_skip(name, n_samples, n_columns)
        if reason is None:
            chosen.append(name)
        else:
            print(
                f"{tables.name_of(source)}: left out {entry.title}: {reason}", flush=True
            )
    return chosen


def run(options, store):
    """Measure what is missing; returns the keys of fits that failed."""
    done = set() if options.redo else store.done()
    missing = (job for job in jobs(options) if job.key not in done)
    return [job.key for job in missing if not kept(job, options.flow_seconds, store)]


def kept(job, flow_seconds, store):
    """Measure and keep the result; False if that failed.

    A failure is printed and does not cost the results of the others.
    """
    print(*job.key, flush=True)
    try:
        row, arrays = in_own_process(job, flow_seconds)
    except Exception as error:
        print(f"  failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return False
    store.add(row, **arrays)
    shown = ("log_density", "kl", "tv", "fit_seconds", "chosen")
    print(" ", *(f"{name} {row[name]}" for name in shown if name in row), flush=True)
    return True


def command_line():
    """Parse the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*tables.GENERATORS, *tables.BUNDLED]
    add_choices(parser, known, list(estimators.ESTIMATORS))
    add = parser.add_argument
    about = "CSV file to be continued; log-densities go to a folder beside it"
    add("--output", type=Path, default=Path("compare.csv"), help=about)
    add("--report", type=Path, default=REPORT, help="folder; default: docs/benchmarks")
    add("--redo", action="store_true", help="compute again what the file holds already")
    options = parser.parse_args()
    check_tables(parser, options.tables, known)
    return options


def add_choices(parser, known, names):
    """Add the options that say what is to be compared."""
    about = (
        f"any of {', '.join(known)}, or CSV (with a header) or npz files; default: all"
    )
    add = partial(parser.add_argument, nargs="+")
    add("--tables", default=known, metavar="TABLE", help=about)
    about = "largest numbers of training rows; default: 500 2000 8000"
    add("--n-samples", type=int, default=[500, 2000, 8000], metavar="N", help=about)
    add("--seeds", type=int, default=[0, 1, 2], metavar="SEED", help="default: 0 1 2")
    add("--estimators", default=names, choices=names, help="default: all")
    about = "of real tables with ties; default: both"
    kinds = tables.VARIANTS
    add("--variants", default=kinds, choices=kinds, help=about)
    about = "wall-clock limit of the training of a flow; default: 120"
    parser.add_argument("--flow-seconds", type=float, default=120.0, help=about)


def check_tables(parser, sources, known):
    """Refuse tables that are not there, or would go by the same name."""
    unknown = [s for s in sources if s not in known and not Path(s).is_file()]
    if unknown:
        parser.error(f"unknown tables {unknown}; choose from {known}, or name files")
    names = [tables.name_of(source) for source in sources]
    clashes = [s for s in sources if s not in known and tables.name_of(s) in known]
    if clashes or len(set(names)) < len(names):
        parser.error(f"tables must differ in their names, got {names}")
    for source in sources:
        if source not in tables.GENERATORS:
            check_rows(parser, source)


def check_rows(parser, source):
    """Refuse a real table that cannot be read; say which columns are left out."""
    try:
        X, _ = tables.read_all(source)
    except ValueError as error:
        parser.error(str(error))
    dropped = tables.constant_columns(X).tolist()
    if dropped:
        print(f"{tables.name_of(source)}: left out the constant columns {dropped}")


def main():
    """Measure what was asked for and is missing, then report all results."""
    options = command_line()
    store = Store(options.output)
    store.path.parent.mkdir(parents=True, exist_ok=True)
    failed = run(options, store)
    # imported late: the processes of the fits import this module, but draw nothing
    from render import render

    render(store, options.report)
    print(f"report in {options.report}")
    if failed:
        sys.exit(
            f"{len(failed)} fits failed; they are tried again at the next call:\n{failed}"
        )


if __name__ == "__main__":
    main()

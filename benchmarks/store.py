"""Results on disk: a row for each fit, and the log-density of each fresh row.

The rows are in a CSV file. The log-densities lie in a folder beside it, one file for each
fit, so that any two estimators can be compared row by row without fitting them again.
"""

import csv
import hashlib
from pathlib import Path

import numpy as np

KEY = ("table", "variant", "n_samples", "seed", "estimator")
FIELDS = (
    *KEY,
    "n_columns",
    "n_fresh",
    "log_density",
    "log_density_se",
    "kl",
    "kl_se",
    "tv",
    "tv_se",
    "solver_error",
    "fit_seconds",
    "score_rows_per_second",
    "sample_rows_per_second",
    "peak_memory_mib",
    "added_memory_mib",
    "threads",
    "chosen",
    "commit",
)


def fingerprint(rows):
    """Short digest of an array, to tell whether two fits saw the same fresh rows."""
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()[:16]


def with_types(key):
    """Key with its numbers as integers, as read from a file."""
    table, variant, n_samples, seed, estimator = key
    return table, variant, int(n_samples), int(seed), estimator


class Store:
    """A CSV file and its folder of log-densities.

    Parameters
    ----------
    path : Path
        The CSV file; it is continued if it exists.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.folder = self.path.with_name(f"{self.path.stem}_rows")

    def rows(self):
        """Results by key; of those with the same key the last."""
        if not self.path.exists():
            return {}
        with self.path.open(newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or FIELDS) != FIELDS:
                raise ValueError(
                    f"{self.path} has the columns {reader.fieldnames}, not those of this "
                    "comparison; remove it or choose another --output."
                )
            return {with_types(row[name] for name in KEY): row for row in reader}

    def done(self):
        """Keys of fits of which both the row and the log-densities are there."""
        return {key for key in self.rows() if self._file(key).exists()}

    def add(self, row, **arrays):
        """Keep a result; the arrays first, so that a row is never without them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(self._file([row[name] for name in KEY]), **arrays)
        is_new = not self.path.exists() or self.path.stat().st_size == 0
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, FIELDS)
            if is_new:
                writer.writeheader()
            writer.writerow(row)

    def arrays(self, key):
        """What was kept beside a row, by name."""
        with np.load(self._file(key)) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def _file(self, key):
        return self.folder / ("-".join(map(str, key)) + ".npz")

"""Results of several runs, perhaps on several machines, collected in one folder.

A folder holds a row for each fit and a row for each pair of fits to the same rows of
which one is ours: the mean difference of their log-densities, row by row. A new run
replaces what it computed again, and differences of fits that have changed go; everything
else stays.
"""

import numpy as np
import pandas as pd
from estimators import REFERENCES
from store import FIELDS, KEY, Store

FITS, DIFFERENCES = "fits.csv", "differences.csv"
PAIR = [*KEY, "reference"]
NAMES = "table", "variant", "estimator", "reference", "chosen", "commit"
WORDS = dict.fromkeys(NAMES, str)


def difference(log_density, other):
    """Mean of log_density - other over the rows, and its standard error.

    Rows to which both give zero density count as equal.
    """
    with np.errstate(invalid="ignore"):
        rows = np.where(log_density == other, 0.0, log_density - other)
        return rows.mean(), rows.std(ddof=1) / len(rows) ** 0.5


def fits_of(store):
    """All results of a run as a DataFrame, one row for each fit."""
    if not store.rows():
        return pd.DataFrame(columns=FIELDS)
    return _last(pd.read_csv(store.path, dtype=WORDS), KEY)


def differences_of(store):
    """Differences of all fits of a run from ours to the same rows, as a DataFrame."""
    rows = []
    done = store.done()
    for key in sorted(done):
        for reference in REFERENCES:
            ours = (*key[:-1], reference)
            if ours != key and ours in done:
                found = paired(store, key, ours)
                rows.append((*key, reference, *found))
    return pd.DataFrame(rows, columns=[*PAIR, "difference", "difference_se"])


def paired(store: Store, key, reference):
    """Difference of two fits, of which both must have been scored on the same rows."""
    one, other = store.arrays(key), store.arrays(reference)
    if one["fresh"] != other["fresh"]:
        raise ValueError(
            f"{key} and {reference} were scored on different fresh rows; compute one of "
            "them again (--redo)."
        )
    return difference(one["log_density"], other["log_density"])


def collect(store, folder):
    """Fits and differences of a run and of those before it, which are also written."""
    earlier, new = _complete(read(folder, FITS)), fits_of(store)
    kept = _without_outdated(read(folder, DIFFERENCES), earlier, new)
    fits = _last(_together(earlier, new), KEY)
    differences = _last(_together(kept, differences_of(store)), PAIR).round(5)
    if len(fits):
        folder.mkdir(parents=True, exist_ok=True)
        fits.to_csv(folder / FITS, index=False)
        differences.to_csv(folder / DIFFERENCES, index=False)
    return fits, differences


def read(folder, name):
    """What a folder holds, or None."""
    path = folder / name
    return pd.read_csv(path, dtype=WORDS) if path.exists() else None


def _complete(fits):
    """Fits with all fields; earlier runs noted fewer."""
    if fits is None:
        return None
    return fits.reindex(columns=FIELDS).astype({"commit": object})


def _together(earlier, new):
    if earlier is None:
        return new
    if new.empty:
        return earlier
    return pd.concat([earlier, new], ignore_index=True)


def _last(rows, key):
    return rows.drop_duplicates(list(key), keep="last", ignore_index=True)


def _without_outdated(differences, earlier, new):
    """Differences of fits that were not computed again, or with the same result."""
    if differences is None or earlier is None:
        return differences
    before, now = (_scores(fits) for fits in (earlier, new))
    changed = {key for key in now.keys() & before.keys() if now[key] != before[key]}
    pairs = zip(*(differences[name] for name in PAIR), strict=True)
    stale = [bool({pair[:-1], (*pair[:-2], pair[-1])} & changed) for pair in pairs]
    return differences[~np.array(stale, bool)]


def _scores(fits):
    """Mean log-densities by key."""
    keys = zip(*(fits[name] for name in KEY), strict=True)
    return dict(zip(keys, fits["log_density"], strict=True))

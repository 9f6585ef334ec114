"""Which map of single columns suits a table: judged by mixtures, on held-out rows.

Normal scores help where columns are skewed, bounded or spiked, and hurt where a column
has several modes, which they pull together. No measure of single columns told the two
apart; mixtures of normal distributions of the families do, for a few seconds.
"""

from collections.abc import Sequence

import numpy as np

from ._warnings import warn_user
from .graphs import Factorization
from .margins import InverseSinh, Standardization, alike
from .metrics import paired_difference
from .mixtures import MAX_FAMILY, family_regressions, fit_mixtures, largest
from .normal_scores import NormalScores

# with fewer rows what is held out cannot tell maps apart
MIN_ROWS = 50
# parts are held out one after the other until so many rows were
N_PARTS, ENOUGH_HELD_OUT, MAX_PART = 4, 1000, 2000
MAX_COMPONENTS = 16
# of the split and of the mixtures: the same table always gets the same map
SEED = 0
# standard errors by which normal scores must be ahead
CLEARLY = 2.0
# in standard deviations of a typical column
UNLIKE = 100
OTHER_UNITS = (
    "columns {} share their weights, and so their location and scale, but differ by more "
    "than {} standard deviations: what the narrow ones do is lost. Bring them to one "
    "unit, or let columns of other units not share (share_weights)."
)


def fit_margins(
    X, weight, factorization: Factorization, normal_scores: bool | str, noise_floor: float
) -> InverseSinh | NormalScores:
    """Margins of a kind that was asked for or, with "auto", that suits the table.

    Not judged are tables with joint blocks, whose factors are not conditional, and with
    columns that share their map.
    """
    labels = factorization.labels
    if labels is not None:
        _warn_of_units(Standardization.fit(X, weight), labels, factorization.column_names)
    if normal_scores == "auto":
        judged = labels is None and not factorization.has_joint_blocks
        families = [(*b.columns, *b.context) for b in factorization.blocks]
        normal_scores = judged and normal_scores_help(X, weight, families, noise_floor)
    kind = NormalScores if normal_scores else InverseSinh
    return kind.fit(X, weight, labels)


def _warn_of_units(apart: Standardization, labels, names) -> None:
    """Warn if columns that share location and scale can hardly have the same units.

    Some columns may vary little, as the corners of images do: the middle one counts.
    """
    for columns in alike(len(names), labels).values():
        varying = [j for j in columns if not apart.constant[j]]
        if not varying:
            continue
        mean, scale = apart.mean[varying], apart.scale[varying]
        typical = np.median([*scale, scale.min()])
        away = max(scale.max(), np.ptp(mean))
        if away > UNLIKE * typical:
            warn_user(OTHER_UNITS.format([names[j] for j in columns], UNLIKE))


def normal_scores_help(
    X: np.ndarray,
    weight: np.ndarray,
    families: Sequence[tuple[int, ...]],
    noise_floor: float,
) -> bool:
    """Whether mixtures predict clearly better after `NormalScores`.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Rows in data units.
    weight : ndarray of shape (n_samples,)
        Their weights, positive.
    families : sequence of tuple of int
        Columns, each followed by its context.
    noise_floor : float
        Noise left in the density, relative to the scale of a column given its context.
    """
    if len(X) < MIN_ROWS or max(map(len, families)) > MAX_FAMILY:
        return False
    terms = []
    for rows, held_out in _splits(len(X)):
        parts = [(X[i], weight[i]) for i in (rows, held_out)]
        both = [
            held_out_log_density(kind, *parts, families, noise_floor, SEED)
            for kind in (NormalScores, InverseSinh)
        ]
        terms.append((*both, weight[held_out]))
    gain = paired_difference(*map(np.concatenate, zip(*terms, strict=True)))
    return gain.mean > CLEARLY * gain.standard_error


def _splits(n: int):
    """Pairs of rows to fit to and rows to hold out."""
    order = np.random.default_rng(SEED).permutation(n)
    n_held_out = 0
    for part in np.array_split(order, N_PARTS):
        if n_held_out < ENOUGH_HELD_OUT:
            yield np.setdiff1d(order, part), part[:MAX_PART]
        n_held_out += len(part)


def held_out_log_density(
    kind, training, held_out, families, noise_floor: float, seed: int
) -> np.ndarray:
    """Log-density of held-out rows in data units by mixtures, after a kind of margins."""
    margins = kind.fit(*training)
    Z = margins.forward_training(training[0]), margins.forward(held_out[0])
    families = [family for family in families if not margins.constant[family[0]]]

    def fit(family, max_components):
        weights = training[1], held_out[1]
        split = [(z[:, family], w) for z, w in zip(Z, weights, strict=True)]
        return fit_mixtures([split], max_components=max_components, seed=seed)[0]

    linear, mixed = (
        family_regressions(families, {f: fit(f, most) for f in largest(families)})
        for most in (1, MAX_COMPONENTS)
    )
    total = margins.log_derivative(held_out[0])
    for family in families:
        own_and_context = np.split(Z[1][:, family], [1], axis=1)
        noise = noise_floor**2 * linear[family].variance
        total = total + mixed[family].log_density(*own_and_context, noise)
    return total

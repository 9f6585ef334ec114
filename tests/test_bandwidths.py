import math

import numpy as np
import pytest
import torch
from conftest import standard_normal
from scipy.special import logsumexp

from skdiffusion._validation import effective_size
from skdiffusion.bandwidths import (
    FLOOR,
    LeaveOneOut,
    best_bandwidths,
    leave_one_out,
    n_left_out,
    theory_bandwidth,
)
from skdiffusion.graphs import factorize


def likelihood_of(Z, n_own, weight=None, rows=None):
    z = torch.as_tensor(Z)
    weight = torch.ones(len(z)).double() if weight is None else torch.as_tensor(weight)
    rows = torch.arange(len(z)) if rows is None else rows
    return LeaveOneOut(z[:, :n_own], z[:, n_own:], weight, rows)


def brute_force(Z, weight, h, h_context):
    """Mean leave-one-out log p(z_0 | z_1, z_2), row by row."""
    terms = []
    for i in range(len(Z)):
        others = np.delete(np.arange(len(Z)), i)
        squares = (Z[i] - Z[others]) ** 2
        context = np.log(weight[others]) - squares[:, 1:].sum(1) / (2 * h_context**2)
        own = -squares[:, 0] / (2 * h**2) - math.log(h * math.sqrt(2 * math.pi))
        terms.append(logsumexp(context + own) - logsumexp(context))
    return np.average(terms, weights=weight)


def test_likelihood_is_that_of_leaving_each_row_out():
    """Catches a row that scores itself, and a lost normalisation of the context."""
    Z, weight = standard_normal(30, 3), np.random.RandomState(1).rand(30) + 0.1
    found = likelihood_of(Z, 1, weight).log_likelihood(0.3, 0.6)
    assert found == pytest.approx(brute_force(Z, weight, 0.3, 0.6))


def test_a_row_of_weight_two_counts_as_the_row_twice():
    Z = standard_normal(20, 2)
    weight = np.where(np.arange(20) < 5, 2.0, 1.0)
    twice = likelihood_of(np.r_[Z, Z[:5]], 1).log_likelihood(0.4, 0.5)
    assert likelihood_of(Z, 1, weight).log_likelihood(0.4, 0.5) == pytest.approx(twice)


def test_repeated_rows_do_not_drive_the_bandwidth_to_zero():
    """Catches twins that vouch for each other: all rows three times."""
    Z = standard_normal(200, 2)
    once = best_bandwidths(likelihood_of(Z, 2))
    thrice = best_bandwidths(likelihood_of(np.tile(Z, (3, 1)), 2))
    assert thrice == pytest.approx(once, rel=0.05)
    assert once[0] > 0.2


def test_nearly_repeated_rows_stop_at_the_floor():
    Z = np.repeat(standard_normal(50, 1), 4, axis=0)
    Z += 1e-9 * standard_normal(200, 1, seed=1)
    h, _ = best_bandwidths(likelihood_of(Z, 1))
    assert FLOOR <= h < 1.1 * FLOOR


def test_found_bandwidths_beat_others_nearby():
    Z = standard_normal(300, 3)
    Z[:, 0] += np.sin(2 * Z[:, 1])
    likelihood = likelihood_of(Z, 1)
    h, h_context = best_bandwidths(likelihood)
    best = likelihood.log_likelihood(h, h_context)
    for factor in (0.7, 1.4):
        assert best > likelihood.log_likelihood(factor * h, factor * h_context)
        assert best > likelihood.log_likelihood(factor * h, h_context / factor)


def test_strong_dependence_is_found():
    """Own and context bandwidth lie far apart; catches a search along one line."""
    rng = np.random.RandomState(0)
    a = rng.standard_normal(800)
    Z = np.c_[np.sin(8 * a) + 0.05 * rng.standard_normal(800), a]
    likelihood = likelihood_of(Z / Z.std(axis=0), 1)
    found = likelihood.log_likelihood(*best_bandwidths(likelihood))
    grid = np.geomspace(FLOOR, 1, 12)
    best = max(likelihood.log_likelihood(h, c) for h in grid for c in grid)
    assert found > best - 0.02


def test_rows_equal_in_own_columns_only_are_no_twins():
    """Catches twins that are told by part of the block."""
    Z = np.c_[np.repeat([0.0, 1.0], 20), standard_normal(40, 1)]
    found = likelihood_of(Z, 1).log_likelihood(0.3, 0.5)
    padded = np.c_[Z, np.zeros(40)]
    assert found == pytest.approx(brute_force(padded, np.ones(40), 0.3, 0.5))


def test_every_own_column_of_a_block_gets_the_found_bandwidth():
    Z = standard_normal(200, 3)
    everything = np.ones(200), np.arange(200), 9.0
    ((own, _),) = leave_one_out(factorize(None, 3).joined().blocks, Z, *everything)
    np.testing.assert_allclose(own, best_bandwidths(likelihood_of(Z, 3))[0])


def test_a_column_of_noise_in_the_context_gets_a_wide_kernel():
    Z = standard_normal(400, 2)
    blocks = factorize(None, 2).blocks
    (own, context) = leave_one_out(blocks, Z, np.ones(400), np.arange(400), 0.1)[1]
    assert context[0] > 2 * own[0]


def test_constant_columns_do_not_change_the_bandwidth_of_others():
    """A constant column is told ever better by ever narrower kernels."""
    Z = standard_normal(300, 2)
    with_constant = np.c_[Z, np.zeros(300)]
    everything = np.ones(300), np.arange(300), 0.123
    alone, together = (
        leave_one_out(factorize(None, T.shape[1]).joined().blocks, T, *everything)
        for T in (Z, with_constant)
    )
    np.testing.assert_allclose(together[0][0][:2], alone[0][0])
    assert together[0][0][2] == 0.123


def test_theory_gives_the_variance_of_theorem_3_8():
    """t0 = n^(-2 / (2 beta + d)) at n = 4000, beta = 2, d = 2."""
    assert theory_bandwidth(4000, 2, 2) ** 2 == pytest.approx(4000 ** (-1 / 3))
    assert theory_bandwidth(4000, 2, 2) ** 2 == pytest.approx(0.063, abs=5e-4)


def test_effective_size_is_the_number_of_rows_for_equal_weights():
    assert effective_size(np.full(50, 0.1)) == pytest.approx(50)
    assert effective_size(np.array([1.0, 1, 0.0])) == pytest.approx(2)


def test_cost_of_the_likelihood_is_bounded():
    assert [n_left_out(n) for n in (10, 2000, 20_000, 40_000, 10**6)] == [
        10,
        2000,
        2000,
        1000,
        500,
    ]

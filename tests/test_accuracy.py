"""Divergence from the truth on families with known density; slow."""

import pytest

from skdiffusion import FactorizedDiffusionDensity, datasets
from skdiffusion.metrics import paired_difference


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("make_nonlinear_chain", 0.45),
        ("make_nonlinear_tree", 0.40),
        ("make_two_parents", 0.40),
        ("make_lattice", 0.30),
        ("make_bounded_chain", 0.15),
        ("make_separated_mixture", 0.10),
    ],
)
def test_divergence_at_two_thousand_rows(name, limit):
    """Catches a loss of accuracy that the exactness tests cannot see."""
    table = getattr(datasets, name)(2000, random_state=0)
    fresh = getattr(datasets, name)(4000, random_state=1).data
    density = FactorizedDiffusionDensity(table.graph, random_state=0).fit(table.data)
    truth = table.log_density(fresh)
    assert 0 < paired_difference(truth, density.score_samples(fresh)).mean < limit

import math

import pytest
import torch

from skdiffusion.thresholds import hard, make_threshold, soft

TAU = torch.tensor(0.04).double()


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("hard", 3 / (50 * 0.04)),
        ("soft", 3 * math.log(50) / (50 * 2 * math.pi * 0.04)),
        ("max", 3 / (50 * 2 * math.pi * 0.04)),
    ],
)
def test_levels_are_those_of_the_papers(name, level):
    """In two columns, n = 50, tau = 0.04, constant 3; catches a lost power of 2 pi."""
    threshold = make_threshold(name, 3.0, 50)
    assert threshold.log_level(TAU, 2).item() == pytest.approx(math.log(level))


def test_max_divides_by_the_larger_of_density_and_level():
    threshold = make_threshold("max", 1.0, 50)
    log_level = threshold.log_level(TAU, 1)
    log_density = log_level + torch.tensor([-1.0, 0.0, 2.0]).double()
    expected = log_density.exp() / torch.maximum(log_density.exp(), log_level.exp())
    torch.testing.assert_close(threshold.keep(log_density, TAU, 1), expected)


def test_soft_rises_from_half_the_level_to_the_level():
    """Catches a bump that is mirrored, or not smooth at its ends."""
    ratio = torch.tensor(
        [1e-300, 0.5, 0.500001, 0.6, 0.75, 0.999999, 1.0, 1e300]
    ).double()
    keep = soft(ratio.log())
    # at s = 2 * 0.6 - 1 = 0.2 the bump is 1 / (1 + exp((1 - 2 s) / (s (1 - s))))
    inside = 1 / (1 + math.exp(0.6 / 0.16))
    expected = torch.tensor([0, 0, 0, inside, 0.5, 1, 1, 1])
    torch.testing.assert_close(keep, expected.double(), atol=1e-6, rtol=0)
    u = torch.linspace(0.5, 1, 1001).double()
    assert (soft(u.log()).diff() >= 0).all()


def test_hard_keeps_the_score_from_the_level_on():
    assert hard(torch.tensor([-1e-9, 0.0, 1.0])).tolist() == [0, 1, 1]


def test_one_effective_row_has_a_level():
    """The logarithm of n is held at 1: catches log log 1."""
    assert make_threshold("soft", 1.0, 1.0).log_level(TAU, 2).isfinite()


def test_none_is_no_threshold():
    assert make_threshold("none", 1.0, 10) is None

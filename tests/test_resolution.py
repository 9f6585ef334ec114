"""How many steps of the solver a fitted model needs."""

import numpy as np
import pytest
import torch

from skdiffusion import FactorizedDiffusionDensity, resolution, training
from skdiffusion._warnings import InterruptedFit
from skdiffusion.flow import Path, log_density
from skdiffusion.kernels import KernelDenoiser
from skdiffusion.process import noise_floor
from skdiffusion.records import SAFE_STEPS, Rows
from skdiffusion.resolution import CANDIDATES, TOLERANCE, enough_steps

T_MIN = 0.03


def spikes(values, width=8):
    """Exact denoiser of normals so many noise floors wide around some values."""
    rows = torch.tensor(values, dtype=torch.float64).unsqueeze(1)
    log_weight = rows.new_full((len(rows),), 1 / len(rows)).log()
    floor, none = noise_floor(T_MIN), rows.new_empty(0)
    own = rows.new_tensor([width * floor])
    return KernelDenoiser((0,), (), rows, log_weight, own, none, floor)


def rows_of(z, weight=None):
    weight = torch.ones(len(z), dtype=z.dtype) if weight is None else weight
    return Rows(z, weight / weight.mean(), torch.zeros(len(z), dtype=z.dtype))


def with_errors(monkeypatch, error):
    """Let log-densities of all columns together be off by error(n_steps) in each row."""

    def log_density(denoisers, rows, path):
        return torch.full_like(rows, error(path.n_steps) / rows.shape[1])

    monkeypatch.setattr(resolution, "log_density", log_density)


@pytest.mark.parametrize("values", [[0.0], [-1.0, 0.0, 1.0], [-1.5, -0.5, 0.4, 1.6]])
def test_scores_are_those_of_the_closed_form(values, generator):
    """Catches too few steps where peaks are eight noise floors wide."""
    denoiser = spikes(values)
    chosen = torch.randint(len(values), (300,), generator=generator)
    noise = torch.randn(300, 1, generator=generator, dtype=torch.float64)
    z = torch.tensor(values, dtype=torch.float64)[chosen].unsqueeze(1) + 0.24 * noise
    n_steps = enough_steps([denoiser], rows_of(z), T_MIN, generator)
    found = log_density([denoiser], z, Path(T_MIN, n_steps))[:, 0]
    error = (found - denoiser.log_density(z)).square().mean().sqrt()
    assert error < 2 * TOLERANCE


def test_smooth_densities_take_fewer_steps_than_sharp_ones(generator):
    z = torch.randn(100, 1, generator=generator, dtype=torch.float64)
    smooth = enough_steps([spikes([-0.5, 0.5], width=25)], rows_of(z), T_MIN, generator)
    values = [-1.5, -0.5, 0.4, 1.6]
    z = 0.24 * z + torch.tensor(values, dtype=torch.float64).repeat(25).unsqueeze(1)
    assert smooth < enough_steps([spikes(values)], rows_of(z), T_MIN, generator)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("n_columns", "expected"), [(1, 24), (4, 12), (16, 10), (100, 8)]
)
def test_the_fewest_steps_within_the_tolerance_are_taken(
    monkeypatch, generator, n_columns, expected, sign
):
    """Errors of a row may grow with the root of the number of columns, means with it."""
    # differences: 4.8e-3 at 8 steps, 2.0e-3 at 10, 9.5e-4 at 12, 3.0e-4 at 16, 5.9e-5
    with_errors(monkeypatch, lambda n: sign * 5.12e-3 * (8 / n) ** 4)
    rows = rows_of(torch.zeros(10, n_columns))
    assert enough_steps([spikes([0.0])], rows, T_MIN, generator) == expected


def test_what_is_never_resolved_takes_the_most_steps(monkeypatch, generator):
    with_errors(monkeypatch, lambda n: 1.0 / n)
    assert (
        enough_steps([spikes([0.0])], rows_of(torch.zeros(5, 1)), T_MIN, generator)
        == CANDIDATES[-1]
    )


def test_rows_without_weight_do_not_count(generator):
    """Catches a spike that hardly any weight lies on, but that asks for many steps."""
    values = [-1.5, -0.5, 0.4, 1.6]
    z = torch.cat([torch.full((150, 1), -2.2), torch.full((50, 1), 1.6)]).double()
    light = torch.cat([torch.ones(150), torch.full((50,), 1e-9)]).double()
    found = [
        enough_steps([spikes(values)], rows, T_MIN, torch.Generator().manual_seed(0))
        for rows in (rows_of(z), rows_of(z, light), rows_of(0 * z - 2.2, light))
    ]
    assert found[0] > found[1] == found[2]


def test_none_stands_for_the_steps_found_in_fit(chain):
    """Catches a parameter that is ignored, or an attribute that nobody reads."""
    density = FactorizedDiffusionDensity(max_iter=20, random_state=0).fit(chain.data)
    assert density.n_steps is None
    assert density.n_steps_ in CANDIDATES
    automatic = density.score_samples(chain.data[:20])
    density.set_params(n_steps=density.n_steps_)
    torch.testing.assert_close(density.score_samples(chain.data[:20]), automatic)
    density.n_steps_ = 3
    assert (density.score_samples(chain.data[:20]) == automatic).all()
    density.set_params(n_steps=None)
    assert (density.score_samples(chain.data[:20]) != automatic).any()


def test_an_interruption_while_looking_keeps_the_fit(monkeypatch, chain):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "enough_steps", interrupt)
    with pytest.warns(InterruptedFit):
        density = FactorizedDiffusionDensity(max_iter=5, random_state=0).fit(chain.data)
    assert density.n_steps_ == SAFE_STEPS


@pytest.mark.filterwarnings("ignore:nothing was trained")
def test_a_density_that_was_not_trained_is_looked_at_too():
    """Catches steps that stay at those of a fit that nobody looked at."""
    X = np.random.default_rng(0).standard_normal((40, 2))
    assert FactorizedDiffusionDensity(random_state=0).fit(X).n_steps_ < SAFE_STEPS


def test_flanks_of_peaks_are_looked_at_too(generator):
    """Catches rows on the tops of peaks only: 12 steps there, and a mass of 1.014."""
    values = [-1.5, -0.5, 0.4, 1.6]
    z = torch.tensor(values, dtype=torch.float64).repeat(50).unsqueeze(1)
    denoiser = spikes(values, width=2)
    path = Path(T_MIN, enough_steps([denoiser], rows_of(z), T_MIN, generator))
    x = torch.linspace(-3, 3, 4001, dtype=torch.float64)
    density = log_density([denoiser], x.unsqueeze(1), path)[:, 0].exp()
    assert torch.trapezoid(density, x).item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("n_values", [4, 5])
def test_a_column_of_few_values_has_a_mass_of_one(n_values):
    """Catches looks that reach no farther than one noise floor: 1.01 and 1.005 then."""
    values = np.random.default_rng(1).integers(0, n_values, 600)
    options = {"max_iter": 20, "n_networks": 1, "random_state": 0}
    density = FactorizedDiffusionDensity(**options).fit(values[:, None].astype(float))
    x = np.linspace(-2, n_values + 1, 8001)
    mass = np.trapezoid(np.exp(density.score_samples(x[:, None])), x)
    assert mass == pytest.approx(1, abs=2e-3)

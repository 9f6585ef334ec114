"""Mixtures of families, their closed-form flow, and averages of them with networks."""

import warnings
from dataclasses import replace
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
import torch
from conftest import standard_normal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skdiffusion import FactorizedDiffusionDensity, blending, mixtures
from skdiffusion.best_states import row_terms
from skdiffusion.blending import Candidate, chosen_share, with_partners
from skdiffusion.datasets import make_separated_mixture
from skdiffusion.flow import Path, from_normal, log_density_of_own, own_to_normal
from skdiffusion.mixtures import fit_mixtures, largest, refitted, regressions
from skdiffusion.networks import (
    Blend,
    ConditionalKernels,
    ConditionalMixture,
    ConditionalNetwork,
)
from skdiffusion.partners import can_have_partners
from skdiffusion.records import Rows
from skdiffusion.threads import Threads

T_MIN = np.arctan(0.03)
SEPARATED = np.r_[
    0.3 * standard_normal(200, 2, seed=1) + [2, 2],
    0.3 * standard_normal(200, 2, seed=2) + [-2, 2],
    0.3 * standard_normal(200, 2, seed=3) + [0, -2],
]


def fit_mixture(training, held_out, **options):
    """Mixture of one split."""
    (mixture,) = fit_mixtures([(training, held_out)], **options)
    return mixture


def known_mixture():
    """Two overlapping components of three columns."""
    mixture = GaussianMixture(2)
    mixture.weights_ = np.array([0.3, 0.7])
    mixture.means_ = np.array([[1.0, -0.5, 0.2], [-0.4, 0.6, 0.0]])
    factors = np.random.RandomState(0).standard_normal((2, 3, 3))
    mixture.covariances_ = 0.3 * factors @ factors.transpose(0, 2, 1) + 0.2 * np.eye(3)
    return mixture


def log_density(mixture, columns, x, extra=0.0):
    """Log-density of some columns; `extra` is added to the variance of the first."""
    parts = []
    for weight, mean, covariance in zip(
        mixture.weights_, mixture.means_, mixture.covariances_, strict=True
    ):
        own = covariance[np.ix_(columns, columns)].copy()
        own[0, 0] += extra
        law = multivariate_normal(mean[list(columns)], own)
        parts.append(np.log(weight) + law.logpdf(x[:, list(columns)]))
    return logsumexp(parts, axis=0)


def conditional_log_density(mixture, column, context, x, extra=0.0):
    joint = log_density(mixture, (column, *context), x, extra)
    return joint - log_density(mixture, context, x)


def column_beside(coef=(0.4, -0.3), intercept=0.2, scale=0.5):
    """Network of column 2 given columns 0 and 1, with a linear regression."""
    network = ConditionalNetwork((2,), ((0, 1),), t_min=T_MIN, hidden_size=8)
    network.coef[0, :, 0] = torch.tensor(coef)
    network.intercept.fill_(intercept)
    network.scale.fill_(scale)
    network.context_low.fill_(-30.0)
    network.context_high.fill_(30.0)
    return network.double().eval().requires_grad_(False)


def given_mixture():
    known = regressions(known_mixture(), 2, (0, 1))
    return ConditionalMixture.beside(column_beside(), [known])


def test_regressions_are_the_conditional_density_of_the_mixture():
    x = standard_normal(50, 3)
    given = regressions(known_mixture(), 1, (2, 0))
    actual = given.log_density(x[:, [1]], x[:, [2, 0]])
    expected = conditional_log_density(known_mixture(), 1, (2, 0), x)
    np.testing.assert_allclose(actual, expected, atol=1e-10)


def test_column_without_context_has_the_weights_of_the_mixture():
    mixture = known_mixture()
    given = regressions(mixture, 1, ())
    np.testing.assert_allclose(given.log_weight, np.log(mixture.weights_))
    np.testing.assert_allclose(given.intercept, mixture.means_[:, 1])
    np.testing.assert_allclose(given.variance, mixture.covariances_[:, 1, 1])


def test_flow_of_a_mixture_is_its_closed_form():
    """With noise of the floor in units of the residual's scale, in any coordinates."""
    mixture, x = given_mixture(), standard_normal(40, 3, seed=1)
    actual = log_density_of_own(mixture, torch.tensor(x), Path(T_MIN, 400))[:, 0]
    extra = (0.5 * np.tan(T_MIN)) ** 2
    expected = conditional_log_density(known_mixture(), 2, (0, 1), x, extra)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_divergence_of_a_mixture_is_that_of_its_velocity():
    mixture, x = given_mixture(), torch.tensor(standard_normal(20, 3))
    code, t = mixture.encode(x), torch.tensor(0.3, dtype=torch.float64)
    r = x[:, 2:].requires_grad_(True)
    v, divergence = mixture.velocity_and_divergence(r, t, code)
    (expected,) = torch.autograd.grad(v.sum(), r)
    torch.testing.assert_close(divergence, expected)
    torch.testing.assert_close(mixture.velocity(r, t, code), v)


def test_contexts_outside_the_training_range_level_off():
    """Catches slopes of narrow components that run away."""
    network = column_beside(coef=(0.0, 0.0))
    network.context_low.fill_(-2.0)
    network.context_high.fill_(2.0)
    mixture = ConditionalMixture.beside(
        network, [regressions(known_mixture(), 2, (0, 1))]
    )
    far = torch.tensor([[1e3, -1e3, 0.0], [1e6, -1e6, 0.0]], dtype=torch.float64)
    scores = log_density_of_own(mixture, far, Path(T_MIN, 16))
    assert scores[0] == scores[1]
    assert torch.isfinite(scores).all()


def test_number_of_components_is_that_of_the_clusters():
    split = SEPARATED[::2], SEPARATED[1::2]
    parts = [(rows, np.ones(len(rows))) for rows in split]
    assert fit_mixture(*parts, max_components=16, seed=0).n_components == 3
    assert fit_mixture(*parts, max_components=2, seed=0).n_components == 2


def test_members_have_one_number_of_components():
    """Rows of two clusters decide for a member whose own rows would take one."""
    clusters, cloud = SEPARATED[:400], standard_normal(60, 2)
    splits = [
        [(part, np.ones(len(part))) for part in (rows[::2], rows[1::2])]
        for rows in (cloud, clusters)
    ]
    alone = [fit_mixture(*split, max_components=2, seed=0) for split in splits]
    assert [mixture.n_components for mixture in alone] == [1, 2]
    together = fit_mixtures(splits, max_components=2, seed=0)
    assert [mixture.n_components for mixture in together] == [2, 2]
    np.testing.assert_allclose(together[1].means_, alone[1].means_)
    assert not np.allclose(together[0].means_, together[1].means_)


def test_numbers_of_components_that_are_tried(monkeypatch):
    """The largest allowed is among them; two in a row without gain are the last."""
    tried, fit = [], mixtures._expectation_maximization

    def watched(rows, k, seed):
        tried.append(k)
        return fit(rows, k, seed)

    monkeypatch.setattr(mixtures, "_expectation_maximization", watched)
    parts = [(rows, np.ones(len(rows))) for rows in (SEPARATED[::2], SEPARATED[1::2])]
    for max_components, expected in ((2, [1, 2]), (5, [1, 2, 3, 4, 5]), (64, None)):
        tried.clear()
        fit_mixture(*parts, max_components=max_components, seed=0)
        assert tried == (expected or [1, 2, 3, 4, 6])


def test_rows_count_by_their_weight():
    """Rows of a third cluster that weigh next to nothing are not seen."""
    weight = np.where(np.arange(len(SEPARATED)) < 400, 1.5, 1e-6)
    parts = [(SEPARATED[i::2], weight[i::2]) for i in (0, 1)]
    mixture = fit_mixture(*parts, max_components=16, seed=0)
    assert mixture.n_components == 2
    assert mixture.means_[:, 1].min() > 1.5


def test_rows_beyond_the_limit_are_drawn(monkeypatch):
    monkeypatch.setattr("skdiffusion.mixtures.MAX_ROWS", 50)
    rows = np.repeat(np.arange(100.0), 2)[:, None]
    part = rows, np.ones(200)
    mixture = fit_mixture(part, part, max_components=1, seed=0)
    # one row from every four, in random order
    assert mixture.means_[0, 0] == pytest.approx(49.5, abs=8)
    assert mixture.covariances_[0, 0, 0] ** 0.5 == pytest.approx(28.9, abs=6)


def test_a_mixture_is_refitted_from_where_it_is():
    """One component takes the moments of the other rows; three keep their clusters."""
    rows, all_rows = SEPARATED[:200], SEPARATED
    weight = np.ones(len(all_rows))
    part = rows, np.ones(len(rows))
    one = fit_mixture(part, part, max_components=1, seed=0)
    again = refitted(one, all_rows, weight, seed=0)
    np.testing.assert_allclose(again.means_[0], all_rows.mean(0), atol=1e-10)
    expected = np.cov(all_rows.T, bias=True) + mixtures.RIDGE * np.eye(2)
    np.testing.assert_allclose(again.covariances_[0], expected, atol=1e-10)
    three = known_clusters()
    means = refitted(three, all_rows, weight, seed=0).means_
    np.testing.assert_allclose(means, three.means_, atol=0.1)


def test_a_mixture_is_refitted_to_rows_by_their_weight():
    weight = np.repeat([2.0, 0.5, 0.5], 200)
    mixture = refitted(known_clusters(), SEPARATED, weight, seed=0)
    np.testing.assert_allclose(mixture.weights_, [1 / 6, 2 / 3, 1 / 6], atol=0.01)


def known_clusters():
    """Mixture with the clusters of `SEPARATED` in an order of its own."""
    mixture = GaussianMixture(3)
    mixture.weights_ = np.full(3, 1 / 3)
    mixture.means_ = np.array([[0.0, -2.0], [2.0, 2.0], [-2.0, 2.0]])
    mixture.precisions_ = np.tile(np.eye(2) / 0.09, (3, 1, 1))
    return mixture


def test_largest_families():
    families = [(2, 0, 1), (1, 0), (0,), (3, 2), (1, 0, 2), (4,)]
    assert largest(families) == [(0, 1, 2), (2, 3), (4,)]


def mixture_of_five(network, z):
    part = z, np.ones(len(z))
    known = regressions(fit_mixture(part, part, max_components=4, seed=0), 5, range(5))
    return ConditionalMixture.beside(network, [known])


def kernels_on_five(network, z):
    rows = torch.as_tensor(z, dtype=torch.float32), torch.ones(len(z))
    return ConditionalKernels.beside(network, *rows, [(0.3, 0.5)])


@pytest.mark.parametrize("make_partner", [mixture_of_five, kernels_on_five])
def test_scores_do_not_depend_on_the_place_of_a_row(make_partner):
    """In single precision, with as many columns in the context as round differently."""
    z = standard_normal(256, 6) @ np.linalg.cholesky(0.9 + 0.1 * np.eye(6)).T
    network = ConditionalNetwork((5,), (tuple(range(5)),), t_min=T_MIN, hidden_size=8)
    network.calibrate(torch.as_tensor(z, dtype=torch.float32))
    partner = make_partner(network, z).eval()
    z, path = torch.as_tensor(z), Path(T_MIN, 8)
    turned = log_density_of_own(partner, z.roll(1, 0), path).roll(-1, 0)
    torch.testing.assert_close(
        turned, log_density_of_own(partner, z, path), rtol=1e-9, atol=1e-9
    )


@pytest.fixture
def blend(network):
    """Half of the network of `conftest` and half of a mixture for all but one column."""
    mixture = known_mixture()
    known = [regressions(mixture, 0, ()), regressions(mixture, 1, (0,))]
    known += [regressions(mixture, 2, (0, 1))]
    beside = ConditionalMixture.beside(network.select((0, 1, 2)), known)
    return Blend(network, beside, torch.tensor([0.5, 0.25, 1.0]))


def test_blend_is_the_average_of_velocities_and_divergences(blend):
    z, t = torch.tensor(standard_normal(30, 4)), torch.tensor(0.5, dtype=torch.float64)
    r, _ = blend.to_own(z)
    network, mixture = blend.base, blend.partner
    own = network.velocity_and_divergence(r, t, network.encode(z))
    theirs = mixture.velocity_and_divergence(r[:, :3], t, mixture.encode(z))
    actual = blend.velocity_and_divergence(r, t, blend.encode(z))
    for value, alone, beside in zip(actual, own, theirs, strict=True):
        expected = (1 - blend.share) * alone[:, :3] + blend.share * beside
        torch.testing.assert_close(value[:, :3], expected)
        torch.testing.assert_close(value[:, 3], alone[:, 3])
    torch.testing.assert_close(blend.velocity(r, t, blend.encode(z)), actual[0])


def test_columns_of_a_blend_can_be_taken_alone(blend):
    z, path = torch.tensor(standard_normal(30, 4)), Path(T_MIN, 8)
    whole = log_density_of_own(blend, z, path)
    part = log_density_of_own(blend.select((2, 0)), z, path)
    torch.testing.assert_close(part, whole[:, [2, 0]])


def test_a_blend_of_many_columns_is_split(monkeypatch, blend):
    monkeypatch.setattr("skdiffusion.networks._columns.COLUMNS_PER_EVALUATION", 3)
    z, path = torch.tensor(standard_normal(30, 4)), Path(T_MIN, 8)
    parts = blend.split()
    assert [part.columns for part in parts] == [(0, 1, 2), (3,)]
    scores = torch.cat([log_density_of_own(part, z, path) for part in parts], dim=1)
    torch.testing.assert_close(scores, log_density_of_own(blend, z, path))


def test_samples_of_a_blend_follow_its_flow(blend):
    noise, path = torch.tensor(standard_normal(200, 4)), Path(T_MIN, 200)
    parts = [blend.select((j,)) for j in range(4)]
    z = from_normal(parts, noise, path)
    back = own_to_normal(blend, z, path)
    torch.testing.assert_close(back, noise, atol=1e-4, rtol=1e-4)


def rows_of(z):
    z = torch.as_tensor(z, dtype=torch.float32)
    return Rows(z, torch.ones(len(z)), torch.zeros(len(z)))


def share_of(base, partner, rows, tol):
    """Share and gain as judged by rows of one member."""
    return chosen_share([Candidate(base, partner, rows)], tol)


def clustered_column(z):
    """Untrained network of the first column alone, and the mixture of the column."""
    network = ConditionalNetwork((0,), ((),), t_min=T_MIN, hidden_size=8)
    network.calibrate(torch.as_tensor(z, dtype=torch.float32)).eval()
    part = z, np.ones(len(z))
    known = regressions(fit_mixture(part, part, max_components=4, seed=0), 0, ())
    return network, ConditionalMixture.beside(network, [known])


def test_share_is_that_which_held_out_rows_gain_most_from():
    z = SEPARATED[:, :1] / SEPARATED[:, :1].std()
    network, mixture = clustered_column(z)
    share, gain = share_of(network, mixture, rows_of(z), tol=1e-4)
    assert share.tolist() == [1.0]
    path = Path(network.t_min, 16)
    network_alone, mixture_alone = (
        row_terms(part, rows_of(z), path).mean() for part in (network, mixture)
    )
    assert gain == pytest.approx(float(mixture_alone - network_alone), abs=1e-5)
    assert gain > 0.1


def test_shares_are_those_of_rows_by_their_weight():
    """The mixture is right on one half of the rows, the network on the other."""
    z = SEPARATED[:, :1] / SEPARATED[:, :1].std()
    network, mixture = clustered_column(z)
    rows = rows_of(np.r_[z, standard_normal(600, 1)])
    for weights, expected in (((2.0, 0.0), 1.0), ((0.0, 2.0), 0.0)):
        weight = torch.tensor(weights).repeat_interleave(600)
        share, _ = share_of(network, mixture, replace(rows, weight=weight), 1e-4)
        assert share.tolist() == [expected]


def test_shares_are_those_of_the_rows_of_all_members_together():
    """The mixture is right on the rows of one member, the network on the other's."""
    z = SEPARATED[:, :1] / SEPARATED[:, :1].std()
    pair, tables = clustered_column(z), (rows_of(z), rows_of(standard_normal(600, 1)))
    both, total = chosen_share([Candidate(*pair, rows) for rows in tables], 1e-4)
    pooled, expected = share_of(*pair, Rows.together(tables), 1e-4)
    assert both.tolist() == pooled.tolist()
    assert total == pytest.approx(expected, abs=1e-6)
    assert [share_of(*pair, rows, 1e-4)[0].item() for rows in tables] == [1.0, 0.0]
    assert 0 < both.item() < 1


def test_gains_up_to_the_tolerance_leave_it_at_a_quarter():
    z = SEPARATED[:, :1] / SEPARATED[:, :1].std()
    share, gain = share_of(*clustered_column(z), rows_of(z), tol=10.0)
    assert share.tolist() == [0.25]
    assert gain > 0


def share_where_it_gains(t_value, monkeypatch):
    """Share of a partner that gains so many standard errors, parts in proportion."""
    z = SEPARATED[:, :1] / SEPARATED[:, :1].std()
    network, mixture = clustered_column(z)
    noise = torch.tensor(standard_normal(len(z), 1))
    gain = (noise - noise.mean()) / noise.std() + t_value / len(z) ** 0.5

    def known(part, rows, path):
        return gain * float(part.share[0]) if isinstance(part, Blend) else 0 * gain

    monkeypatch.setattr("skdiffusion.blending.row_terms", known)
    monkeypatch.setattr("skdiffusion.blending.MOST_ALLOWED", 1e6)
    share, _ = share_of(network, mixture, rows_of(z), tol=0.0)
    return share.item()


@pytest.mark.parametrize(
    ("first", "others", "expected"),
    [
        ([0.1, 0.1], (0.0, 0.0, 0.0), 0.25),
        ([np.nan, 0.1], (0.0, 0.0, 0.0), 0.0),
        ([-np.inf, 0.1], (0.0, 0.0, 0.0), 0.0),
        ([-1e30, 0.1], (0.0, 0.0, 0.0), 0.0),
        ([-40.0, 0.0], (-80.0, -120.0, -160.0), 0.0),
        ([0.1, 0.1], (0.2, 0.3, np.nan), 0.75),
        ([-0.09, -0.09], (-0.08, -0.07, -0.05), 0.0),
        ([-0.09, -0.09], (-0.08, 0.05, 0.1), 1.0),
    ],
)
def test_shares_that_lose_much_or_have_no_score_are_not_used(first, others, expected):
    """With 0 for the networks alone; the gains of two kinds of rows."""
    none = torch.zeros(200, 1)
    first = torch.tensor(first, dtype=torch.float32).repeat(100)[:, None]
    others = torch.tensor(others, dtype=torch.float32)[:, None, None].expand(3, 200, 1)
    *_, share = blending._weighed(none, first, others, rows_of(none), 1e-4)
    assert share.tolist() == [expected]


def test_a_partner_is_used_where_networks_have_no_score():
    none = torch.full((200, 1), -torch.inf)
    first = torch.zeros(200, 1)
    given = none, first, first.expand(3, 200, 1), rows_of(none)
    (share,) = blending._weighed(*given, 1e-4)
    assert share.tolist() == [0.25]


def test_a_quarter_enters_the_less_the_more_rows_speak_against_it(monkeypatch):
    """A quarter gains a quarter of what all of the partner does, with its error."""
    for t_value, expected in ((0.1, 0.25), (-1.0, 0.125), (-1.9, 0.0125), (-2.1, 0.0)):
        share = share_where_it_gains(t_value, monkeypatch)
        assert share == pytest.approx(expected, abs=1e-3)


def test_other_shares_are_taken_if_clearly_better(monkeypatch):
    """Three quarters of the gain are what another share than a quarter adds."""
    assert share_where_it_gains(0.2, monkeypatch) == 0.25
    assert share_where_it_gains(0.4, monkeypatch) == 1


def test_standard_errors_are_those_of_weighted_means():
    """Against the spread of means of rows drawn again and again."""
    random = np.random.RandomState(0)
    weight = random.uniform(0, 2, 400)
    weight /= weight.mean()
    means = [np.mean(weight * random.standard_normal(400)) for _ in range(4000)]
    rows = replace(rows_of(np.zeros((400, 1))), weight=torch.tensor(weight))
    values = torch.tensor(standard_normal(400, 1))
    found = float(rows.standard_error(values)[0])
    assert found == pytest.approx(np.std(means), rel=0.1)


def test_nothing_is_averaged_where_held_out_rows_speak_against_it():
    """The network is right here and the mixture is of other rows."""
    network, mixture = clustered_column(SEPARATED[:, :1])
    share, gain = share_of(network, mixture, rows_of(standard_normal(400, 1)), 1e-4)
    assert share.tolist() == [0.0]
    assert gain == 0


@pytest.mark.parametrize(
    ("difference", "kept"), [(0.002, True), (0.004, False), (-0.004, False)]
)
def test_shares_that_the_solver_does_not_resolve_are_not_used(
    difference, kept, monkeypatch
):
    """Catches an error of the solver on the coarse grid as large as the gain."""
    z = SEPARATED[:, :1] / SEPARATED[:, :1].std()
    network, mixture = clustered_column(z)

    def with_error(part, rows, path):
        return row_terms(part, rows, path) + difference * (path.n_steps == 12)

    monkeypatch.setattr("skdiffusion.blending.row_terms", with_error)
    share, gain = share_of(network, mixture, rows_of(z), tol=1e-4)
    assert share.tolist() == [float(kept)]
    assert (gain > 0.2) == kept


def test_a_quarter_enters_where_only_that_is_resolved(monkeypatch):
    z = SEPARATED[:, :1] / SEPARATED[:, :1].std()
    network, mixture = clustered_column(z)

    def with_error(part, rows, path):
        share = float(part.share[0]) if isinstance(part, Blend) else 0
        return row_terms(part, rows, path) + (share > 0.25) * (path.n_steps == 12)

    monkeypatch.setattr("skdiffusion.blending.row_terms", with_error)
    share, gain = share_of(network, mixture, rows_of(z), tol=1e-4)
    assert share.tolist() == [0.25]
    path = Path(network.t_min, 16)
    quarter, alone = (
        row_terms(part, rows_of(z), path).mean()
        for part in (Blend(network, mixture, torch.tensor([0.25])), network)
    )
    assert gain == pytest.approx(float(quarter - alone), abs=1e-5)


def test_held_out_rows_judge_mixtures_and_are_then_fitted_to():
    """Catches mixtures that leave out the held-out rows, or judge themselves by them."""
    z = 0.5 * standard_normal(300, 1) + 0.4
    training, held_out, everything = rows_of(z[:200]), rows_of(z[200:]), rows_of(z)
    weight = torch.where(everything.z[:, 0] > 0.4, 1.9, 0.1)
    everything = replace(everything, weight=weight)
    network, _ = clustered_column(z)
    member = SimpleNamespace(
        chosen=lambda: [network],
        rows=training,
        held_out=held_out,
        generator=torch.Generator().manual_seed(0),
    )
    options = SimpleNamespace(max_components=1, tol=1e-4)
    with Threads(1, torch.device("cpu")) as threads:
        (partners,), _ = with_partners([member], everything, options, threads)
    # kernels that rows hardly speak against may take a little of the gain
    del partners.partners[1:]
    gain = partners.choose()
    mixture, share = partners.of_all_rows()[0]
    assert share.tolist() == [1.0]
    expected = np.average(z[:, 0], weights=weight)
    assert float(mixture.mean[0, 0]) == pytest.approx(expected, abs=0.01)
    assert abs(expected - z.mean()) > 0.3
    of_training = GaussianMixture(1, reg_covar=mixtures.RIDGE).fit(z[:200])
    mean, variance = of_training.means_[0, 0], of_training.covariances_[0, 0, 0]
    judged = norm.logpdf(z[200:], mean, np.sqrt(variance + 0.03**2)).mean()
    alone = norm.logpdf(z[200:], 0, np.sqrt(1 + 0.03**2)).mean()
    assert gain == pytest.approx(judged - alone, abs=1e-3)


def test_what_cannot_be_averaged(network):
    assert can_have_partners(network)
    shared = ConditionalNetwork((0, 1), ((), ()), t_min=T_MIN, kinds=(0, 0))
    assert not can_have_partners(shared)
    wide = ConditionalNetwork((40,), (tuple(range(40)),), t_min=T_MIN)
    assert not can_have_partners(wide)
    network.active.zero_()
    assert not can_have_partners(network)


def short(**options):
    defaults = {"max_iter": 50, "max_iter_likelihood": 0, "random_state": 0}
    return FactorizedDiffusionDensity(**defaults | options)


@pytest.fixture(scope="module")
def mixed():
    """A mixture of normal distributions, and fits too short for a network to learn it."""
    table = make_separated_mixture(600, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return table, short().fit(table.data), short(max_components=0).fit(table.data)


def test_averages_with_partners_come_closer_to_a_mixture(mixed):
    table, averaged, alone = mixed
    fresh = make_separated_mixture(2000, random_state=1)
    divergence = [
        np.mean(fresh.log_density(fresh.data) - model.score_samples(fresh.data))
        for model in (averaged, alone)
    ]
    assert divergence[0] < 0.2 < divergence[1]
    gain = averaged.best_validation_score_ - alone.best_validation_score_
    assert gain == pytest.approx(divergence[1] - divergence[0], rel=0.2)
    assert averaged.mixture_shares_.min() > 0.5
    np.testing.assert_array_equal(alone.mixture_shares_, 0)


def test_the_average_is_one_density(mixed):
    """Samples, noise and scores agree, row by row."""
    _, averaged, _ = mixed
    noise = standard_normal(100, averaged.n_features_in_)
    averaged.n_steps = 100
    try:
        rows = averaged.from_normal(noise)
        np.testing.assert_allclose(averaged.to_normal(rows), noise, atol=1e-3)
    finally:
        averaged.n_steps = None


def test_a_warm_start_goes_on_from_the_networks(chain):
    """Catches mixtures that are trained on top of mixtures."""
    twice = short(graph=chain.graph, warm_start=True)
    alone = short(graph=chain.graph, warm_start=True, max_components=0)
    for _ in range(2):
        twice.fit(chain.data)
        alone.fit(chain.data)
    assert twice.mixture_shares_.max() > 0
    assert twice.validation_scores_ == alone.validation_scores_


def test_no_mixtures_without_rows_to_judge_by(chain):
    for options in ({"early_stopping": False}, {"share_weights": True}):
        model = short(graph=chain.graph, **options).fit(chain.data)
        np.testing.assert_array_equal(model.mixture_shares_, 0)
    cycle = nx.cycle_graph(3)
    joint = short(graph=cycle, diffusion="joint").fit(chain.data)
    np.testing.assert_array_equal(joint.mixture_shares_, 0)


def test_constant_and_repeated_columns_keep_their_linear_models():
    x = np.r_[standard_normal(100, 1) - 3, standard_normal(100, 1, seed=1) + 3]
    table = np.column_stack([x, x, np.full(200, 5.0)])
    with pytest.warns(UserWarning, match="constant"):
        model = short().fit(table)
    assert model.mixture_shares_[0] > 0
    np.testing.assert_array_equal(model.mixture_shares_[1:], 0)
    assert np.isfinite(model.score_samples(table)).all()


def test_weights_reach_the_mixtures():
    """Half of the rows weigh nothing to speak of; the density forgets their cluster."""
    x = np.r_[standard_normal(300, 1) - 6, standard_normal(300, 1, seed=1) + 6]
    weight = np.repeat([1.0, 1e-6], 300)
    model = short().fit(x, sample_weight=weight)
    assert model.score_samples([[6.0]])[0] < model.score_samples([[-6.0]])[0] - 4


@pytest.mark.parametrize(("value", "error"), [(-1, ValueError), ("all", TypeError)])
def test_number_of_components_is_checked(value, error):
    with pytest.raises(error, match="max_components must be"):
        short(max_components=value).fit(standard_normal(20, 2))


def test_the_summary_says_what_averages_gain(mixed, capsys):
    table, averaged, _ = mixed
    short(verbose=1).fit(table.data)
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[-1] == "averaging with mixtures and kernels, as held-out rows decide"
    assert last.endswith(
        f"with mixtures and kernels {averaged.best_validation_score_:.4f}"
    )

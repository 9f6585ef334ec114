import networkx as nx
import numpy as np
import pytest
import torch
from conftest import standard_normal
from scipy import special, stats

from skdiffusion import FactorizedDiffusionDensity, KernelScoreDensity
from skdiffusion.metrics import compare
from skdiffusion.sequential._truncated import truncated_normal

DIAMOND = nx.DiGraph([(0, 1), (0, 2), (1, 3), (2, 3)])


class Gaussian:
    """Fitted linear Gaussian network, and its law in closed form."""

    def __init__(self):
        e = standard_normal(49, 4)
        x0 = e[:, 0]
        x1, x2 = 0.8 * x0 + 0.6 * e[:, 1], 2 - x0 + e[:, 2]
        X = np.c_[x0, x1, x2, 5 * (x1 - x2 + 0.5 * e[:, 3])]
        # with fewer than 50 rows nothing is trained: the density is normal
        small = {"hidden_size": 4, "n_networks": 1, "n_steps": 2}
        self.density = FactorizedDiffusionDensity(DIAMOND, **small).fit(X)
        self.mean = self.density.from_normal(np.zeros((1, 4)))[0]
        root = self.density.from_normal(np.eye(4)) - self.mean
        self.covariance = root.T @ root

    def given(self, columns, values):
        """Mean and covariance of the other columns."""
        rest = [j for j in range(4) if j not in columns]
        S = self.covariance
        gain = np.linalg.solve(S[np.ix_(columns, columns)], S[np.ix_(columns, rest)])
        mean = self.mean[rest] + (values - self.mean[columns]) @ gain
        return mean, S[np.ix_(rest, rest)] - S[np.ix_(rest, columns)] @ gain

    def marginal(self, columns):
        S = self.covariance[np.ix_(columns, columns)]
        return stats.multivariate_normal(self.mean[columns], S)


@pytest.fixture(scope="module")
def gaussian():
    return Gaussian()


@pytest.fixture(scope="module")
def joint(chain):
    """Short fit of three columns diffused together."""
    options = {"diffusion": "joint", "max_iter": 60, "hidden_size": 16}
    density = FactorizedDiffusionDensity(chain.graph, random_state=0, **options)
    return density.fit(chain.data)


def assert_normal(X, mean, covariance, z=4.5):
    """Draws have a mean and a covariance within z standard errors."""
    scale = np.sqrt(np.diag(covariance))
    standard = (X - mean) / scale
    assert np.abs(standard.mean(0)).max() < z / np.sqrt(len(X))
    correlation = covariance / np.outer(scale, scale)
    error = np.abs(standard.T @ standard / len(X) - correlation)
    assert error.max() < z * np.sqrt(2 / len(X))


def test_the_oracle_is_the_density(gaussian):
    X = gaussian.marginal([0, 1, 2, 3]).rvs(20, random_state=0)
    expected = gaussian.marginal([0, 1, 2, 3]).logpdf(X)
    np.testing.assert_allclose(gaussian.density.score_samples(X), expected, atol=1e-5)


def test_conditions_closed_under_parents_are_exact(gaussian):
    given = gaussian.density.condition({0: 0.7, 2: 1.0})
    assert given.is_exact
    assert given.log_normalizer_error == 0
    truth = gaussian.marginal([0, 2]).logpdf([0.7, 1.0])
    assert given.log_normalizer == pytest.approx(truth, abs=1e-5)
    X = given.sample(5000, random_state=0)
    assert (X[:, [0, 2]] == [0.7, 1.0]).all()
    assert_normal(X[:, [1, 3]], *gaussian.given([0, 2], [0.7, 1.0]))


def test_conditions_on_descendants_agree_with_the_normal_law(gaussian):
    given = gaussian.density.condition({3: -4.0}, random_state=0)
    assert not given.is_exact
    truth = gaussian.marginal([3]).logpdf(-4.0)
    error = given.log_normalizer_error
    assert error < 0.1
    assert given.log_normalizer == pytest.approx(truth, abs=4 * error)
    X = given.sample(5000, random_state=1)
    mean, covariance = gaussian.given([3], [-4.0])
    # two effective particles for each draw: variances are up to 1.5 times as large
    assert_normal(X[:, :3], mean, covariance, z=4.5 * 1.5**0.5)
    scaled = (X[:, :3] - mean) / np.sqrt(np.diag(covariance))
    assert min(stats.kstest(column, "norm").pvalue for column in scaled.T) > 1e-3


def test_standard_errors_of_normalizers_are_honest(gaussian):
    truth = gaussian.marginal([1, 3]).logpdf([0.5, 1.0])
    conditions = [
        gaussian.density.condition({1: 0.5, 3: 1.0}, n_particles=300, random_state=seed)
        for seed in range(40)
    ]
    z = [(c.log_normalizer - truth) / c.log_normalizer_error for c in conditions]
    assert 0.7 < np.std(z) < 1.4


def test_conditional_log_density_is_normalised(gaussian):
    given = gaussian.density.condition({3: -4.0}, n_particles=20_000, random_state=0)
    X = given.sample(10)
    law = stats.multivariate_normal(*gaussian.given([3], [-4.0]))
    found = given.score_samples(X)
    np.testing.assert_allclose(found, law.logpdf(X[:, :3]), atol=0.05)
    assert given.score(X) == pytest.approx(found.mean())


def test_intervals_have_their_probability_and_hold_their_draws(gaussian):
    given = gaussian.density.condition({1: (0.0, 1.0), 3: (None, 2.0)}, random_state=0)
    law = gaussian.marginal([1, 3])
    truth = np.log(law.cdf([1.0, 2.0], lower_limit=[0.0, -np.inf]))
    error = given.log_normalizer_error
    assert given.log_normalizer == pytest.approx(truth, abs=4 * error + 1e-4)
    X = given.sample(2000, random_state=0)
    assert ((X[:, 1] >= 0) & (X[:, 1] <= 1) & (X[:, 3] <= 2)).all()
    rows = law.rvs(400_000, random_state=0)
    inside = (rows[:, 0] > 0) & (rows[:, 0] < 1) & (rows[:, 1] < 2)
    expected = rows[inside]
    tolerance = 5 * expected.std(0) / np.sqrt(len(X))
    assert (np.abs(X[:, [1, 3]].mean(0) - expected.mean(0)) < tolerance).all()
    assert given.score_samples(np.array([[0.0, 2.0, 0.0, 0.0]])) == [-np.inf]


def test_one_condition_for_each_row(gaussian):
    values = np.array([-5.0, 0.0, 5.0])
    given = gaussian.density.condition({3: values}, n_particles=4000, random_state=0)
    truth = gaussian.marginal([3]).logpdf(values)
    assert (np.abs(given.log_normalizer - truth) < 4 * given.log_normalizer_error).all()
    X = given.sample(random_state=0)
    assert (X[:, 3] == values).all()
    rows = gaussian.density.sample(
        1200, random_state=0, given={3: np.repeat(values, 400)}
    )
    for value, group in zip(values, np.split(rows, 3), strict=True):
        mean, covariance = gaussian.given([3], [value])
        assert_normal(group[:, :3], mean, covariance, z=6)


def test_far_intervals_keep_their_digits(gaussian):
    """log P(x > 9 standard deviations), which is 0 in rounding."""
    far = gaussian.mean[0] + 9 * np.sqrt(gaussian.covariance[0, 0])
    given = gaussian.density.condition({0: (far, None)})
    assert given.log_normalizer == pytest.approx(stats.norm.logsf(9), rel=1e-6)
    assert given.sample(3, random_state=0)[:, 0].min() >= far


@pytest.mark.parametrize(
    ("low", "high"),
    [(-1, 2), (-5, -3), (8.4, np.inf), (38, 39), (-1e3, -40), (40, 1e3)],
)
def test_truncated_normals_agree_with_scipy(low, high):
    uniform = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)
    ends = (torch.full_like(uniform, end) for end in (low, high))
    noise, log_probability = (x.numpy() for x in truncated_normal(*ends, uniform))
    a, b = (-high, -low) if low > 0 else (low, high)
    ratio = np.exp(special.log_ndtr(a) - special.log_ndtr(b))
    expected = special.log_ndtr(b) + np.log1p(-ratio)
    np.testing.assert_allclose(log_probability, expected, rtol=1e-10)
    levels = uniform.numpy() if low <= 0 else 1 - uniform.numpy()
    law = stats.truncnorm(low, high)
    np.testing.assert_allclose(noise, law.ppf(levels), rtol=1e-6)


def test_intervals_that_are_out_of_reach_are_refused(gaussian):
    tiny = FactorizedDiffusionDensity().fit(1e-9 * standard_normal(40, 1))
    with pytest.raises(ValueError, match="all but impossible"):
        tiny.condition({0: (1e300, None)})
    far = gaussian.density.sample(4, random_state=0, given={0: (50.0, None)})
    assert np.isfinite(far).all()


def test_narrow_intervals_hold_their_density(fitted, chain):
    """Where a difference of distribution functions is lost in single precision."""
    x = chain.data[:8, 0]
    marginal = fitted.marginal(0).score_samples(x[:, None])
    for centre, log_density in zip(x, marginal, strict=True):
        for width in (1e-3, 1e-6):
            interval = (centre - width / 2, centre + width / 2)
            given = fitted.condition({0: interval})
            expected = log_density + np.log(width)
            assert given.log_normalizer == pytest.approx(expected, abs=2e-3)
            drawn = given.sample(50, random_state=0)[:, 0]
            assert (drawn >= interval[0]).all()
            assert (drawn <= interval[1]).all()
            assert np.ptp(drawn) > 0.8 * width


def lost_early(k):
    """A chain of which an early column is seen k deviations away, and a later one."""
    e = standard_normal(45, 4)
    x0 = e[:, 0]
    x2 = 0.5 * x0 + e[:, 2]
    X = np.c_[x0, x0 + 0.3 * e[:, 1], x2, 0.5 * x2 + e[:, 3]]
    graph = nx.DiGraph([(0, 1), (0, 2), (2, 3)])
    small = {"hidden_size": 4, "n_networks": 1, "n_steps": 2}
    density = FactorizedDiffusionDensity(graph, **small).fit(X)
    mean = density.from_normal(np.zeros((1, 4)))[0]
    root = density.from_normal(np.eye(4)) - mean
    return density, {1: mean[1] + k * np.sqrt((root.T @ root)[1, 1]), 3: mean[3]}


def test_effective_sizes_remember_what_was_lost_before_a_resampling():
    sizes = []
    for k in (0, 2, 3):
        density, given = lost_early(k)
        sizes.append(density.condition(given, random_state=0).effective_sample_size)
    assert sizes[0] > 300 > sizes[1] > 20
    assert sizes[1] > 3 * sizes[2] or sizes[2] < 100
    density, given = lost_early(5)
    with pytest.raises(ValueError, match="all but impossible"):
        density.condition(given, random_state=0)
    row = np.full((1, 4), np.nan)
    row[0, list(given)] = list(given.values())
    with pytest.warns(UserWarning, match="fewer than 10 effective"):
        density.impute(row, random_state=0)


def test_marginals_of_unusual_rows_say_so(gaussian):
    far = gaussian.mean[[3]] + 9 * np.sqrt(gaussian.covariance[3, 3])
    marginal = gaussian.density.marginal(3, random_state=0)
    with pytest.warns(UserWarning, match="fewer than 10 effective"):
        _, error = marginal.score_samples(far[:, None], return_std=True)
    assert np.isinf(error).all()


def test_derived_densities_stay_as_they_were(chain):
    density = KernelScoreDensity(bandwidth=0.3).fit(chain.data)
    given, row = density.condition({0: (0, None)}), chain.data[chain.data[:, 0] > 0][:1]
    before = given.score_samples(row)
    density.fit(3 * chain.data)
    np.testing.assert_array_equal(given.score_samples(row), before)


def test_what_is_no_density_is_not_conditioned(chain):
    density = KernelScoreDensity(threshold="soft", bandwidth=0.3).fit(chain.data)
    for question in (
        lambda: density.condition({0: (0, None)}),
        lambda: density.marginal(0),
        lambda: density.impute(np.full((1, 3), np.nan)),
        lambda: density.conditional_cdf(chain.data[:2]),
        lambda: density.sample(2, given={0: 0.0}),
    ):
        with pytest.raises(ValueError, match="threshold='none'"):
            question()


def test_interventions_cut_the_columns_from_their_parents(gaussian):
    X = gaussian.density.sample(4000, random_state=0, do={1: 3.0})
    assert (X[:, 1] == 3).all()
    # what precedes keeps its law, while given it would not
    assert_normal(X[:, [0, 2]], *moments(gaussian, [0, 2]))
    seen = gaussian.density.sample(4000, random_state=0, given={1: 3.0})
    assert seen[:, 0].mean() > X[:, 0].mean() + 1
    # the child of both sees the value
    assert X[:, 3].mean() > gaussian.mean[3] + 5


def test_interventions_and_conditions_together(gaussian):
    X = gaussian.density.sample(4000, random_state=0, do={1: 3.0}, given={0: 0.2})
    assert (X[:, :2] == [0.2, 3.0]).all()
    mean, covariance = gaussian.given([0], [0.2])
    assert_normal(X[:, [2]], mean[[1]], covariance[1:2, 1:2])


def test_a_column_that_is_set_does_not_weigh(gaussian):
    """With x1 set, a seen x3 tells of x0 and x2 as if no arrow led into x1."""
    options = {"do": {1: 1.0}, "given": {3: -4.0}}
    X = gaussian.density.sample(4000, random_state=0, **options)
    assert (X[:, [1, 3]] == [1.0, -4.0]).all()
    # in the law of x0, x2 and the noise of x3, with x3 = a + b x1 + c x2 + noise
    slope = gaussian.covariance[np.ix_([1, 2], [1, 2])]
    b, c = np.linalg.solve(slope, gaussian.covariance[[1, 2], 3])
    noise = gaussian.covariance[3, 3] - np.array([b, c]) @ gaussian.covariance[[1, 2], 3]
    free = gaussian.marginal([0, 2])
    cross = free.cov @ [0, c]
    total = c * cross[1] + noise
    centre = gaussian.mean[3] + b * (1 - gaussian.mean[1])
    expected = free.mean + cross / total * (-4.0 - centre)
    spread = free.cov - np.outer(cross, cross) / total
    assert_normal(X[:, [0, 2]], expected, spread, z=4.5 * 1.5**0.5)


def moments(gaussian, columns):
    law = gaussian.marginal(columns)
    return law.mean, law.cov


def test_marginals_agree_with_the_normal_law(gaussian):
    X = gaussian.marginal([2, 3]).rvs(50, random_state=0)
    marginal = gaussian.density.marginal([2, 3], n_particles=500, random_state=0)
    found, error = marginal.score_samples(X, return_std=True)
    z = (found - gaussian.marginal([2, 3]).logpdf(X)) / error
    assert not marginal.is_exact
    assert 0.6 < np.sqrt(np.mean(z**2)) < 1.5
    assert marginal.score(X) == pytest.approx(found.mean())
    assert_normal(marginal.sample(3000, random_state=0), *moments(gaussian, [2, 3]))


def test_marginals_closed_under_parents_are_exact(gaussian):
    X = gaussian.marginal([2, 0]).rvs(20, random_state=0)
    marginal = gaussian.density.marginal([2, 0])
    assert marginal.is_exact
    found, error = marginal.score_samples(X, return_std=True)
    np.testing.assert_allclose(found, gaussian.marginal([2, 0]).logpdf(X), atol=1e-5)
    assert (error == 0).all()


def test_missing_cells_are_drawn_given_the_others(gaussian):
    row = np.array([0.3, np.nan, 1.0, np.nan])
    X = np.stack([row, np.array([0.3, 0.1, 1.0, 2.0]), np.full(4, np.nan), row])
    drawn = gaussian.density.impute(X, n_draws=4000, random_state=0)
    assert drawn.shape == (4000, 4, 4)
    known = ~np.isnan(X)
    assert (drawn[:, known] == X[known]).all()
    law = gaussian.given([0, 2], [0.3, 1.0])
    for i in (0, 3):
        assert_normal(drawn[:, i, [1, 3]], *law)
    assert_normal(drawn[:, 2], *moments(gaussian, [0, 1, 2, 3]))


def test_missing_parents_are_drawn_given_their_children(gaussian):
    X = np.array([[np.nan, 0.5, 1.5, 1.0]])
    drawn = gaussian.density.impute(X, n_draws=3000, n_particles=6000, random_state=0)
    mean, covariance = gaussian.given([1, 2, 3], [0.5, 1.5, 1.0])
    assert_normal(drawn[:, 0, :1], mean, covariance, z=6)


def test_a_joint_block_given_some_of_its_columns(joint, chain):
    """Normaliser and draws against quadrature over the column in the middle."""
    value = {0: 0.6, 2: -0.8}
    grid = np.linspace(-6, 6, 400)
    rows = np.c_[np.full(400, 0.6), grid, np.full(400, -0.8)]
    density = np.exp(joint.score_samples(rows))
    total = np.trapezoid(density, grid)
    given = joint.condition(value, n_particles=500, random_state=0)
    assert not given.is_exact
    error = given.log_normalizer_error
    assert error < 0.1
    assert given.log_normalizer == pytest.approx(np.log(total), abs=4 * error)
    X = given.sample(600, random_state=1)
    mean = np.trapezoid(grid * density, grid) / total
    spread = np.sqrt(np.trapezoid((grid - mean) ** 2 * density, grid) / total)
    assert X[:, 1].mean() == pytest.approx(mean, abs=5 * spread / np.sqrt(600))
    assert X[:, 1].std() == pytest.approx(spread, rel=0.15)


def test_an_interval_in_a_joint_block(joint):
    given = joint.condition({1: (0.5, None)}, n_particles=4000, random_state=0)
    share = (joint.sample(4000, random_state=1)[:, 1] > 0.5).mean()
    assert np.exp(given.log_normalizer) == pytest.approx(share, abs=0.04)
    assert given.sample(50, random_state=0)[:, 1].min() > 0.5


def test_kernel_estimates_without_graph_are_conditioned_in_closed_form(chain):
    density = KernelScoreDensity(bandwidth=0.3).fit(chain.data)
    given = density.condition({1: 0.4})
    assert given.is_exact
    h = density.bandwidth_
    marginal = stats.norm.pdf(0.4, chain.data[:, 1], h[1]).mean()
    assert given.log_normalizer == pytest.approx(np.log(marginal), abs=1e-8)
    weight = stats.norm.pdf(0.4, chain.data[:, 1], h[1])
    expected = np.average(chain.data, axis=0, weights=weight)
    X = given.sample(4000, random_state=0)
    assert X[:, [0, 2]].mean(0) == pytest.approx(expected[[0, 2]], abs=0.08)


def test_coordinates_are_normal_and_go_back(fitted, chain):
    Z = fitted.to_normal(fitted.sample(2000, random_state=0))
    assert min(stats.kstest(column, "norm").pvalue for column in Z.T) > 1e-3
    assert_normal(Z, np.zeros(3), np.eye(3))
    X = chain.data[:50]
    finer = fitted.from_normal(fitted.to_normal(X))
    np.testing.assert_allclose(finer, X, atol=1e-3)


def test_conditional_distribution_functions_are_those_of_the_density(chain):
    density = KernelScoreDensity(bandwidth=0.3).fit(chain.data[:, [0]])
    x = np.linspace(-2, 2, 9)[:, None]
    kernels = stats.norm.cdf(x, chain.data[:, 0], density.bandwidth_[0])
    expected = kernels.mean(axis=1)
    found = density.conditional_cdf(x)
    np.testing.assert_allclose(found[:, 0], expected, atol=2e-4)
    back = [density.conditional_quantile(x, 0, u)[i] for i, u in enumerate(expected)]
    np.testing.assert_allclose(back, x[:, 0], atol=5e-3)


def test_quantiles_read_the_context(gaussian):
    X = np.array([[0.0, 9.0, 9.0, 9.0], [1.0, 9.0, 9.0, 9.0]])
    found = gaussian.density.conditional_quantile(X, 1, [0.1, 0.9])
    for row, x0 in zip(found, (0.0, 1.0), strict=True):
        mean, covariance = gaussian.given([0], [x0])
        law = stats.norm(mean[0], np.sqrt(covariance[0, 0]))
        np.testing.assert_allclose(row, law.ppf([0.1, 0.9]), atol=1e-5)


def test_names_and_frames(chain):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(chain.data, columns=["a", "b", "c"])
    density = KernelScoreDensity(nx.relabel_nodes(chain.graph, dict(enumerate("abc"))))
    density.fit(frame)
    given = density.condition({"a": 0.5, "c": (0, None)}, random_state=0)
    assert repr(given).startswith("ConditionalDensity(given a, c; effective sample size ")
    drawn = given.sample(4, random_state=0, as_frame=True)
    assert list(drawn.columns) == ["a", "b", "c"]
    assert np.isfinite(given.score_samples(drawn)).all()
    marginal = density.marginal("b", random_state=0)
    assert repr(marginal) == "MarginalDensity(of b)"
    assert marginal.score_samples(frame[:5]).shape == (5,)
    holes = frame[:4].mask(frame[:4] > 1)
    filled = density.impute(holes, random_state=0, as_frame=True)
    assert list(filled.columns) == ["a", "b", "c"]
    assert not filled.isna().any(axis=None)
    assert len(density.impute(holes, n_draws=2, random_state=0, as_frame=True)) == 2
    assert list(marginal.sample(2, as_frame=True).columns) == ["b"]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({7: 1.0}, ValueError, "no column 7; positions are 0 to 3"),
        ({"a": 1.0}, ValueError, "no column is named 'a'"),
        ({0: "high"}, TypeError, "must be a number, a tuple"),
        ({0: np.nan}, ValueError, "must be finite"),
        ({0: (2, 1)}, ValueError, "low < high"),
        ({0: (1, 2, 3)}, TypeError, "two numbers"),
        ({0: (None, None)}, ValueError, "whole line"),
        ({0: [1.0, 2.0], 1: [1.0]}, ValueError, "one value for each row"),
        ({0: True}, TypeError, "must be a number"),
        ({}, TypeError, "must be a dictionary"),
        ([1.0], TypeError, "must be a dictionary"),
        ({0: 0.0, 3: 1000.0}, ValueError, "all but impossible"),
    ],
)
def test_wrong_conditions_are_refused(gaussian, given, error, message):
    with pytest.raises(error, match=message):
        gaussian.density.condition(given, random_state=0)


def test_wrong_interventions_are_refused(gaussian, joint):
    with pytest.raises(ValueError, match="both in given and in do"):
        gaussian.density.sample(2, do={0: 1.0}, given={0: 1.0})
    with pytest.raises(TypeError, match="do.0. must be a number or an array"):
        gaussian.density.sample(2, do={0: (1.0, 2.0)})
    with pytest.raises(ValueError, match="needs the density of a directed graph"):
        joint.sample(2, do={0: 1.0})
    with pytest.raises(ValueError, match="3 conditions, one for each row"):
        gaussian.density.sample(2, given={0: [1.0, 2.0, 3.0]})


def test_one_row_for_each_condition_without_a_number(gaussian):
    assert gaussian.density.sample(given={0: [1.0, 2.0, 3.0]}).shape == (3, 4)
    assert gaussian.density.sample(do={1: [1.0, 2.0]}).shape == (2, 4)
    assert gaussian.density.sample(given={0: 1.0}).shape == (1, 4)


def test_derived_densities_are_judged_like_others(gaussian):
    rows = gaussian.density.sample(20, random_state=0)
    rows[:, 0] = 1.0
    given = gaussian.density.condition({0: 1.0})
    weight = np.arange(20.0)
    expected = np.average(given.score_samples(rows), weights=weight)
    assert given.score(rows, sample_weight=weight) == pytest.approx(expected)
    assert compare([given], rows).entries[0].mean == pytest.approx(given.score(rows))
    marginal = gaussian.density.marginal([0, 2])
    found = compare([marginal], rows[:, [0, 2]]).entries[0].mean
    assert found == pytest.approx(marginal.score(rows[:, [0, 2]]))


def test_rows_that_contradict_a_condition_are_refused(gaussian):
    given = gaussian.density.condition({0: 1.0})
    with pytest.raises(ValueError, match="given as 1, but row 0 of X has 0"):
        given.score_samples(np.zeros((2, 4)))


def test_what_joint_blocks_cannot_answer_is_refused(joint, chain):
    with pytest.raises(ValueError, match="modelled together"):
        joint.conditional_cdf(chain.data[:2])
    with pytest.raises(ValueError, match="modelled together"):
        joint.conditional_quantile(chain.data[:2], 0, 0.5)


def test_labels_that_could_be_positions_are_warned_of():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(standard_normal(40, 2), columns=[1, 0])
    with pytest.warns(UserWarning, match="are labelled .1, 0., not by strings"):
        KernelScoreDensity(bandwidth=0.5).fit(frame)


def test_missing_values_in_fit_point_onward():
    X = standard_normal(20, 2)
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"NaN in 1 of 20 rows .columns \[1\]"):
        FactorizedDiffusionDensity().fit(X)


def test_unusual_rows_are_named_when_imputed(gaussian):
    X = np.array([[np.nan, 20.0, 2.0, 50.0]])
    with pytest.warns(UserWarning, match="rest on fewer than 10 effective particles"):
        gaussian.density.impute(X, random_state=0)

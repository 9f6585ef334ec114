import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import trapezoid
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.feature_selection import SelectKBest
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skdiffusion import FactorizedDiffusionDensity, KernelScoreDensity
from skdiffusion.pipeline import DensityPipeline, make_density_pipeline
from skdiffusion.pipeline._jacobians import acting_steps, pull_back
from skdiffusion.transformers import LogitTransformer, LogTransformer, MonotoneTransformer


def log_slope_of_arcsinh(x):
    return -np.log(np.hypot(x, 1.0))


class Doubling(BaseEstimator):
    """A transformer of a user: stateless, and no class of the library."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return 2 * np.asarray(X)

    def inverse_transform(self, Z):
        return Z / 2

    def log_abs_det_jacobian(self, X):
        return np.full(len(X), np.shape(X)[1] * np.log(2.0))

    def __sklearn_is_fitted__(self):
        return True


class Shouting(StandardScaler):
    """Behaves differently from its parent, which the library cannot know."""

    def transform(self, X):
        return 2 * super().transform(X)


BEND = MonotoneTransformer(np.arcsinh, np.sinh, log_slope_of_arcsinh)
TRANSFORMERS = {
    "passthrough": "passthrough",
    "none": None,
    "standard": StandardScaler(),
    "standard, no std": StandardScaler(with_std=False),
    "min-max": MinMaxScaler((-1, 2)),
    "max-abs": MaxAbsScaler(),
    "robust": RobustScaler(),
    "robust, no scale": RobustScaler(with_scaling=False),
    "power": PowerTransformer(),
    "power, not standardized": PowerTransformer(standardize=False),
    "power, box-cox": PowerTransformer("box-cox"),
    "quantile": QuantileTransformer(output_distribution="normal", n_quantiles=50),
    "pca": PCA(),
    "pca, whitened": PCA(whiten=True),
    "function": FunctionTransformer(),
    "log": LogTransformer(),
    "logit": LogitTransformer(-1, 20),
    "monotone": BEND,
    "own": Doubling(),
    "nested": make_pipeline(LogTransformer(), None, StandardScaler()),
    "log of one column": LogTransformer(columns=0),
    "columns": ColumnTransformer(
        [
            ("last", make_pipeline(LogitTransformer(0, 20), StandardScaler()), [-1]),
            ("scale", StandardScaler(), []),
        ],
        remainder="passthrough",
    ),
}
every = pytest.mark.parametrize("name", TRANSFORMERS)


def skewed(n, d, name=None, seed=0):
    """Correlated columns that a transformer accepts: positive but for Yeo-Johnson."""
    Z = np.random.RandomState(seed).standard_normal((n, d)) @ (np.eye(d) + 0.4)
    Z = stats.norm.ppf((stats.rankdata(Z, axis=0) - 0.5) / n)
    if name == "power, box-cox":
        return np.exp(0.4 * Z + 1)
    shift = 2.0 if str(name).startswith("power") else 0.0
    return np.log1p(np.exp(1.5 * Z + 2.0)) - shift


def transformer(name):
    step = TRANSFORMERS[name]
    return step if isinstance(step, str | None) else clone(step)


def pipeline_of(name, X, final=None):
    final = GaussianMixture(random_state=0) if final is None else final
    return DensityPipeline([("map", transformer(name)), ("density", final)]).fit(X)


def numerical_log_det(transform, x, step=1e-5):
    """Of one row, by central differences."""
    shifts = step * np.eye(len(x))
    jacobian = (transform(x + shifts) - transform(x - shifts)) / (2 * step)
    return np.linalg.slogdet(jacobian)[1]


@every
def test_log_density_is_that_of_the_image_plus_the_numerical_log_determinant(name):
    """Catches a wrong sign, factor or missing scale of any log-derivative."""
    X = skewed(400, 3, name)
    pipeline = pipeline_of(name, X)
    rows = X[:400:40] + 1e-3
    transform = pipeline[:-1].transform
    numerical = [numerical_log_det(transform, row) for row in rows]
    image = pipeline[-1].score_samples(transform(rows))
    np.testing.assert_allclose(pipeline.score_samples(rows) - image, numerical, atol=1e-5)


def nodes(pipeline, X, n_nodes):
    """Places in each column at which to integrate, dense where the rows are."""
    if isinstance(pipeline.steps[0][1], PCA):
        return np.linspace(X.min(axis=0) - 5, X.max(axis=0) + 5, n_nodes)
    Z = np.asarray(pipeline[:-1].transform(X))
    margin = 5 * Z.std(axis=0)
    grid = np.linspace(Z.min(axis=0) - margin, Z.max(axis=0) + margin, n_nodes)
    x = pull_back([step for _, step in acting_steps(pipeline)[:-1]], grid)
    if not isinstance(pipeline.steps[0][1], QuantileTransformer):
        return x
    # the density jumps at the quantiles
    jumps = pipeline.steps[0][1].quantiles_
    return np.sort(np.concatenate([x, jumps - 1e-9, jumps + 1e-9]), axis=0)


@every
@pytest.mark.parametrize("final", [KernelDensity(bandwidth=0.3), GaussianMixture(2)])
def test_density_of_one_column_integrates_to_one(name, final):
    X = skewed(2000, 1, name)
    pipeline = pipeline_of(name, X, clone(final))
    x = nodes(pipeline, X, 4000)
    total = trapezoid(np.exp(pipeline.score_samples(x)), x[:, 0])
    assert total == pytest.approx(1, abs=1e-3)


def on_grid(pipeline, X, n_nodes=500):
    """Places in two columns, and the density at all pairs of them."""
    x, y = nodes(pipeline, X, n_nodes).T
    rows = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
    density = np.exp(pipeline.score_samples(rows.reshape(-1, 2)))
    return x, y, density.reshape(rows.shape[:2])


@every
def test_density_of_two_columns_integrates_to_one_and_says_where_samples_fall(name):
    """Catches a Jacobian of one column counted for another, and swapped columns."""
    X = skewed(2000, 2, name) * [1.0, 0.7]
    pipeline = pipeline_of(name, X)
    x, y, density = on_grid(pipeline, X)
    assert trapezoid(trapezoid(density, y), x) == pytest.approx(1, abs=1e-3)
    drawn = pipeline.sample(4000, random_state=0)
    a, b = np.quantile(X, 0.4, axis=0)
    corner = trapezoid(trapezoid(density[x < a][:, y < b], y[y < b]), x[x < a])
    share = ((drawn[:, 0] < a) & (drawn[:, 1] < b)).mean()
    assert share == pytest.approx(corner, abs=4 * np.sqrt(0.25 / 4000))


@every
def test_samples_follow_the_density(name):
    """Kolmogorov-Smirnov test against the integral of the density."""
    X = skewed(1000, 1, name)
    pipeline = pipeline_of(name, X, KernelDensity(bandwidth=0.3))
    x = nodes(pipeline, X, 4000)
    mass = np.exp(pipeline.score_samples(x))
    cumulative = np.r_[0, np.cumsum((mass[1:] + mass[:-1]) / 2 * np.diff(x[:, 0]))]
    drawn = pipeline.sample(2000, random_state=1)[:, 0]
    found = stats.kstest(drawn, lambda v: np.interp(v, x[:, 0], cumulative))
    assert found.pvalue > 0.01


@every
def test_samples_come_back_in_the_order_of_the_columns(name):
    """Mean and covariance of samples are those of the rows; catches swapped columns."""
    X = skewed(2000, 3, name) * [1.0, 2.0, 0.5]
    drawn = pipeline_of(name, X, KernelDensity(bandwidth=0.05)).sample(5000, 0)
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), rtol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(X.T), rtol=0.2)


def test_normal_logarithms_are_log_normal():
    X = np.random.RandomState(0).lognormal(3, 0.5, size=(500, 1))
    pipeline = make_density_pipeline(LogTransformer(low=1.0), GaussianMixture()).fit(X)
    logs = np.log(X - 1.0)
    exact = stats.lognorm(np.sqrt(logs.var() + 1e-6), loc=1.0, scale=np.exp(logs.mean()))
    np.testing.assert_allclose(
        pipeline.score_samples(X), exact.logpdf(X[:, 0]), atol=1e-9
    )


def test_normal_logits_are_logit_normal():
    Z = np.random.RandomState(0).normal(0.3, 1.2, size=(500, 1))
    X = 10 + 5 / (1 + np.exp(-Z))
    pipeline = make_density_pipeline(LogitTransformer(10, 15), GaussianMixture()).fit(X)
    p = (X[:, 0] - 10) / 5
    image = stats.norm(Z.mean(), np.sqrt(Z.var() + 1e-6)).logpdf(Z[:, 0])
    exact = image - np.log(p * (1 - p)) - np.log(5)
    np.testing.assert_allclose(pipeline.score_samples(X), exact, atol=1e-9)


def test_a_scaler_does_not_change_the_density_of_a_normal_distribution():
    X = skewed(300, 3) * [1.0, 100.0, 1e-3]
    plain = GaussianMixture(reg_covar=0).fit(X).score_samples(X)
    for scaler in (StandardScaler(), PCA(whiten=True), MinMaxScaler()):
        pipeline = make_density_pipeline(scaler, GaussianMixture(reg_covar=0)).fit(X)
        np.testing.assert_allclose(pipeline.score_samples(X), plain, atol=1e-8)


def test_rows_outside_the_support_have_density_zero_without_a_warning():
    X = skewed(100, 2)
    steps = [LogTransformer(columns=1), LogitTransformer(-5, 5, columns=0)]
    pipeline = make_density_pipeline(*steps, KernelDensity())
    pipeline.fit(np.clip(X, 0.1, 4.9))
    rows = np.array([[1.0, 1.0], [1.0, -1.0], [6.0, 1.0], [1.0, 0.0], [5.0, -2.0]])
    found = pipeline.score_samples(rows)
    assert np.isfinite(found[0])
    assert (found[1:] == -np.inf).all()
    assert (pipeline.score_samples(rows[1:]) == -np.inf).all()
    assert found[0] == pipeline.score_samples(rows[:1])[0]
    assert pipeline.score(rows) == -np.inf


def test_rows_that_box_cox_cannot_take_have_density_zero():
    X = skewed(200, 2, "power, box-cox")
    pipeline = pipeline_of("power, box-cox", X)
    found = pipeline.score_samples([[1.0, -1.0], [0.0, 1.0], [1.0, 1.0]])
    np.testing.assert_array_equal(np.isfinite(found), [False, False, True])


def test_rows_may_leave_the_support_at_a_later_step():
    X = skewed(100, 1)
    low = -X.std()
    steps = [StandardScaler(with_mean=False), LogTransformer(low=-1.0), KernelDensity()]
    pipeline = make_density_pipeline(*steps).fit(X)
    found = pipeline.score_samples([[low - 0.01], [low + 0.01], [1.0]])
    np.testing.assert_array_equal(np.isfinite(found), [False, True, True])


def test_quantiles_have_no_density_outside_the_range_of_training():
    X = skewed(300, 1)
    quantiles = QuantileTransformer(output_distribution="normal", n_quantiles=100)
    pipeline = make_density_pipeline(quantiles, KernelDensity()).fit(X)
    assert np.isfinite(pipeline.score_samples(X)).all()
    beyond = [[X.min() - 1e-6], [X.max() + 1e-6]]
    assert (pipeline.score_samples(beyond) == -np.inf).all()


@pytest.mark.parametrize("method", ["transform", "fit"])
def test_values_outside_the_support_are_refused_by_column(method):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [0.5, -3.0]})
    log = LogTransformer(columns=["a", "b"]).fit(frame.abs())
    with pytest.raises(ValueError, match=r"'b' must be greater than 0, got 1 .* -3"):
        getattr(log, method)(frame)
    steps = [LogitTransformer(0, 2, columns="a"), GaussianMixture()]
    with pytest.raises(ValueError, match=r"'a' must be between 0 and 2, both excluded"):
        make_density_pipeline(*steps).fit(frame)


def test_score_is_a_weighted_mean_even_where_that_of_the_last_step_is_a_total():
    X = skewed(50, 2)
    pipeline = make_density_pipeline(StandardScaler(), KernelDensity()).fit(X)
    weight = np.arange(50.0)
    log_density = pipeline.score_samples(X)
    assert pipeline.score(X) == pytest.approx(log_density.mean())
    expected = np.average(log_density, weights=weight)
    assert pipeline.score(X, sample_weight=weight) == pytest.approx(expected)


def test_grid_search_maximises_the_held_out_log_density_of_the_rows():
    """Catches scores in the units of the images, which favour shrinking transformers."""
    X = np.random.RandomState(0).lognormal(2, 1.0, size=(300, 2))
    pipeline = DensityPipeline(
        [("map", None), ("scale", StandardScaler()), ("kde", KernelDensity())]
    )
    shrink = MonotoneTransformer(divide, multiply, log_slope_of_divide)
    grid = {"map": [None, LogTransformer(), shrink], "kde__bandwidth": [0.1, 0.3, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=KFold(3)).fit(X)
    assert isinstance(search.best_params_["map"], LogTransformer)
    best = clone(pipeline).set_params(**search.best_params_)
    folds = [
        best.fit(X[train]).score_samples(X[test]).mean()
        for train, test in KFold(3).split(X)
    ]
    assert search.best_score_ == pytest.approx(np.mean(folds))
    assert cross_val_score(best, X, cv=KFold(3)).mean() == pytest.approx(np.mean(folds))


def divide(x):
    return x / 1000


def multiply(z):
    return z * 1000


def log_slope_of_divide(x):
    return np.full(x.shape, -np.log(1000))


@every
def test_clones_and_pickles_are_the_same(name):
    X = skewed(60, 2, name)
    pipeline = pipeline_of(name, X)
    expected = pipeline.score_samples(X)
    loaded = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(loaded.score_samples(X), expected)
    np.testing.assert_array_equal(clone(pipeline).fit(X).score_samples(X), expected)
    np.testing.assert_array_equal(loaded.sample(5, 0), pipeline.sample(5, 0))
    assert pipeline.score_samples(X.tolist()) == pytest.approx(expected)


def test_weights_reach_the_steps_that_are_named():
    X, weight = skewed(60, 2), np.r_[np.ones(30), np.zeros(30)]
    pipeline = make_density_pipeline(StandardScaler(), KernelDensity())
    names = "standardscaler__sample_weight", "kerneldensity__sample_weight"
    pipeline.fit(X, **dict.fromkeys(names, weight + 1e-12))
    half = make_density_pipeline(StandardScaler(), KernelDensity()).fit(X[:30])
    np.testing.assert_allclose(pipeline.score_samples(X), half.score_samples(X), 1e-6)


@pytest.mark.parametrize("final", [KernelDensity(), GaussianMixture(2, random_state=0)])
def test_samples_differ_between_calls_and_repeat_with_a_random_state(final):
    """Catches the mixture that draws the same rows in every call."""
    X = skewed(100, 2)
    pipeline = make_density_pipeline(StandardScaler(), clone(final)).fit(X)
    assert (pipeline.sample(5) != pipeline.sample(5)).all()
    assert (pipeline.sample(5, 1) != pipeline.sample(5, 2)).all()
    np.testing.assert_array_equal(pipeline.sample(5, 1), pipeline.sample(5, 1))
    state = np.random.RandomState(0)
    assert (pipeline.sample(5, state) != pipeline.sample(5, state)).all()
    assert pipeline[-1].get_params().get("random_state", 0) == 0


def test_samples_of_a_mixture_are_not_sorted_by_component():
    X = np.r_[np.full((50, 1), -5.0), np.full((50, 1), 5.0)]
    X += np.random.RandomState(0).standard_normal(X.shape)
    drawn = make_density_pipeline(None, GaussianMixture(2)).fit(X).sample(100, 0)
    assert 20 < (np.diff(np.sign(drawn[:, 0])) != 0).sum() < 80


class Uniform(BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def score_samples(self, X):
        return np.zeros(len(X))


def test_an_estimator_that_cannot_sample_makes_a_pipeline_that_cannot():
    pipeline = make_density_pipeline(StandardScaler(), Uniform()).fit(skewed(9, 2))
    assert not hasattr(pipeline, "sample")
    assert not hasattr(pipeline, "log_density_gradient")
    Uniform.sample = lambda self, n_samples: np.zeros((n_samples, 2))
    assert pipeline.sample(3).shape == (3, 2)
    with pytest.raises(ValueError, match="Uniform has no random_state"):
        pipeline.sample(3, random_state=0)
    del Uniform.sample


REFUSED = {
    "select": (SelectKBest(), "SelectKBest.*drops columns"),
    "pca": (PCA(1), r"PCA.*keeps 1 of 3 dimensions"),
    "share": (PCA(0.5), r"PCA.*keeps \d of 3 dimensions"),
    "min-max": (MinMaxScaler(clip=True), "MinMaxScaler.*clip=True"),
    "box-cox": (PowerTransformer("box-cox"), "PowerTransformer.*Only with lambda = 0"),
    "uniform": (QuantileTransformer(), "QuantileTransformer.*images end at 0 and 1"),
    "function": (FunctionTransformer(np.log1p, np.expm1), "MonotoneTransformer"),
    "subclass": (Shouting(), "Shouting.*not known"),
    "mixture": (GaussianMixture(), "implement fit and transform"),
    "nested": (make_pipeline(StandardScaler(), SelectKBest()), "'selectkbest'"),
    "nested pca": (make_pipeline(StandardScaler(), PCA(2)), "'pca'.*keeps 2 of 3"),
    "drop": (ColumnTransformer([("a", "drop", [0])]), r"drops the columns of \['a'\]"),
    "rest": (ColumnTransformer([("a", "passthrough", [0])]), r"positions \[0\]"),
    "twice": (
        ColumnTransformer([("a", "passthrough", [0, 1]), ("b", "passthrough", [1, 2])]),
        "exactly once",
    ),
    "weights": (
        ColumnTransformer(
            [("a", "passthrough", [0, 1, 2])], transformer_weights={"a": 2}
        ),
        "transformer_weights",
    ),
    "part": (ColumnTransformer([("a", SelectKBest(), [0])]), "'a'.*SelectKBest"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_maps_that_lose_mass_or_dimensions_are_refused_before_training(name):
    step, reason = REFUSED[name]
    final = GaussianMixture()
    pipeline = DensityPipeline([("wrong", step), ("density", final)])
    with pytest.raises((ValueError, TypeError), match=reason):
        pipeline.fit(skewed(50, 3), y=np.arange(50))
    assert not hasattr(final, "means_")


def test_lambdas_outside_of_zero_to_two_are_refused_by_column():
    frame = pd.DataFrame(skewed(200, 2), columns=["a", "b"])
    frame["b"] = np.exp(frame["b"] ** 2)
    with pytest.raises(ValueError, match=r"PowerTransformer.*\['b'\].*in \[0, 2\]"):
        make_density_pipeline(PowerTransformer(), GaussianMixture()).fit(frame)


def test_repeated_quantiles_and_narrow_columns_are_refused():
    X = skewed(200, 2)
    quantiles = QuantileTransformer(output_distribution="normal", n_quantiles=100)
    pipeline = make_density_pipeline(quantiles, GaussianMixture())
    with pytest.raises(ValueError, match=r"\[1\] have quantiles that repeat"):
        pipeline.fit(np.c_[X[:, 0], X[:, 1].round()])
    with pytest.raises(ValueError, match=r"\[0\] are so narrow.*StandardScaler"):
        pipeline.fit(X * [1e-6, 1])


def test_whitening_needs_full_rank_and_rotation_does_not():
    X = skewed(50, 2)
    X = np.c_[X, X.sum(axis=1)]
    with pytest.raises(ValueError, match="smallest variance is zero"):
        make_density_pipeline(PCA(whiten=True), KernelDensity()).fit(X)
    rotated = make_density_pipeline(PCA(), KernelDensity()).fit(X).score_samples(X)
    np.testing.assert_allclose(rotated, KernelDensity().fit(X).score_samples(X))


def test_constant_columns_are_not_scaled():
    X = np.c_[skewed(50, 1), np.full(50, 3.0)]
    for scaler in (StandardScaler(), MinMaxScaler(), RobustScaler()):
        pipeline = make_density_pipeline(clone(scaler), KernelDensity()).fit(X)
        alone = make_density_pipeline(clone(scaler), KernelDensity()).fit(X[:, :1])
        constant = stats.norm.logpdf(0)
        expected = alone.score_samples(X[:, :1]) + constant
        np.testing.assert_allclose(pipeline.score_samples(X), expected)


def test_last_step_must_be_a_density():
    for final in (IsolationForest(), StandardScaler(), None, "passthrough"):
        with pytest.raises(TypeError, match="'final'.*score_samples"):
            DensityPipeline([("s", None), ("final", final)]).fit(skewed(20, 2))


def test_clipping_that_is_switched_on_after_fit_is_refused():
    X = skewed(20, 2)
    pipeline = make_density_pipeline(MinMaxScaler(), KernelDensity()).fit(X)
    with pytest.raises(ValueError, match="clip=True"):
        pipeline.set_params(minmaxscaler__clip=True).score_samples(X)


def test_transformers_that_give_no_numbers_are_refused():
    class Broken(Doubling):
        def log_abs_det_jacobian(self, X):
            return np.full(len(X), np.nan)

    class Elementwise(Doubling):
        def log_abs_det_jacobian(self, X):
            return np.zeros(X.shape)

    X = skewed(20, 2)
    for step, reason in ((Broken(), "NaN"), (Elementwise(), "one number for each")):
        with pytest.raises(ValueError, match=reason):
            make_density_pipeline(step, KernelDensity()).fit(X).score_samples(X)


@every
def test_frames_go_in_and_out_with_their_names(name):
    frame = pd.DataFrame(skewed(100, 2, name), columns=["a", "b"])
    plain = pipeline_of(name, frame.to_numpy())
    for output in ("default", "pandas"):
        pipeline = DensityPipeline(
            [("map", transformer(name)), ("density", GaussianMixture(random_state=0))]
        )
        if name != "own":
            pipeline.set_output(transform=output)
        pipeline.fit(frame)
        found = pipeline.score_samples(frame)
        np.testing.assert_allclose(found, plain.score_samples(frame.to_numpy()))
        drawn = pipeline.sample(4, random_state=0, as_frame=True)
        assert list(drawn) == ["a", "b"]
        np.testing.assert_allclose(drawn, plain.sample(4, random_state=0))
    assert list(plain.sample(2, as_frame=True)) == ["x0", "x1"]
    if name != "own":
        with pytest.raises(ValueError, match="feature names"):
            pipeline.score_samples(frame[["b", "a"]])


def test_own_estimators_keep_their_random_state_and_names():
    frame = pd.DataFrame(skewed(60, 2), columns=["a", "b"])
    final = FactorizedDiffusionDensity(max_iter=20, hidden_size=8, random_state=0)
    pipeline = make_density_pipeline(LogTransformer(columns="a"), final).fit(frame)
    image = frame.assign(a=np.log(frame["a"]))
    expected = final.score_samples(image.to_numpy()) - image["a"]
    np.testing.assert_allclose(pipeline.score_samples(frame), expected)
    drawn = pipeline.sample(3, random_state=0)
    np.testing.assert_allclose(np.log(drawn[:, 0]), final.sample(3, 0)[:, 0])


def test_transformers_can_be_cached(tmp_path):
    X = skewed(50, 2)
    steps = LogTransformer(), KernelDensity()
    cached = make_density_pipeline(*steps, memory=str(tmp_path)).fit(X)
    plain = make_density_pipeline(*map(clone, steps)).fit(X)
    np.testing.assert_array_equal(cached.score_samples(X), plain.score_samples(X))
    assert not hasattr(steps[0], "columns_")


def test_pipelines_nest_as_last_steps():
    X = skewed(100, 2)
    inner = make_density_pipeline(LogTransformer(), KernelDensity())
    outer = make_density_pipeline(FunctionTransformer(), inner).fit(X)
    np.testing.assert_allclose(
        outer.score_samples(X), clone(inner).fit(X).score_samples(X)
    )
    assert isinstance(outer, Pipeline)


def test_coordinates_of_a_pipeline_are_those_of_its_last_step():
    X = skewed(100, 2)
    pipeline = make_density_pipeline(LogTransformer(), KernelScoreDensity()).fit(X)
    expected = pipeline[-1].to_normal(np.log(X))
    np.testing.assert_allclose(pipeline.to_normal(X), expected)
    with pytest.raises(ValueError, match="1 of 2 rows lie outside the support"):
        pipeline.to_normal(np.array([[1.0, 1.0], [-1.0, 1.0]]))
    assert not hasattr(make_density_pipeline(KernelDensity()), "to_normal")

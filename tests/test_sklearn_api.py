import networkx as nx
import numpy as np
import pandas as pd
import pytest
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdiffusion import FactorizedDiffusionDensity, KernelScoreDensity
from skdiffusion.metrics import mean_log_density

QUICK = FactorizedDiffusionDensity(
    max_iter=20, hidden_size=8, n_networks=1, random_state=0
)

JOINT = FactorizedDiffusionDensity(diffusion="joint", max_iter=20, hidden_size=8)
# both stages of training; the contract does not ask for the steps of a real fit
SHORT = FactorizedDiffusionDensity(max_iter=200)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([SHORT, KernelScoreDensity(), JOINT])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([FactorizedDiffusionDensity()])
def test_scikit_learn_contract_of_the_defaults(estimator, check):
    check(estimator)


def test_grid_search_over_graphs_and_parameters(chain):
    grid = {"graph": [None, nx.path_graph(3), nx.DiGraph([(0, 1), (1, 2)])]}
    grid["noise_floor"] = [0.03, 0.1]
    search = GridSearchCV(QUICK, grid, cv=2, n_jobs=2).fit(chain.data)
    assert search.best_estimator_.factorization_.largest_factor in (2, 3)
    assert len(search.cv_results_["params"]) == 6


def test_cross_val_score_is_the_mean_log_density(chain):
    default = cross_val_score(QUICK, chain.data, cv=2)
    scored = cross_val_score(QUICK, chain.data, cv=2, scoring=mean_log_density)
    np.testing.assert_array_equal(default, scored)


def test_score_is_the_weighted_mean_of_score_samples(fitted, chain):
    X, weight = chain.data[:20], np.arange(20.0)
    expected = np.average(fitted.score_samples(X), weights=weight)
    assert fitted.score(X, sample_weight=weight) == pytest.approx(expected)
    assert fitted.score(X) == pytest.approx(fitted.score_samples(X).mean())


def test_pipeline_scores_and_keeps_names_for_the_graph(chain):
    frame = pd.DataFrame(chain.data, columns=["a", "b", "c"])
    graph = nx.DiGraph([("a", "b"), ("b", "c")])
    density = QUICK.__class__(graph, max_iter=20, random_state=0)
    pipeline = make_pipeline(StandardScaler(), density)
    with pytest.raises(ValueError, match="set_output"):
        pipeline.fit(frame)
    pipeline.set_output(transform="pandas").fit(frame)
    assert np.isfinite(pipeline.score_samples(frame)).all()


def test_one_scorer_treats_all_density_estimators_alike(chain):
    X = chain.data
    kde, mixture = KernelDensity().fit(X), GaussianMixture(random_state=0).fit(X)
    assert mean_log_density(kde, X) == pytest.approx(kde.score(X) / len(X))
    assert mean_log_density(mixture, X) == pytest.approx(mixture.score(X))


def test_wrong_columns_are_refused(fitted, chain):
    with pytest.raises(ValueError, match="2 features"):
        fitted.score_samples(chain.data[:, :2])
    frame = pd.DataFrame(chain.data, columns=["a", "b", "c"])
    named = FactorizedDiffusionDensity(max_iter=2, random_state=0).fit(frame)
    with pytest.raises(ValueError, match="feature names"):
        named.score_samples(frame[["b", "a", "c"]])

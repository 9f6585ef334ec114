import copy
import re
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import torch
from conftest import standard_normal
from sklearn.exceptions import ConvergenceWarning

from skdiffusion import FactorizedDiffusionDensity, best_states, objectives
from skdiffusion.batches import Batches, split
from skdiffusion.best_states import BestStates, clearly_better, row_terms
from skdiffusion.datasets import make_nonlinear_chain
from skdiffusion.flow import Path
from skdiffusion.graphs import factorize
from skdiffusion.members import (
    Member,
    average_of,
    learning_rate_factor,
    steps_between_checks,
)
from skdiffusion.networks import (
    ConditionalNetwork,
    Ensemble,
    JointNetwork,
    initial_networks,
)
from skdiffusion.objectives import (
    ALL_ROWS,
    DENOISING,
    ENOUGH_ROWS,
    LIKELIHOOD,
    SOLVER_STEPS,
    likelihood_loss,
    options_on_all_rows,
    parts_for_all_rows,
    velocity_loss,
)
from skdiffusion.records import Options, Record, Rows, Stage
from skdiffusion.threads import Threads
from skdiffusion.training import Trainer, fit_networks

ALONE = Threads(1, torch.device("cpu"))  # not entered: one by one
OPTIONS = Options(
    learning_rate_init=5e-3,
    weight_decay=0.0,
    dropout=None,
    batch_size=64,
    max_iter=50,
    max_iter_likelihood=0,
    validation_fraction=0.1,
    n_iter_no_change=3,
    tol=1e-4,
    max_components=0,
)


def make_networks(Z, graph=None):
    factorization = factorize(graph, Z.shape[1])
    generator = torch.Generator().manual_seed(0)
    size = {"t_min": 0.03, "hidden_size": 8, "n_layers": 1}
    return initial_networks(factorization, Z, np.ones(len(Z)), generator, **size)


def make_rows(Z):
    z = torch.as_tensor(Z, dtype=torch.float32)
    return Rows(z, torch.ones(len(z)), torch.zeros(len(z)))


def fit_table(Z, options):
    """Networks of the only member, fitted to rows, and what happened."""
    generator = torch.Generator().manual_seed(1)
    given = make_rows(Z), options, generator
    ensemble, record = fit_networks(Ensemble([make_networks(Z)]), *given)
    return ensemble.members, record


@pytest.fixture
def table():
    Z = np.random.RandomState(0).standard_normal((200, 3))
    Z[:, 1:] = 0.2 * Z[:, 1:] + np.sign(Z[:, 1:] + Z[:, :1])
    return Z / Z.std(axis=0)


def test_loss_of_zero_velocity_on_normal_rows_is_one(table, generator):
    """The target has unit variance at every time. Catches a wrong weighting."""
    normal = np.random.RandomState(1).standard_normal((20_000, 1))
    network = make_networks(normal)[0]
    loss = velocity_loss(network, make_rows(normal), generator)
    assert loss.item() == pytest.approx(1, abs=0.03)


def test_rows_without_weight_have_no_influence_on_the_loss(table, generator):
    network = make_networks(table)[0]
    rows = make_rows(table)
    rows.weight[100:] = 0
    spoilt = replace(rows, z=rows.z.clone())
    spoilt.z[100:] = 50
    losses = [
        velocity_loss(network, r, torch.Generator().manual_seed(1))
        for r in (rows, spoilt)
    ]
    assert torch.equal(*losses)


def test_columns_train_without_influencing_each_other(table):
    """Catches a loss or a clipping that couples the columns."""
    changed = table.copy()
    changed[:, 2] = np.tanh(changed[:, 2]) ** 3
    options, results = replace(OPTIONS, max_iter=150), []
    for Z in (table, changed):
        (networks,), _ = fit_table(Z, options)
        results.append(networks[0])
    first, second = (list(network.parameters()) for network in results)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a[:2], b[:2])
    assert not torch.equal(first[0][2], second[0][2])


def test_training_lowers_the_loss_and_raises_the_held_out_score(table):
    options = replace(OPTIONS, max_iter=300, batch_size=512)
    _, record = fit_table(table, options)
    (stage,) = record.stages
    assert np.mean(stage.losses[-50:]) < np.mean(stage.losses[:20]) - 0.02
    assert max(stage.scores) > stage.scores[0] + 0.1


def test_best_state_is_kept_for_each_column_apart(table):
    networks = make_networks(table)
    best = BestStates(networks, make_rows(table), tol=1e-4, grids=(6,))
    better, worse = copy.deepcopy(networks), copy.deepcopy(networks)
    best.scores[0] = best.scores[0].clone()
    best.scores[0][:, 1] -= 1  # column 1 can improve, the others cannot
    with torch.no_grad():
        better[0].b_first += 1
    best.update(better)
    kept, start = best.networks[0].b_first, networks[0].b_first
    assert torch.equal(kept[1], better[0].b_first[1])
    assert torch.equal(kept[[0, 2]], start[[0, 2]])
    assert best.n_checks_since == 0
    with torch.no_grad():
        worse[0].b_out += 3
    best.update(worse)
    assert best.n_checks_since == 1
    assert torch.equal(best.networks[0].b_first[1], better[0].b_first[1])


def test_chance_gain_is_not_an_improvement(generator):
    """A mean gain well within its standard error does not count."""
    rows = make_rows(torch.zeros(100, 1))
    old = torch.zeros(100, 2)
    noise = torch.randn(100, generator=generator)
    noise = noise - noise.mean()
    new = torch.stack([noise + 0.01, 0.01 * noise + 0.01], dim=1)
    assert clearly_better(new, old, rows, 1e-4).tolist() == [False, True]


def test_rows_of_hardly_any_weight_do_not_make_a_gain_uncertain():
    """Catches a standard error of unweighted rows."""
    old, weight = torch.zeros(100, 1), torch.tensor([2.0, 1e-9]).repeat_interleave(50)
    noise = torch.tensor([10.0, -10.0]).repeat(25)
    new = torch.cat([torch.full((50,), 0.01), noise]).unsqueeze(1)
    assert clearly_better(new, old, Rows(old, weight, torch.zeros(100)), 1e-4).all()


def test_training_goes_on_until_all_members_have_stalled(table, monkeypatch):
    asked = []

    def first_has_stalled(member, patience):
        asked.append(member)
        return member is asked[0]

    monkeypatch.setattr(Member, "has_stalled", first_has_stalled)
    ensemble = Ensemble([make_networks(table), make_networks(table)])
    options, generator = replace(OPTIONS, max_iter=60), torch.Generator().manual_seed(0)
    given = make_rows(table), options, generator
    _, record = fit_networks(ensemble, *given)
    assert len(record.stages[0].losses) == 60


def test_a_stage_takes_its_shares_of_the_options():
    shares = {"rate": 0.5, "batch": 0.25, "patience": 0.1, "parameter": "batch_size"}
    options = replace(DENOISING, **shares).options(OPTIONS)
    assert options.learning_rate_init == OPTIONS.learning_rate_init / 2
    assert options.batch_size == options.max_iter / 4 == OPTIONS.batch_size / 4
    assert options.n_iter_no_change == 1


def test_checks_take_at_most_a_quarter_of_the_time(table):
    """48 evaluations for a held-out row, three times one for a row of a batch."""
    given = make_networks(table), 2000, 512, DENOISING
    assert 187.5 / 50 < steps_between_checks(*given) / 50 == 4


def test_without_held_out_rows_every_step_is_taken(table):
    options = replace(OPTIONS, validation_fraction=0)
    _, record = fit_table(table, options)
    assert len(record.stages[0].losses) == 50
    assert record.joined("scores") == []


def test_few_rows_keep_the_linear_gaussian_network(table):
    """Catches training that nothing watches over."""
    (networks,), record = fit_table(table[:49], OPTIONS)
    assert (networks[0].w_out == 0).all()
    assert record.stages == []
    _, record = fit_table(table[:50], OPTIONS)
    assert len(record.stages) == 1


def test_average_follows_the_weights_as_its_decay_says(table):
    """Catches a swapped decay: after two updates 9/11 of the second weights count."""
    networks = make_networks(table)
    average = average_of(networks)
    bias = networks[0].b_out
    for value in (1.0, 2.0):
        bias.data.fill_(value)
        average.update_parameters(torch.nn.ModuleList(networks))
    expected = 1 + (1 - 2 / 11)
    assert average.module[0].b_out[0].item() == pytest.approx(expected)


def test_average_in_the_long_run_has_a_memory_of_two_hundred_steps(table):
    networks = make_networks(table)
    average = average_of(networks)
    for step in range(5000):
        networks[0].b_out.data.fill_(float(step))
        average.update_parameters(torch.nn.ModuleList(networks))
    lag = 4999 - average.module[0].b_out[0].item()
    assert lag == pytest.approx(0.995 / 0.005, rel=0.01)


def test_result_is_the_best_state_not_the_last(table):
    """A learning rate that ruins the weights must not ruin the result."""
    options = replace(OPTIONS, learning_rate_init=10.0, max_iter=60)
    start = make_networks(table)
    ensemble, record = fit_networks(
        Ensemble([copy.deepcopy(start)]),
        make_rows(table),
        options,
        torch.Generator().manual_seed(1),
    )
    (networks,) = ensemble.members
    assert record.stages[0].scores[-1] < record.stages[0].scores[0] - 1
    for kept, initial in zip(
        networks[0].parameters(), start[0].parameters(), strict=True
    ):
        assert torch.equal(kept, initial)


def test_without_held_out_rows_the_average_is_the_result(table, generator):
    options = replace(OPTIONS, validation_fraction=0)
    member = Member(
        make_networks(table), make_rows(table), None, options, generator, DENOISING
    )
    Trainer([member], options, Record()).run(ALONE)
    (result,) = member.chosen()
    assert torch.equal(result.w_out, member.average.module[0].w_out)
    assert not torch.equal(result.w_out, member.networks[0].w_out)


def test_gain_must_exceed_tol():
    old = torch.zeros(50, 1)
    rows = make_rows(old)
    assert not clearly_better(old + 0.005, old, rows, 0.01).any()
    assert clearly_better(old + 0.02, old, rows, 0.01).all()


def test_gain_is_weighted():
    """One heavy row that gains outweighs many light rows that lose."""
    new, old = torch.full((40, 1), -0.1), torch.zeros(40, 1)
    new[0] = 1.0
    weight = torch.full((40,), 0.01)
    weight[0] = 40 - 0.39
    rows = make_rows(old)
    assert clearly_better(new, old, replace(rows, weight=weight), 1e-4).all()
    assert not clearly_better(new, old, rows, 1e-4).any()


def test_held_out_score_is_the_weighted_mean_in_data_units(table):
    networks, rows = make_networks(table), make_rows(table)
    rows.weight[:100] = 0
    rows.weight[100:] = 2
    rows.log_derivative[:] = 5
    best = BestStates(networks, rows, tol=0, grids=(6,))
    half = BestStates(networks, make_rows(table[100:]), tol=0, grids=(6,))
    expected = half.mean_log_density() + 5
    assert best.mean_log_density() == pytest.approx(expected, rel=1e-5)


def test_times_of_the_loss_start_at_t_min(table, generator, monkeypatch):
    network = make_networks(table)[0]
    times = []
    velocity = network.velocity
    monkeypatch.setattr(
        network, "velocity", lambda r, t, code: times.append(t) or velocity(r, t, code)
    )
    velocity_loss(network, make_rows(table), generator)
    assert 0.03 <= times[0].min() < 0.032


def test_taken_rows_have_weights_that_average_to_one(table):
    rows = make_rows(table)
    rows.weight[:50] = 3
    assert rows.take(torch.arange(60)).weight.mean().item() == pytest.approx(1)


@pytest.mark.parametrize(("n", "expected"), [(100, 25), (200, 50), (400, 80)])
def test_few_rows_hold_out_enough_to_judge_by(n, expected, generator):
    rows = Rows(torch.zeros(n, 1), torch.ones(n), torch.zeros(n))
    ((_, held_out),) = split(rows, 0.2, generator)
    assert len(held_out) == expected


def test_split_is_disjoint_and_complete(generator):
    z = torch.arange(200.0).unsqueeze(1)
    rows = Rows(z, torch.ones(200), z[:, 0])
    ((kept, held_out),) = split(rows, 0.3, generator)
    assert (len(kept), len(held_out)) == (140, 60)
    assert torch.equal(torch.cat([kept.z, held_out.z]).sort(0).values, z)
    assert torch.equal(kept.log_derivative, kept.z[:, 0])


def test_rows_enough_for_a_mixture_are_left_to_train_on(generator):
    ((kept, held_out),) = split(make_rows(standard_normal(60, 1)), 0.999, generator)
    assert (len(kept), len(held_out)) == (2, 58)


@pytest.mark.parametrize(("n_parts", "expected"), [(2, 120), (3, 180), (5, 200)])
def test_rows_are_held_out_in_turn(n_parts, expected, generator):
    """No row twice before all were once; many members do not judge by fewer rows."""
    z = torch.arange(200.0).unsqueeze(1)
    rows = Rows(z, torch.ones(200), z[:, 0])
    parts = split(rows, 0.3, generator, n_parts)
    held_out = torch.cat([part.z for _, part in parts]).flatten()
    assert len(held_out.unique()) == expected
    for kept, part in parts:
        assert len(part.z) == 60
        assert torch.equal(torch.cat([kept.z, part.z]).sort(0).values, z)


def test_members_train_without_influencing_each_other(table):
    """Catches members that share rows, weights or best states."""
    rows, results = make_rows(table), []
    options = replace(OPTIONS, max_iter=300)
    for rate in (1.0, 100.0):
        members = [
            Member(make_networks(table), part, part, options, own, DENOISING)
            for part, own in (
                (rows.take(torch.arange(150)), torch.Generator()),
                (rows.take(torch.arange(50, 200)), torch.Generator()),
            )
        ]
        members[1].networks[0].w_out.data.mul_(0).add_(rate)
        Trainer(members, options, Record()).run(ALONE)
        (first,) = members[0].chosen()
        results.append(first)
    assert results[0].w_out.any()
    assert torch.equal(results[0].w_out, results[1].w_out)


@pytest.mark.parametrize("n", [200, 3200])
def test_regularisation_falls_with_the_rows(n, table, generator):
    """Catches a dropout that is not set, and a warm start that keeps an old one."""
    rows = make_rows(np.tile(table, (n // 200, 1)))
    for given in (0.4, None):
        options = replace(OPTIONS, dropout=given, weight_decay=given)
        member = Member(make_networks(table), rows, None, options, generator, DENOISING)
        dropout = {200: 0.2, 3200: 0.05}[n] if given is None else given
        decay = {200: 0.1, 3200: 0.05}[n] if given is None else given
        assert member.networks[0].dropout == dropout
        assert member.optimizer.param_groups[0]["weight_decay"] == decay


@pytest.mark.parametrize(
    ("kept", "last", "max_iter", "message"),
    [
        ([-9, -9, -8, -7, -6.5], -6.5, 4, "rising.*0.5 nats.*max_iter=4.*Raise max_iter"),
        ([-9, -9, -8, -7, -6.5], -6.5, 9, None),
        ([-9, -9, -6.51, -6.51, -6.5], -6.5, 4, None),
        (
            [-9, -9, -6.5, -6.5, -6.5],
            -8.5,
            4,
            "fallen by 2 nats.*dropout or weight_decay",
        ),
        ([-9, -9, -6.5, -6.5, -6.5], -6.6, 4, None),
        ([], None, 4, None),
    ],
)
def test_too_short_and_too_long_training_is_named(kept, last, max_iter, message):
    stage = Stage("step", "max_iter", max_iter, [0.5] * 4, [], [last], kept)
    complaints = Record([stage]).complaints(n_columns=2)
    assert len(complaints) == int(message is not None)
    assert all(re.search(message, complaint) for complaint in complaints)


def test_thresholds_of_complaints_are_per_column():
    def complaints(planned, kept, last, n_columns):
        stage = Stage("step", "max_iter", planned, [0.5] * 8, [], [last], kept)
        return Record([stage]).complaints(n_columns)

    rising = [-9.0] * 6 + [-6.53, -6.5]
    assert "rising" in complaints(8, rising, -6.5, 2)[0]
    assert not complaints(8, rising, -6.5, 4)
    assert "fallen" in complaints(9, rising, -6.8, 2)[0]
    assert not complaints(9, rising, -6.8, 4)


def test_a_table_too_small_to_train_on_says_so():
    X = np.random.RandomState(0).standard_normal((40, 2))
    with pytest.warns(ConvergenceWarning, match="nothing was trained: of 40 rows"):
        assert FactorizedDiffusionDensity().fit(X).n_iter_ == 0


def test_too_short_training_warns_where_fit_is_called(table):
    estimator = FactorizedDiffusionDensity(max_iter=250, random_state=0)
    with pytest.warns(ConvergenceWarning, match="Raise max_iter") as caught:
        estimator.fit(table)
    assert caught[0].filename == __file__


def test_rows_come_equally_often(generator):
    """Catches batches drawn with replacement, and a last batch that is short."""
    z = torch.arange(10.0).unsqueeze(1)
    batches = Batches(Rows(z, torch.ones(10), z[:, 0]), 4)
    drawn = torch.cat([batches.draw(generator).z for _ in range(5)]).flatten()
    assert drawn.shape == (20,)
    assert torch.equal(drawn[:10].sort().values, torch.arange(10.0))
    assert torch.equal(drawn[10:].sort().values, torch.arange(10.0))
    assert not torch.equal(drawn[:10], drawn[10:])
    large = Batches(Rows(z, torch.ones(10), z[:, 0]), 25).draw(generator).z.flatten()
    assert sorted(set(large.int().bincount().tolist())) == [2, 3]


def test_learning_rate_rises_stays_and_falls_to_zero():
    factors = [learning_rate_factor(step, 1000) for step in range(1000)]
    assert factors[0] == pytest.approx(1 / 10)
    assert factors[9] == factors[600] == 1
    assert factors[800] == pytest.approx(0.5)
    assert factors[999] < 0.01
    assert [learning_rate_factor(step, 50) for step in (0, 4, 30)] == [0.2, 1, 1]


def test_loss_that_is_not_finite_stops_training(table, generator):
    rows = make_rows(table)
    rows.z[3] = torch.inf
    member = Member(make_networks(table), rows, None, OPTIONS, generator, DENOISING)
    trainer = Trainer([member], OPTIONS, Record())
    with pytest.raises(FloatingPointError, match=r"step \d+.*learning_rate_init"):
        trainer.run(ALONE)


def test_likelihood_loss_of_normal_rows_is_their_entropy(generator):
    """Untrained networks are standard normal: 0.5 log(2 pi e) nats for each column."""
    Z = np.random.RandomState(1).standard_normal((20_000, 2))
    (network,) = make_networks(Z, nx.empty_graph(2))
    losses = likelihood_loss(network, make_rows(Z), generator)
    expected = 0.5 * np.log(2 * np.pi * np.e)
    np.testing.assert_allclose(losses.detach(), expected, atol=0.02)


def test_likelihood_loss_is_minus_the_weighted_score(table):
    """Catches another path or another derivative than those that users score with."""
    (network,) = make_networks(table)
    network.w_out.data.normal_(0, 0.1, generator=torch.Generator().manual_seed(2))
    rows = make_rows(table)
    rows.weight[:] = torch.linspace(0, 2, len(table))
    loss = likelihood_loss(network, rows, None)
    scores = row_terms(network.eval(), rows, Path(0.03, SOLVER_STEPS))
    expected = -(rows.weight.unsqueeze(1) * scores).mean(0)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)


def test_gradient_of_the_likelihood_is_that_of_small_differences(table):
    (network,) = make_networks(table)
    network = network.double()
    network.w_out.data.normal_(0, 0.1, generator=torch.Generator().manual_seed(2))
    rows = make_rows(table[:20])
    rows = replace(rows, z=rows.z.double())

    def loss():
        return likelihood_loss(network, rows, None).sum()

    loss().backward()
    for name, place in (("w_out", (1, 2, 0)), ("w_context", (2, 0, 1))):
        weight, found = getattr(network, name), []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight[place] += step
                found.append(loss().item())
                weight[place] -= step
        expected = (found[0] - found[1]) / 2e-5
        assert weight.grad[place].item() == pytest.approx(expected, rel=1e-4)


def test_training_for_likelihood_raises_the_held_out_score(table):
    options = replace(OPTIONS, max_iter=100, max_iter_likelihood=60, batch_size=200)
    ((network,),), record = fit_table(table, options)
    denoising, likelihood, on_all_rows = record.stages
    # in 48 steps of 50 rows all 200 are seen twelve times, which is the most
    assert [len(stage.losses) for stage in record.stages] == [100, 60, 48]
    assert denoising.steps == [0, 50, 100]
    assert likelihood.steps == [100, 120, 140, 160]
    assert likelihood.kept[-1] > likelihood.kept[0] + 0.02
    assert on_all_rows.kept == []
    assert not network.training


def test_likelihood_goes_on_from_the_best_states_of_denoising(table, generator):
    """Catches a second stage that starts from the average or from the start."""
    rows = make_rows(table)
    member = Member(make_networks(table), rows, rows, OPTIONS, generator, DENOISING)
    Trainer([member], OPTIONS, Record()).run(ALONE)
    member.best.networks[0].b_out.data.add_(0.25)
    further = member.going_on(OPTIONS, LIKELIHOOD)
    torch.testing.assert_close(further.networks[0].b_out, member.best.networks[0].b_out)
    assert further.networks[0].training
    # both finer than that of the training, whose error would look like likelihood
    assert LIKELIHOOD.solver_steps < further.best.grids[0] < further.best.grids[-1]


def test_training_adds_up_the_gradients_of_shared_weights(generator):
    """Two columns share weights, and only the second has anything to learn."""
    Z = standard_normal(200, 2)
    factorization = factorize(nx.empty_graph(2), 2, share_weights=True)
    size = {"t_min": 0.03, "hidden_size": 8, "n_layers": 1}
    networks = initial_networks(factorization, Z, np.ones(200), generator, **size)
    networks[0].active[0] = 0
    member = Member(networks, make_rows(Z), None, OPTIONS, generator, LIKELIHOOD)
    member.step()
    gradient = member.networks[0].w_out.grad
    assert torch.equal(gradient[0], gradient[1])
    assert (gradient != 0).any()


def test_a_fit_needs_no_gradient_mode_of_its_caller(table):
    with torch.no_grad():
        density = FactorizedDiffusionDensity(max_iter=20, random_state=0).fit(table)
    assert len(density.likelihood_curve_) >= 1


def test_only_the_last_stage_was_stopped():
    stages = [Stage("step", "max_iter", 9, [1.0] * 4, [], [], [-1.0]) for _ in range(2)]
    summary = Record(stages, "interrupted").summary()
    assert summary.startswith("stopped at step 4 (no improvement), step 4 (interrupted):")


def test_without_held_out_rows_there_is_no_training_for_likelihood(table):
    density = FactorizedDiffusionDensity(max_iter=20, early_stopping=False)
    assert density.fit(table).likelihood_curve_ == []
    with pytest.raises(ValueError, match="max_iter_likelihood=5 with early_stopping=F"):
        density.set_params(max_iter_likelihood=5).fit(table)


@pytest.mark.filterwarnings("ignore:the held-out log-likelihood")
def test_a_loss_that_is_not_finite_keeps_what_denoising_found(table, monkeypatch):
    options = replace(OPTIONS, max_iter_likelihood=60)
    step = Member.step

    def spoilt(self):
        return step(self) * (torch.nan if self.objective is LIKELIHOOD else 1)

    monkeypatch.setattr(Member, "step", spoilt)
    with pytest.warns(ConvergenceWarning, match="nan at likelihood step 1.*are kept"):
        (networks,), record = fit_table(table, options)
    assert networks[0].w_out.isfinite().all()
    assert record.best_validation_score == record.stages[1].kept[0]


def test_an_interruption_between_stages_keeps_what_denoising_found(table, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Member, "going_on", interrupted)
    options = replace(OPTIONS, max_iter=150, max_iter_likelihood=60)
    with pytest.warns(UserWarning, match="interrupted at step 150"):
        (networks,), record = fit_table(table, options)
    assert (networks[0].w_out != 0).any()
    assert len(record.stages) == 1


def test_each_stage_that_was_too_short_is_named():
    kept = [-9, -9, -8, -7, -6.5]
    stages = [
        Stage("step", name, n, [0.5] * 4, [], [-6.5], kept)
        for name, n in (("max_iter", 4), ("max_iter_likelihood", 4))
    ]
    found = Record(stages).complaints(n_columns=2)
    assert ["max_iter=4" in found[0], "max_iter_likelihood=4" in found[1]] == [True, True]
    stages[1].losses.pop()
    assert len(Record(stages).complaints(n_columns=2)) == 1


def test_members_in_threads_are_those_of_one_thread(table, with_threads):
    """Catches members that share a generator, whose numbers would come in any order."""
    options, found = replace(OPTIONS, max_iter_likelihood=20, max_components=2), []
    for n_threads in (1, 2):
        with with_threads(n_threads):
            ensemble, _ = fit_networks(
                Ensemble([make_networks(table), make_networks(table)]),
                make_rows(table),
                options,
                torch.Generator().manual_seed(1),
            )
            assert torch.get_num_threads() == n_threads
        weights = [n.w_out for networks in ensemble.members for n in networks]
        found.append([*weights, *map(torch.as_tensor, ensemble.shares().values())])
    assert not torch.equal(*found[0][:2])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_all_work_of_a_fit_has_one_thread_of_torch(table, with_threads, monkeypatch):
    """Catches scores before a stage that stall where threads wait for each other."""
    seen, row_terms = [], best_states.row_terms

    def watched(*args):
        seen.append(torch.get_num_threads())
        return row_terms(*args)

    monkeypatch.setattr(best_states, "row_terms", watched)
    with with_threads(2):
        FactorizedDiffusionDensity(max_iter=20, random_state=0).fit(table)
    assert set(seen) == {1}


def given_scores(monkeypatch, scores):
    def row_terms(network, rows, path):
        return torch.tensor(scores[path.n_steps])

    monkeypatch.setattr(best_states, "row_terms", row_terms)


def test_parts_whose_scores_differ_between_grids_are_not_resolved(table, monkeypatch):
    """Catches an error of the solver that counts as a gain, and errors of single rows."""
    last = [[1.0005, 4.0, 1.005], [2.0, 1.0, 1.005]]
    given_scores(monkeypatch, {12: [[1.0, 5.0, 1.0], [2.0, 0.0, 1.0]], 16: last})
    networks, rows = make_networks(table), make_rows(table[:2])
    ((score, resolved),) = best_states.judge(networks, rows, (12, 16))
    assert torch.equal(score, torch.tensor(last))
    assert resolved.tolist() == [True, True, False]
    rows.weight[:] = torch.tensor([1.5, 0.5])
    ((_, resolved),) = best_states.judge(networks, rows, (12, 16))
    assert resolved.tolist() == [True, False, False]


def test_parts_of_more_columns_may_differ_more(monkeypatch):
    """One network of a single column and one that three columns share."""
    Z = standard_normal(100, 4)
    graph = nx.DiGraph([(0, 1), (1, 2), (2, 3)])
    factorization = factorize(graph, 4, share_weights=True)
    generator = torch.Generator().manual_seed(0)
    size = {"t_min": 0.03, "hidden_size": 8, "n_layers": 1}
    networks = initial_networks(factorization, Z, np.ones(100), generator, **size)
    given_scores(monkeypatch, {12: [[0.0] * 4], 16: [[0.002] + [0.0009] * 3]})
    ((_, resolved),) = best_states.judge(networks, make_rows(Z[:1]), (12, 16))
    assert sorted(resolved.tolist()) == [False, True]


def test_weights_that_the_solver_does_not_resolve_are_not_kept(table, monkeypatch):
    networks, resolved = make_networks(table), torch.tensor([True, False, True])
    best = BestStates(networks, make_rows(table), tol=1e-4, grids=(12, 16))
    gain = best.scores[0] + 1
    monkeypatch.setattr(best_states, "judge", lambda *_: [(gain, resolved)])
    better = copy.deepcopy(networks)
    better[0].b_out.data += 1
    best.update(better)
    changed = (best.networks[0].b_out != networks[0].b_out).flatten()
    assert torch.equal(changed, resolved)


QUICK = {
    "hidden_size": 16,
    "n_networks": 1,
    "normal_scores": False,
    "max_iter": 400,
    "max_components": 0,
    "random_state": 0,
}


def planned(n_rows, n_held_out, steps=200, batch_size=512):
    options = replace(OPTIONS, max_iter_likelihood=steps, batch_size=batch_size)
    return options_on_all_rows(options, n_rows, n_held_out).max_iter


def test_how_many_steps_are_planned():
    """As many as for likelihood, less for a small held-out part or few rows."""
    assert planned(4000, 800) == 200
    assert planned(4000, 1200) == 200
    assert planned(20_000, 1000, steps=400, batch_size=1024) == 100
    # 12 passes over 120 rows in batches of 128
    assert planned(120, 50) == 11
    assert planned(2000, 400, steps=0) == 0


@pytest.mark.parametrize(
    ("n_rows", "scores", "expected"),
    [
        (2, [-1.0, -0.8, -1.0], [[True, True], [True]]),
        (2 * ENOUGH_ROWS, [-1.0, -0.8, -1.1], [[True, False], [True]]),
        (2 * ENOUGH_ROWS, [np.nan, np.nan, np.nan], [[True, False], [True]]),
        (2 * ENOUGH_ROWS - 1, [-1.0, -0.8, -1.1], [[False, False], [False]]),
    ],
)
def test_columns_that_read_many_others_need_many_rows(n_rows, scores, expected):
    """Unless held-out rows say that training was good; none if they are too few."""
    columns, contexts = [3, 4, 5], [(0, 1), (0, 1, 2), (0,)]
    networks = [
        ConditionalNetwork(columns[:2], contexts[:2], t_min=0.03),
        ConditionalNetwork(columns[2:], contexts[2:], t_min=0.03),
    ]
    stage = Stage("", "", 9, scores=scores)
    parts = parts_for_all_rows(networks, n_rows, stage)
    assert [mask.tolist() for mask in parts] == expected


def test_rows_count_for_every_column_that_shares_a_network():
    contexts = [(0, 1, 2), (1, 2), (0,), ()]
    network = ConditionalNetwork([3, 4, 5, 6], contexts, t_min=0.03, kinds=[0, 0, 1, 2])
    assert network.columns_read().tolist() == [1.5, 1.0, 0.0]
    chain = [(0, 1), (1, 2), (2, 3)]
    joint = JointNetwork([0, 1, 2], [3], chain, t_min=0.03, column_kinds=[0, 0, 1, 1])
    assert joint.columns_read().tolist() == [1.5]


@pytest.fixture
def member(generator):
    rows = make_rows(standard_normal(200, 2))
    held_out = make_rows(standard_normal(60, 2))
    return Member(make_networks(rows.z), rows, held_out, OPTIONS, generator, LIKELIHOOD)


def test_an_unjudged_member_goes_on_with_all_rows(member):
    everything = make_rows(standard_normal(260, 2))
    member.best.networks[0].b_out.data.add_(0.25)
    later = member.unjudged(everything, OPTIONS, ALL_ROWS)
    assert later.rows is everything
    assert later.held_out is later.best is None
    torch.testing.assert_close(later.networks[0].b_out, member.best.networks[0].b_out)
    later.step()
    assert (member.best.networks[0].b_out == 0.25).all()


@pytest.mark.parametrize(
    ("gain", "resolved", "given"),
    [
        (0.1, [True, False], [True, True]),
        (torch.tensor([0.0, -1e-3]), [True, True], [True, True]),
        (0.1, [True, True], [True, False]),
    ],
)
def test_only_sound_parts_are_taken_over(member, monkeypatch, gain, resolved, given):
    """Catches weights that earn the error of the solver, or that were spoilt."""
    later = member.unjudged(member.rows, OPTIONS, ALL_ROWS)
    later.average.module[0].b_out.data.add_(1.0)

    before = member.best.scores[0]

    def judge(networks, rows, grids):
        assert rows is member.held_out
        assert grids == LIKELIHOOD.grids
        return [(before + gain, torch.tensor(resolved))]

    monkeypatch.setattr(best_states, "judge", judge)
    member.best.take_over_unjudged(later.chosen(), [torch.tensor(given)])
    assert member.chosen()[0].b_out.flatten().tolist() == [1.0, 0.0]


def test_every_row_counts_in_the_end(monkeypatch):
    """Catches last steps, or partners, of the training rows only."""
    random = np.random.default_rng(0)
    table = random.choice([-2.0, 0.0, 1.0], (400, 1)) + random.normal(0, 0.05, (400, 1))
    known, shown = Member.unjudged, []

    def watched(self, rows: Rows, *given):
        shown.append(len(rows))
        return known(self, rows, *given)

    monkeypatch.setattr(Member, "unjudged", watched)
    options = QUICK | {"max_iter": 20, "max_components": 1}
    density = FactorizedDiffusionDensity(**options).fit(table)
    assert shown == [400]
    (beside,) = density.model_["beside"]
    assert beside[-1]["partner"] == "kernel"
    assert beside[-1]["sizes"]["n_rows"] == 400


def test_held_out_rows_of_a_fit_that_goes_on_stay_unseen():
    table = np.random.default_rng(0).standard_normal((400, 1))
    density = FactorizedDiffusionDensity(warm_start=True, **QUICK | {"max_iter": 20})
    assert len(density.fit(table).likelihood_curve_) == 1


def interrupted(self):
    raise KeyboardInterrupt


def spoilt(self):
    return torch.tensor([torch.nan])


@pytest.mark.filterwarnings("ignore:the held-out log-likelihood")
@pytest.mark.parametrize(
    ("step", "message"),
    [(interrupted, "interrupted at step 70"), (spoilt, "nan at step on all rows 1")],
)
def test_a_last_stage_that_breaks_off_leaves_what_was_chosen(
    table, monkeypatch, step, message
):
    options = replace(OPTIONS, max_iter_likelihood=20)
    monkeypatch.setattr(objectives, "MOST_PASSES", 0)
    ((chosen,),), _ = fit_table(table, options)
    monkeypatch.undo()
    known = Member.step

    def broken(self):
        return step(self) if self.objective is ALL_ROWS else known(self)

    monkeypatch.setattr(Member, "step", broken)
    with pytest.warns(UserWarning, match=message):
        ((network,),), record = fit_table(table, options)
    assert len(record.stages) == 3
    assert record.stopped_by
    assert torch.equal(network.w_out, chosen.w_out)


def test_steps_on_all_rows_bring_the_density_closer_to_the_truth(monkeypatch):
    chain = make_nonlinear_chain(600, n_features=3, random_state=0)
    fresh = make_nonlinear_chain(2000, n_features=3, random_state=1).data
    after = FactorizedDiffusionDensity(chain.graph, **QUICK).fit(chain.data)
    monkeypatch.setattr(objectives, "MOST_PASSES", 0)
    before = FactorizedDiffusionDensity(chain.graph, **QUICK).fit(chain.data)
    assert len(after.likelihood_curve_) == len(before.likelihood_curve_) + 20
    # what the judged stages said remains what it was
    assert after.validation_scores_ == before.validation_scores_
    assert after.best_validation_score_ == before.best_validation_score_
    gain = after.score_samples(fresh) - before.score_samples(fresh)
    assert gain.mean() > 2 * gain.std() / len(gain) ** 0.5

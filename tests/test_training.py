import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from skdiffusion.graphs import factorize
from skdiffusion.networks import initial_networks
from skdiffusion.training import (
    BestStates,
    Options,
    Rows,
    Trainer,
    clearly_better,
    fit_networks,
    learning_rate_factor,
    split,
    velocity_loss,
)

OPTIONS = Options(
    learning_rate_init=5e-3,
    weight_decay=0.0,
    batch_size=64,
    max_iter=50,
    validation_fraction=0.1,
    n_iter_no_change=3,
    tol=1e-4,
)


def make_networks(Z, graph=None):
    blocks = factorize(graph, Z.shape[1]).blocks
    generator = torch.Generator().manual_seed(0)
    size = {"t_min": 0.03, "hidden_size": 8, "n_layers": 1}
    return initial_networks(blocks, Z, np.ones(len(Z)), generator, **size)


def make_rows(Z):
    z = torch.tensor(Z, dtype=torch.float32)
    return Rows(z, torch.ones(len(z)), torch.zeros(len(z)))


@pytest.fixture
def table():
    Z = np.random.RandomState(0).standard_normal((200, 3))
    Z[:, 1:] = 0.2 * Z[:, 1:] + np.sign(Z[:, 1:] + Z[:, :1])
    return Z / Z.std(axis=0)


def test_loss_of_zero_velocity_on_normal_rows_is_one(table, generator):
    """The target has unit variance at every time. Catches a wrong weighting."""
    normal = np.random.RandomState(1).standard_normal((20_000, 1))
    network = make_networks(normal)[0]
    loss = velocity_loss(network, make_rows(normal), 0.03, generator)
    assert loss.item() == pytest.approx(1, abs=0.03)


def test_rows_without_weight_have_no_influence_on_the_loss(table, generator):
    network = make_networks(table)[0]
    rows = make_rows(table)
    rows.weight[100:] = 0
    spoilt = replace(rows, z=rows.z.clone())
    spoilt.z[100:] = 50
    losses = [
        velocity_loss(network, r, 0.03, torch.Generator().manual_seed(1))
        for r in (rows, spoilt)
    ]
    assert torch.equal(*losses)


def test_columns_train_without_influencing_each_other(table):
    """Catches a loss or a clipping that couples the columns."""
    changed = table.copy()
    changed[:, 2] = np.tanh(changed[:, 2]) ** 3
    results = []
    for Z in (table, changed):
        networks, _ = fit_networks(
            make_networks(Z), make_rows(Z), OPTIONS, torch.Generator().manual_seed(1)
        )
        results.append(networks[0])
    first, second = (list(network.parameters()) for network in results)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a[:2], b[:2])
    assert not torch.equal(first[0][2], second[0][2])


def test_training_lowers_the_loss_and_raises_the_held_out_score(table):
    options = replace(OPTIONS, max_iter=300, batch_size=512)
    _, record = fit_networks(
        make_networks(table),
        make_rows(table),
        options,
        torch.Generator().manual_seed(1),
    )
    assert np.mean(record.loss_curve[-50:]) < np.mean(record.loss_curve[:20]) - 0.02
    assert max(record.validation_scores) > record.validation_scores[0] + 0.1


def test_best_state_is_kept_for_each_column_apart(table):
    networks = make_networks(table)
    best = BestStates(networks, make_rows(table), tol=1e-4)
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
    weight = torch.ones(100)
    old = torch.zeros(100, 2)
    noise = torch.randn(100, generator=generator)
    noise = noise - noise.mean()
    new = torch.stack([noise + 0.01, 0.01 * noise + 0.01], dim=1)
    assert clearly_better(new, old, weight, 1e-4).tolist() == [False, True]


def test_without_held_out_rows_every_step_is_taken(table):
    options = replace(OPTIONS, validation_fraction=0)
    _, record = fit_networks(
        make_networks(table),
        make_rows(table),
        options,
        torch.Generator().manual_seed(1),
    )
    assert len(record.loss_curve) == 50
    assert record.validation_scores == []


def test_few_rows_are_all_trained_on_for_a_few_steps(table):
    few = table[:20]
    _, record = fit_networks(
        make_networks(few), make_rows(few), OPTIONS, torch.Generator().manual_seed(1)
    )
    assert len(record.loss_curve) == 40
    assert record.validation_scores == []


def test_split_is_disjoint_and_complete(generator):
    z = torch.arange(200.0).unsqueeze(1)
    kept, held_out = split(Rows(z, torch.ones(200), z[:, 0]), 0.3, generator)
    assert (len(kept), len(held_out)) == (140, 60)
    assert torch.equal(torch.cat([kept.z, held_out.z]).sort(0).values, z)
    assert torch.equal(kept.log_derivative, kept.z[:, 0])


def test_learning_rate_rises_stays_and_falls_to_zero():
    factors = [learning_rate_factor(step, 1000) for step in range(1000)]
    assert factors[0] == pytest.approx(1 / 50)
    assert factors[49] == factors[600] == 1
    assert factors[800] == pytest.approx(0.5)
    assert factors[999] < 0.01


def test_loss_that_is_not_finite_stops_training(table, generator):
    rows = make_rows(table)
    rows.z[3] = torch.inf
    trainer = Trainer(make_networks(table), rows, None, OPTIONS, generator)
    with pytest.raises(FloatingPointError, match=r"step \d+.*learning_rate_init"):
        trainer.run()

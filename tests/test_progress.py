"""Callbacks, interruptions and printed progress of a fit."""

import numpy as np
import pytest

from skdiffusion import FactorizedDiffusionDensity
from skdiffusion import training as floor

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 and later")


class Recorder:
    """Callback that writes down what it is told, and may ask to stop."""

    def __init__(self, stop_after=None):
        self.stop_after, self.told, self.torn_down = stop_after, [], False

    def setup(self, estimator, context):
        self.max_tasks = context.max_subtasks

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, metadata=None):
        if context.parent is not None:
            self.told.append(metadata)
        return self.stop_after is not None and len(self.told) >= self.stop_after

    def teardown(self, estimator, context):
        self.torn_down = True


def short(**options):
    options = {"max_iter": 200, "max_iter_likelihood": 0, "n_networks": 1, **options}
    options = {"hidden_size": 8, **options}
    return FactorizedDiffusionDensity(random_state=0, **options)


def test_callbacks_hear_of_every_check(chain):
    recorder = Recorder()
    density = short().set_callbacks(recorder).fit(chain.data)
    assert recorder.max_tasks == 4
    assert recorder.torn_down
    assert [told["n_iter"] for told in recorder.told] == [50, 100, 150, 200]
    scores = [told["validation_score"] for told in recorder.told]
    assert scores == density.validation_scores_[1:]
    assert [told["loss"] for told in recorder.told] == density.loss_curve_[49::50]


def test_callbacks_hear_of_all_stages(chain):
    recorder = Recorder()
    density = short(max_iter=50, max_iter_likelihood=30).set_callbacks(recorder)
    density.fit(chain.data)
    assert recorder.max_tasks == 5
    # the last 30 steps are those on all rows, which nothing judges
    assert [told["n_iter"] for told in recorder.told] == [50, 70, 80, 100, 110]
    losses = [density.likelihood_curve_[i] for i in (19, 29, 49, 59)]
    assert [t["loss"] for t in recorder.told] == density.loss_curve_[49:] + losses
    assert recorder.told[-1]["validation_score"] is None
    assert density.validation_steps_ == [0, 50, 50, 70, 80]


def test_a_callback_that_stops_denoising_stops_the_fit(chain):
    density = short(max_iter_likelihood=30).set_callbacks(Recorder(stop_after=2))
    density.fit(chain.data)
    assert (density.n_iter_, density.likelihood_curve_) == (100, [])


def test_callbacks_stop_a_fit(chain):
    density = short().set_callbacks(Recorder(stop_after=2)).fit(chain.data)
    assert density.n_iter_ == 100
    assert np.isfinite(density.score(chain.data))


def test_callbacks_change_nothing(chain):
    plain, heard = short().fit(chain.data), short().set_callbacks(Recorder())
    heard.fit(chain.data)
    np.testing.assert_array_equal(
        plain.score_samples(chain.data), heard.score_samples(chain.data)
    )


def test_an_interrupted_fit_keeps_the_best_weights(chain, monkeypatch):
    """A KeyboardInterrupt in step 121 leaves the model of step 100."""
    expected = short(max_components=0, n_steps=16).set_callbacks(Recorder(stop_after=2))
    expected.fit(chain.data)
    step = floor.Trainer._step

    def interrupted(self, i, threads):
        if i == 121:
            raise KeyboardInterrupt
        step(self, i, threads)

    monkeypatch.setattr(floor.Trainer, "_step", interrupted)
    with pytest.warns(UserWarning, match="interrupted at step 120"):
        density = short(n_steps=16).fit(chain.data)
    assert density.n_iter_ == 120
    np.testing.assert_array_equal(
        density.score_samples(chain.data), expected.score_samples(chain.data)
    )


def test_an_interruption_of_averages_keeps_the_networks(chain, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    alone = short(max_components=0, n_steps=16).fit(chain.data)
    monkeypatch.setattr(floor, "with_partners", interrupted)
    with pytest.warns(UserWarning, match="interrupted at step"):
        density = short(n_steps=16).fit(chain.data)
    np.testing.assert_array_equal(
        density.score_samples(chain.data), alone.score_samples(chain.data)
    )


def test_an_interruption_while_graphs_are_judged_ends_the_fit(chain, monkeypatch):
    def interrupted(self, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(floor.Trainer, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        short(graph="auto").fit(chain.data)


def test_a_bar_is_printed(chain, capsys):
    short(verbose=1, max_iter=100).fit(chain.data)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[##########          ] step 50 of 100: loss ")
    assert "held-out" in lines[0]
    assert lines[-1].startswith("stopped at step 100 (max_iter reached): kept")


def test_a_bar_is_printed_for_each_stage(chain, capsys):
    short(verbose=1, max_iter=50, max_iter_likelihood=40).fit(chain.data)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("[##########          ] likelihood step 20 of 40: loss ")
    # 37 batches of 128 are the twelve passes over 400 rows that are allowed
    assert lines[-2].startswith("[####################] step on all rows 37 of 37: loss ")
    assert ", likelihood step 40 (max_iter_likelihood reached), step on all" in lines[-1]

"""Workers: what becomes of each trial, and that a trial goes on where it was left."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import sys

import msgspec
import optuna
import pytest
from optuna.trial import TrialState

from cifar.errors import Diverged, UserError
from cifar.search import worker
from cifar.training import train
from tests.cifar.search.conftest import opened


def of(settings):
    return {
        one.number: (one.state, one.value, one.intermediate_values, one.params)
        for one in opened(settings).all()
    }


def test_every_trial_ends_once(done):
    study = opened(done)
    trials = study.all()
    assert len(trials) == 4
    for one in trials:
        size = one.user_attrs["parameters"]
        if size > 2500:
            assert (one.state, one.intermediate_values) == (TrialState.PRUNED, {})
            assert one.user_attrs["reason"] == f"{size:,} parameters, more than 2,500"
            assert not study.folder(one.number).exists()
        else:
            assert one.state == TrialState.COMPLETE
            assert sorted(one.intermediate_values) == [1, 2]
            assert one.value == one.intermediate_values[2]
            files = {"best.safetensors", "last.safetensors", "metrics.jsonl"}
            found = {file.name for file in study.folder(one.number).iterdir()}
            assert found - {"evaluation-last-test"} == files  # which the winner has
            text = (study.folder(one.number) / "metrics.jsonl").read_text()
            assert "validation_accuracy" in text
            assert "test" not in text
    assert {one.state.name for one in trials} == {"COMPLETE", "PRUNED"}


@pytest.mark.parametrize("drawn", [1, 3, 5])
def test_what_was_left_to_draw_comes_out_the_same(done, asked, monkeypatch, drawn):
    """A worker is lost in the midst of drawing its first trial's settings."""

    class Lost(BaseException):
        pass

    suggest, names = optuna.trial.Trial._suggest, []

    def counted(trial, name, distribution):
        names.append(name)
        if len(names) == drawn + 1:
            raise Lost
        return suggest(trial, name, distribution)

    monkeypatch.setattr(optuna.trial.Trial, "_suggest", counted)
    with pytest.raises(Lost):
        worker.work(asked)
    with opened(asked).take() as one:
        assert len(one.params) == drawn
        study = opened(asked)
        trial = optuna.trial.Trial(study.optuna(one.number), one._trial_id)
        worker._draw_again(trial, one)
        study.plan.space.draw(trial)
    assert trial.params == opened(done).all()[one.number].params


@pytest.mark.parametrize("before", [True, False])
def test_a_trial_goes_on_from_its_last_epoch(done, asked, monkeypatch, before):
    """Its worker is lost before, or just after, an epoch was saved."""
    save, trained = train.save, []

    class Lost(BaseException):
        pass

    def noted(run, metrics):
        trained.append((run.out.name, metrics.epoch))
        if before and len(trained) == 2:
            raise Lost
        save(run, metrics)
        if not before and len(trained) == 1:
            raise Lost

    monkeypatch.setattr(train, "save", noted)
    with pytest.raises(Lost):
        worker.work(asked)
    worker.work(asked)
    assert of(asked) == of(done)
    assert len(trained) - len(set(trained)) == before


def test_more_trials_go_on(done, asked):
    worker.work(dataclasses.replace(asked, trials=2))
    worker.work(asked)
    assert of(asked) == of(done)


def test_a_trial_that_diverges_fails(asked, monkeypatch):
    def fail(run):
        raise Diverged("loss: became nan; the rest")

    monkeypatch.setattr(worker, "fit", fail)
    asked = dataclasses.replace(asked, trials=1)
    worker.work(asked)
    (one,) = opened(asked).all()
    assert (one.state, one.user_attrs["reason"]) == (TrialState.FAIL, "loss: became nan")


def test_a_draw_that_no_recipe_has_fails(asked):
    asked = dataclasses.replace(asked, trials=1, set=("batch_size=0",))
    asked = dataclasses.replace(asked, set=("model_options.pooled=3",))
    worker.work(asked)
    (one,) = opened(asked).all()
    assert one.state == TrialState.FAIL
    assert "multiple of" in one.user_attrs["reason"]


def test_pruning(asked, monkeypatch):
    asked = dataclasses.replace(asked, pruner="median", trials=1)
    monkeypatch.setattr(optuna.trial.Trial, "should_prune", lambda self: True)
    worker.work(asked)
    (one,) = opened(asked).all()
    assert (one.state, len(one.intermediate_values)) == (TrialState.PRUNED, 1)
    assert one.user_attrs["reason"] == "pruned after epoch 1"


def test_a_trial_that_takes_its_workers_with_it_fails(asked, monkeypatch):
    """A first worker, and ``max_retry`` further ones."""

    class Lost(BaseException):
        pass

    def fit(run):
        raise Lost

    monkeypatch.setattr(worker, "fit", fit)
    asked = dataclasses.replace(asked, trials=1, max_retry=2)
    for _ in range(3):
        with pytest.raises(Lost):
            worker.work(asked)
    worker.work(asked)
    (one,) = opened(asked).all()
    assert (one.state, one.user_attrs["reason"]) == (
        TrialState.FAIL, "lost 3 workers in a row within an epoch, more than max_retry",
    )  # fmt: skip


def test_a_signal_leaves_the_trial_to_be_taken_up(done, asked, monkeypatch, capsys):
    fit = worker.fit

    def stopped(run):
        os.kill(os.getpid(), signal.SIGTERM)
        return fit(run)

    monkeypatch.setattr(sys, "stdin", io.StringIO(msgspec.json.encode(asked).decode()))
    with monkeypatch.context() as patch:
        patch.setattr(worker, "fit", stopped)
        assert worker.main() == 130
    assert "stopped at epoch 1, step 1" in capsys.readouterr().err
    assert TrialState.RUNNING in [one.state for one in opened(asked).all()]
    worker.work(dataclasses.replace(asked, max_retry=0))  # a stopped worker is not a lost one
    assert of(asked) == of(done)


def test_a_mistake_is_exit_code_2(asked, monkeypatch, capsys):
    bad = dataclasses.replace(asked, sampler="x")
    monkeypatch.setattr(sys, "stdin", io.StringIO(msgspec.json.encode(bad).decode()))
    assert worker.main() == 2
    assert capsys.readouterr().err.startswith("error: sampler: expected one of")
    with pytest.raises(UserError):
        worker.work(bad)


def test_a_sampler_may_need_a_package(asked, monkeypatch):
    def draws(*_):
        raise ModuleNotFoundError("No module named 'cmaes'")

    monkeypatch.setattr(worker.optuna.trial, "Trial", draws)
    with pytest.raises(UserError, match=r"sampler: random needs a package: No module named 'cm"):
        worker.work(asked)


def test_a_worker_whose_parent_is_gone_takes_no_trial(asked):
    worker.work(asked, parent=-1)
    assert {one.state for one in opened(asked).all()} == {TrialState.WAITING}

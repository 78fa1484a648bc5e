"""The loop: rates, losses that are read later, numbers that are not finite."""

from __future__ import annotations

import dataclasses
import io
import itertools
import os
import signal
import time

import numpy as np
import pytest

import minigrad as mg
from cifar.datasets import whitening
from cifar.errors import UserError
from cifar.results.metrics import EpochMetrics
from cifar.training import loop, train
from cifar.training import step as steps
from cifar.training.run import Settings
from cifar.training.step import StepResults
from tests.cifar import tiny
from tests.cifar.training.common import WAYS, WHOLE, counted, send, spoil
from tests.common import refuses


def test_losses_may_be_read_later(whole, small, tmp_path):
    """Those of many steps at once, as on a GPU; here, but for the first epoch's, only at its end
    and where it is left."""
    patch, read = small(each_batch=send([signal.SIGINT], tiny.STEPS + 2)), []
    take = StepResults.read
    patch.setattr(StepResults, "read", lambda self: read.append(take(self)) or read[-1])
    patch.setitem(loop.READ_EVERY, "cpu", np.inf)
    settings = tiny.settings(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train.run(settings)
    train.run(dataclasses.replace(settings, resume=True))
    assert tiny.results(tmp_path / "run") == tiny.results(whole[0])
    found = [[number for number, *_ in steps] for steps in read if steps]
    assert found == [[1], [2], [3], [4], [5], [1, 2, 3], [4, 5]]


def test_a_loss_that_is_read_later_tells_its_step(small, tmp_path):
    small(each_batch=spoil).setitem(loop.READ_EVERY, "cpu", np.inf)
    with pytest.raises(UserError, match="loss: became nan at epoch 2, step 2;"):
        train.run(tiny.settings(tmp_path / "run"))


def test_subnormal_numbers_are_zero_in_training(small, tmp_path):
    tiny_number, found = np.full(1, 1e-40, np.float32), []

    def is_kept():
        return bool((tiny_number * np.float32(0.5)).view(np.int32)[0])

    def each_batch(number, images):
        found.append(is_kept())
        return images

    if not mg.set_flush_denormal(False):
        pytest.skip("unknown for this processor and system")
    small(each_batch=each_batch)
    train.run(tiny.settings(tmp_path))
    assert set(found) == {False}
    assert is_kept()


def test_progress_bar(small, tmp_path, capsys):
    settings = Settings("tiny", "cpu", out=str(tmp_path / "run"), progress=True)
    train.run(settings)
    captured = capsys.readouterr()
    for part in ("epoch 1/2", "loss=", "acc=", "img/s", f"{tiny.TRAIN}/{tiny.TRAIN}"):
        assert part in captured.err
    assert "epoch 2: train loss" in captured.out


def test_a_schedule_sets_the_rate(small, tmp_path):
    history = train.run(tiny.settings(tmp_path, epochs=3, **WAYS["cosine"]))
    assert [line.lr for line in history] == pytest.approx([1e-2, 7.5e-3, 2.5e-3])


def test_the_rate_of_an_epoch_is_its_last_steps(small, tmp_path):
    options = {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 2}
    changes = {"schedule": "LinearLR", "schedule_options": options, "schedule_every": "step"}
    last = [1e-2 * (1 - (tiny.STEPS * epoch - 1) / (2 * tiny.STEPS)) for epoch in (1, 2)]
    whole = train.run(tiny.settings(tmp_path / "whole", **changes))
    assert [line.lr for line in whole] == pytest.approx(last)
    small(each_batch=send([signal.SIGINT], 2 * tiny.STEPS - 1))  # before the last evaluation
    with pytest.raises(KeyboardInterrupt):
        train.run(tiny.settings(tmp_path / "parts", **changes))
    small()
    parts = train.run(tiny.settings(tmp_path / "parts", resume=True, **changes))
    assert [line.lr for line in parts] == [line.lr for line in whole]


def test_whitening_is_of_the_first_epochs_time(small, tmp_path):
    clock, late = time.perf_counter, []
    patch = small()
    patch.setattr(time, "perf_counter", lambda: clock() + 1000 * len(late))
    patch.setattr(whitening, "whiten", lambda *_: late.append(1))
    history = train.run(tiny.settings(tmp_path, whiten=10))
    assert [line.seconds > 1000 for line in history] == [True, False]
    assert history[0].images_per_second == round(tiny.TRAIN / history[0].seconds, 1)
    times = [round(sum(line.seconds for line in history[:n]), 3) for n in (1, 2)]
    assert [line.training_seconds for line in history] == pytest.approx(times, abs=0.002)


def test_a_plateau_lowers_the_rate(small, tmp_path):
    options = {"patience": 0, "threshold": 0.99, "factor": 0.5}
    changes = {"schedule": "ReduceLROnPlateau", "schedule_options": options}
    history = train.run(tiny.settings(tmp_path, epochs=3, **changes))
    assert [line.lr for line in history] == [1e-2, 1e-2, 5e-3]


def test_a_restart_forgets_moments(small, tmp_path):
    history = train.run(tiny.settings(tmp_path, epochs=3, **WAYS["restart"]))
    assert [line.lr for line in history] == [1e-2, 1e-3, 1e-3]
    _, note = mg.checkpoint.read(tmp_path / "state.safetensors")
    assert set(note["optimizer"]["steps"].values()) == {2 * tiny.STEPS}


def test_held_out_images_take_the_place_of_the_test_set(small, tmp_path, capsys):
    history = train.run(tiny.settings(tmp_path, **WAYS["held out"]))
    assert all(line.validation_accuracy is not None for line in history)
    assert [line.test_accuracy is not None for line in history] == [False, True]
    assert "60 training, 20 validation and 30 test images" in capsys.readouterr().out
    best = max(history, key=lambda line: line.validation_accuracy)
    assert mg.checkpoint.read(tmp_path / "best.safetensors")[1]["metrics"] == best.as_dict()


def test_a_loss_that_becomes_nan_leaves_earlier_epochs_whole(small, tmp_path):
    train.run(tiny.settings(tmp_path / "one", epochs=1))
    small(each_batch=spoil)
    text = f"loss: became nan at epoch 2, step 2; {WHOLE}; cifar train --resume --out "
    text += f"{tmp_path / 'two'} --detect-anomaly finds the layer and the operation"
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path / "two", epochs=2)))
    assert tiny.results(tmp_path / "one") == tiny.results(tmp_path / "two")


def test_where_it_became_nan_is_found(small, tmp_path):
    small(each_batch=spoil)
    settings = dataclasses.replace(tiny.settings(tmp_path), detect_anomaly=True)
    text = (
        "conv2d in 0 was given input 0 with 49152 NaN of 49152 values, after epoch 2, step 1; "
        f"{WHOLE}"
    )
    with pytest.raises(UserError) as caught:
        train.run(settings)
    assert str(caught.value) == text


def test_watching_changes_no_bit(whole, small, tmp_path):
    train.run(dataclasses.replace(tiny.settings(tmp_path), detect_anomaly=True))
    assert tiny.results(tmp_path) == tiny.results(whole[0])


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize("name", ["model.0.weight", "optimizer.1.exp_avg_sq"])
def test_what_is_not_finite_is_never_saved(
    whole, small, tmp_path, monkeypatch, stopped, value, name
):
    """An update that went wrong in the last step of an epoch, or before a signal: no loss of a
    training batch comes after it. Squares that overflow in a moment would stop a weight."""
    taken = itertools.count(1)
    step = steps.step

    def spoiled(model, objective, optimizer, *batch):
        result = step(model, objective, optimizer, *batch)
        if next(taken) == 2 * tiny.STEPS:
            kind, _, place = name.partition(".")
            state = optimizer.state_dict()["state"][1]
            array = model.state_dict()[place].data if kind == "model" else state["exp_avg_sq"]
            array.ravel()[0] = float(value)
            if stopped:
                os.kill(os.getpid(), signal.SIGTERM)
        return result

    monkeypatch.setattr(steps, "step", spoiled)
    text = f"{name}: became NaN or infinite at epoch 2, step {tiny.STEPS}; {WHOLE}"
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path)))
    monkeypatch.setattr(steps, "step", step)
    train.run(tiny.settings(tmp_path, resume=True))
    assert tiny.results(tmp_path) == tiny.results(whole[0])


def test_a_test_loss_that_becomes_nan_is_not_saved(small, tmp_path, monkeypatch):
    losses = iter([1.0, float("nan")])
    monkeypatch.setattr(loop, "evaluate", lambda *_: (next(losses), counted(0.5)))
    refuses(
        UserError,
        "loss: became nan on the test set after epoch 2",
        lambda: train.run(tiny.settings(tmp_path)),
    )
    _, note = mg.checkpoint.read(tmp_path / "last.safetensors")
    assert note["metrics"]["epoch"] == 1


def test_a_loss_that_overflows_is_one_error_without_warnings(small, tmp_path):
    """Warnings are errors in this suite, also those of the engine's threads."""
    with pytest.raises(UserError, match=r"loss: became (nan|inf) .* epoch 1"):
        train.run(tiny.settings(tmp_path / "run", lr=1e38))
    assert os.listdir(tmp_path) == []


def test_a_clock_that_jumps(whole, small, tmp_path, monkeypatch):
    """As when a machine's time is set while it works: by days, to and fro."""
    jumps = itertools.cycle([0.0, -86_400.0, 86_400.0, -7e8])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    settings = Settings("tiny", "cpu", out=str(tmp_path), progress=True)
    history = train.run(settings)
    assert tiny.results(tmp_path) == tiny.results(whole[0])
    assert all(0 < line.seconds < 60 for line in history)


def test_what_is_captured(small, tmp_path, monkeypatch):
    """The step with the optimiser of the moment: another one after a restart."""
    made = []

    class Captured:
        def __init__(self, step):
            self.step, self.calls = step, 0
            made.append(self)

        def __call__(self, *batch):
            self.calls += 1
            return self.step(*batch)

    small().setattr(mg, "CapturedStep", Captured)
    settings = tiny.settings(tmp_path / "run", restarts=((1, 0.5),))
    recipe, device = train.checked_recipe(settings), mg.device("cpu")
    settings = dataclasses.replace(settings, capture=True)
    run, _ = train.prepare(settings, recipe, device, tmp_path)
    for _ in range(2):
        loop.train_epoch(run)
        run.progress.end_epoch(EpochMetrics(1))
    assert [captured.calls for captured in made] == [tiny.STEPS] * 2
    assert made[1].step.args[2] is run.optimizer is not made[0].step.args[2]
    assert run.optimizer.param_groups[0]["lr"] == 0.5


def test_bar_is_closed_when_the_loss_fails(small, tmp_path, monkeypatch):
    small(each_batch=spoil)
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    settings = Settings("tiny", "cpu", out=str(tmp_path / "run"), progress=True)
    with pytest.raises(UserError):
        train.run(settings)
    assert stderr.getvalue().endswith("\n")

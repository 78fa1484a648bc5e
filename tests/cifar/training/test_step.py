"""A step in bf16 skips a batch that overflows."""

from __future__ import annotations

import itertools
import signal

import pytest

import minigrad as mg
from cifar.errors import UserError
from cifar.training import loop, train
from cifar.training import step as steps
from tests.cifar import tiny
from tests.cifar.training.common import overflowing, send, spoil_all, spoil_gradient
from tests.common import refuses


@pytest.mark.parametrize("spoil", [spoil_gradient, spoil_all])
def test_a_batch_that_overflows_in_bf16_is_as_if_it_had_not_been(small, tmp_path, capsys, spoil):
    at = tiny.STEPS + 1
    overflowing(small(), spoil, {at})
    skipped, gone = train.run(tiny.settings(tmp_path / "one"))[-1], itertools.count()
    assert "; 1 skipped (overflow)" in capsys.readouterr().out
    assert skipped.skipped == 1

    step, patch = steps.step, small()

    def without(model, *others):
        if next(gone) != at:
            return step(model, *others)
        before = {name: value.data.copy() for name, value in model.state_dict().items()}
        logits, loss = steps.gradients(model, *others)
        for name, value in model.state_dict().items():
            value.data[...] = before[name]
        return logits, loss

    patch.setattr(steps, "step", without)
    train.run(tiny.settings(tmp_path / "two"))
    one, two = (tiny.results(tmp_path / name) for name in ("one", "two"))
    assert {k: v for k, v in one.items() if "/" in k} == {k: v for k, v in two.items() if "/" in k}
    # The means of the epoch are of the other batches.
    assert skipped.train_loss != two["epoch 2"]["train_loss"] > 0
    assert skipped.test_loss == two["epoch 2"]["test_loss"]


def test_too_many_overflows_stop_the_run(small, tmp_path, monkeypatch):
    overflowing(small(), spoil_all, range(100))
    text = "every batch of epoch 1 overflowed in bf16; nothing was saved before it; try a smaller"
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path / "epoch")))
    monkeypatch.setattr(loop, "MAX_SKIPPED", 4)
    text = "4 batches in a row overflowed in bf16, up to epoch 1, step 4; nothing was saved"
    refuses(UserError, text, lambda: train.run(tiny.settings(tmp_path / "row")))


def test_skipped_batches_are_counted_over_a_stop(small, tmp_path):
    def stopping(path, resume, signals):
        patch = small(each_batch=send(signals, at=2))
        overflowing(patch, spoil_all, {1, 3} if path.name == "whole" else {0} if resume else {1})
        train.run(tiny.settings(path, resume=resume, epochs=1))

    stopping(tmp_path / "whole", False, [])
    with pytest.raises(KeyboardInterrupt):
        stopping(tmp_path / "run", False, [signal.SIGTERM])
    stopping(tmp_path / "run", True, [])
    assert tiny.results(tmp_path / "run") == tiny.results(tmp_path / "whole")
    assert tiny.results(tmp_path / "run")["epoch 1"]["skipped"] == 2


def test_without_overflow_bf16s_step_is_the_step(whole, small, tmp_path):
    """Also where a replay leaves another call's gradients with the parameters."""

    class Replayed:
        def __init__(self, attempt):
            self.attempt = attempt

        def __call__(self, *batch):
            result = self.attempt(*batch)
            for p in self.attempt.__self__.model.parameters():
                p.grad = mg.zeros(p.shape)
            return result

    patch = small()
    overflowing(patch, spoil_all, ())
    patch.setattr(mg, "CapturedStep", Replayed)
    make = loop.make_step
    patch.setattr(loop, "make_step", lambda *parts: make(*parts[:3], capture=True))
    train.run(tiny.settings(tmp_path))
    assert tiny.results(whole[0]) == {
        name: {k: v for k, v in value.items() if k != "skipped"} if "epoch" in name else value
        for name, value in tiny.results(tmp_path).items()
    }

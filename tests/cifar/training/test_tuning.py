"""Fine-tuning: where a run begins, what is frozen, and that its record holds both."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from cifar import cli
from cifar.errors import UserError
from cifar.results import evaluate
from cifar.training import tuning
from minigrad import nn
from tests.cifar import tiny
from tests.common import refuses


def model(classes=10, seed=0):
    return tiny.create("tiny", classes, seed)


def written(path, of):
    mg.save(of.state_dict(), path)
    return str(path)


def test_a_head_of_another_size_starts_anew(tmp_path, capsys):
    file = written(tmp_path / "x.safetensors", model(seed=1))
    ours, fresh = model(3, seed=2), model(3, seed=2).state_dict()
    begun = tuning.begin_from(ours, file)
    assert begun.path == file
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" starts anew")[0] for line in said] == ["note: 6.weight", "note: 6.bias"]
    assert "(10, 100) in" in said[0]
    assert "(3, 100) here" in said[0]
    expected = model(seed=1).state_dict() | {k: fresh[k] for k in ("6.weight", "6.bias")}
    for name, value in ours.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), expected[name].numpy())


def test_weights_that_cannot_be_begun_from(tmp_path):
    other = written(tmp_path / "other.safetensors", nn.Sequential(nn.Linear(3, 3)))
    refuses(
        UserError, "holds another model: only one of", lambda: tuning.begin_from(model(), other)
    )
    refuses(UserError, "init: ", lambda: tuning.begin_from(model(), str(tmp_path / "no")))
    infinite = model()
    infinite[0].bias.data[0] = np.inf
    file = written(tmp_path / "inf.safetensors", infinite)
    refuses(UserError, "0.bias is not finite", lambda: tuning.begin_from(model(), file))


def test_patterns_freeze_layers():
    ours = model()
    assert tuning.freeze(ours, ["0.*", "1.weight"]) == [ours[0]]  # 1.bias is trained
    trained = [name for name, p in ours.named_parameters() if p.requires_grad]
    assert trained == ["1.bias", "6.weight", "6.bias"]
    refuses(UserError, "no parameter matches 'head.*'", lambda: tuning.freeze(ours, ["head.*"]))
    refuses(UserError, "nothing is left to train", lambda: tuning.freeze(ours, ["*"]))


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_a_run_that_is_fine_tuned(tmp_path, monkeypatch, capsys, optimizer):
    """Frozen weights and statistics stay, others move; the run is verified, resumed and told."""
    tiny.install(monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cifar.recipes.names", lambda: ("tiny",))
    file = written("x.safetensors", model(seed=5))

    def call(words, code=0):
        assert cli.main(words.split()) == code
        return capsys.readouterr()

    tuned = f"train tiny --set optimizer={optimizer} --set optimizer_options={{}} --epochs 1"
    call(f"{tuned} --init {file} --freeze 0.* --freeze 1.* --out run")
    call("verify run")
    call("train --resume --out run --epochs 2")
    assert "y.safetensors" in call("train --resume --out run --init y.safetensors", 2).err
    trained = evaluate.load("run", last=True)
    assert trained.record.freeze == ("0.*", "1.*")
    before = model(seed=5).state_dict()
    for name, value in trained.model.state_dict().items():
        same = np.array_equal(value.numpy(), before[name].numpy())
        assert same == name.startswith(("0.", "1.")), name
    assert "init=x.safetensors, freeze=0.*, freeze=1.*" in call("report .").out
    written("x.safetensors", model(seed=6))
    assert "began from other weights" in call("verify run", 2).err

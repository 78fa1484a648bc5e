"""The comparison as a whole: the command, its files, and mistakes as one line each."""

from __future__ import annotations

import dataclasses
import json
import os
import signal

import pytest
from PIL import Image

import minigrad as mg
from cifar import cli
from cifar.errors import UserError
from cifar.results import plots
from cifar.twins import compare, reference, timing
from tests.cifar import tiny
from tests.common import refuses


@pytest.fixture(autouse=True)
def one_thread():
    mg.set_num_threads(1)  # put back by the suite


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The tiny recipe on both sides, and no measurement in other processes."""
    tiny.install(monkeypatch.setattr)
    monkeypatch.setattr(reference, "create", tiny.create_twin)
    speed = {"seconds_per_step": 0.25, "images_per_second": 64.0, "peak_memory_mb": 100.0}
    monkeypatch.setattr(timing, "measure_alone", lambda *_: dict(speed))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_the_command(small, capsys):
    options = ("--epochs", "2", "--rerun-threads", "2", "3", "--dtype", "float64")
    assert cli.main(["compare", "tiny", *options]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for part in ("PyTorch, 2 threads: weights", "train %", "test %", "ms per step", "compare.png"):
        assert part in captured.out
    with Image.open("runs/compare-tiny-seed0/compare.png") as picture:
        picture.load()
    with open("runs/compare-tiny-seed0/compare.json") as file:
        found = json.load(file)
    contestants = ["minigrad", "PyTorch", "PyTorch, 2 threads", "PyTorch, 3 threads"]
    assert list(found["losses"]) == contestants
    assert {len(values) for values in found["losses"].values()} == {2 * tiny.STEPS}
    assert found["record"]["overrides"] == {"epochs": 2}
    assert found["record"]["dtype"] == "float64"
    assert {"cpu", "torch", "commit", "command"} <= set(found["machine"])
    assert [line["epoch"] for line in found["epochs"]] == [1, 2]
    for line in found["epochs"]:
        for name in contestants:
            assert line[name] == pytest.approx(line["PyTorch"], rel=1e-9)
    assert found["speed"]["PyTorch"]["seconds_per_step"] == 0.25


def test_a_few_steps_leave_the_epoch_open(small, tmp_path, capsys):
    drawn = []
    small.setattr(plots, "comparison", lambda x, _: drawn.append(len(x["losses"]["PyTorch"])))
    settings = compare.Settings("tiny", 2, 7, device="cpu", out="x", progress=False, timing=False)
    found, _ = compare.run(settings)
    assert [line["steps"] for line in found.epochs] == [5, 2]
    assert ["test_loss" in line["minigrad"] for line in found.epochs] == [True, False]
    assert found.speed == {}
    assert drawn == [5, 7]  # after every epoch


def test_ctrl_c_leaves_what_there_is(small, tmp_path, capsys):
    def each_batch(number, images):
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return images

    tiny.install(small.setattr, each_batch)
    drawn = []
    small.setattr(plots, "comparison", lambda found, _: drawn.append(found["losses"]["PyTorch"]))
    assert cli.main(["compare", "tiny", "--out", "x", "--no-timing", "--device", "cpu"]) == 130
    assert "stopped after step 3; the figures so far are in x" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "x" / "compare.json").read_text())["losses"]["PyTorch"]) == 3
    assert [len(losses) for losses in drawn] == [3]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"set": ("epochs=3",)}, "set: epochs: give --epochs instead, got 3"),
        ({"dtype": "half"}, "dtype: expected one of float32, float64, got half"),
        ({"rerun_threads": (0,)}, "rerun_threads: expected numbers from 1 that differ"),
        ({"rerun_threads": (2, 2)}, "rerun_threads: expected numbers from 1 that differ"),
        ({"rerun_threads": (1,)}, "from the first run's 1, got (1,)"),
        ({"overrides": {"lr": 1e30}, "timing": False}, "loss: became infinite or NaN at step"),
        ({"out": "file/x"}, "out: cannot make the folder file/x"),
    ],
)
def test_mistakes(small, tmp_path, changes, text):
    (tmp_path / "file").touch()
    settings = compare.Settings("tiny", device="cpu", progress=False)
    refuses(UserError, text, lambda: compare.run(dataclasses.replace(settings, **changes)))


def test_without_pytorch(small, monkeypatch):
    def import_module(name):
        raise ImportError(name)

    monkeypatch.setattr(reference.importlib, "import_module", import_module)
    text = "cifar compare needs PyTorch, which cannot be imported ("
    refuses(UserError, text, lambda: compare.run(compare.Settings("tiny", device="cpu")))

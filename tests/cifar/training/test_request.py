"""What a command line asks for, and what the run that it resumes brings with it."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad as mg
from cifar import datasets, recipes
from cifar.errors import UserError
from cifar.training import train
from cifar.training.request import Request
from tests.cifar import tiny
from tests.cifar.datasets import tiny_cifar10
from tests.common import refuses

ROOT = Path(__file__).parents[3]
LOAD = datasets.load
COSINE = {"schedule": "CosineAnnealingLR", "schedule_options": {"T_max": 2}}


def stop_at(step):
    def each_batch(number, images):
        if number == step:
            os.kill(os.getpid(), signal.SIGINT)
        return images

    return each_batch


@pytest.fixture
def small(monkeypatch):
    tiny.install(monkeypatch.setattr)
    return monkeypatch


@pytest.fixture
def stopped(tmp_path):
    """A run of other settings than its recipe's, stopped in the second of three epochs."""
    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr, each_batch=stop_at(14))
        with pytest.raises(KeyboardInterrupt):
            train.run(tiny.settings(out, seed=3, epochs=3, lr=0.02, batch_size=8))
    return out


# ---------------------------------------------------------------------------- the printed line


@pytest.mark.parametrize(
    "door", [["train", "tiny", "--set", "batch_size=8"], ["--recipe", "tiny", "--batch-size", "8"]]
)
def test_the_printed_words_resume(tmp_path, door):
    """Both front doors, in processes of their own: what is pasted into a shell goes on."""
    out = tmp_path / "my runs" / "it's $HOME\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINIGRAD_DATA": ""}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    words = [sys.executable, "-m", "tests.cifar.tiny", *door, "--seed", "3", "--epochs", "2"]
    run = subprocess.Popen([*words, "--out", out], cwd=ROOT, env=environment, **streams)
    for line in run.stdout:
        if line == "batch 3\n":
            run.send_signal(signal.SIGINT)
            break
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    again = said.removesuffix("\n").partition("continue with: ")[2]
    resumed = subprocess.run(["bash", "-c", again], cwd=ROOT, env=environment, **streams)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    with pytest.MonkeyPatch.context() as patch:
        tiny.install(patch.setattr)
        train.run(tiny.settings(tmp_path / "whole", seed=3, epochs=2, batch_size=8))
    assert tiny.results(out) == tiny.results(tmp_path / "whole")


# ---------------------------------------------------------------------------- what a run brings


def test_a_run_brings_its_settings(stopped, small, tmp_path):
    settings = Request(resume=True, out=str(stopped)).settings()
    expected = tiny.settings(stopped, resume=True, seed=3, epochs=3, lr=0.02, batch_size=8)
    assert settings == dataclasses.replace(expected, dataset="synthetic", image_size=32)
    train.run(settings)
    train.run(tiny.settings(tmp_path / "whole", seed=3, epochs=3, lr=0.02, batch_size=8))
    assert tiny.results(stopped) == tiny.results(tmp_path / "whole")
    names = ("run", "whole")
    files = [mg.checkpoint.read(tmp_path / name / "last.safetensors")[1] for name in names]
    assert files[0]["overrides"] == files[1]["overrides"]


def test_a_run_brings_its_data_and_their_folder(small, tmp_path, monkeypatch):
    small.setattr(datasets, "load", LOAD)
    tiny_cifar10.install(small.setattr)
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    folder = tiny_cifar10.write(tmp_path / "data" / tiny_cifar10.FOLDER)
    asked = Request("tiny", dataset="cifar10", data_dir="data", out="run", epochs=1)
    train.run(asked.settings())
    found = Request(resume=True, out="run", epochs=2).settings()
    assert (found.dataset, found.data_dir) == ("cifar10", str(folder))
    monkeypatch.setenv("MINIGRAD_DATA", "data")  # likewise
    train.run(Request("tiny", out="again", epochs=1).settings())
    monkeypatch.delenv("MINIGRAD_DATA")
    found = Request(resume=True, out="again").settings()
    assert (found.dataset, found.data_dir) == ("cifar10", str(folder))
    assert train.run(found)[-1].epoch == 1


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"recipe": "simple"}, "has recipe tiny, not simple; leave that out, or choose another"),
        ({"seed": 0}, "has seed 3, not 0"),
        ({"dataset": "cifar10"}, "has dataset synthetic, not cifar10"),
        ({"lr": 0.01, "batch_size": 16}, "has batch_size 8, not 16; lr 0.02, not 0.01"),
        ({"set": ("optimizer=SGD",)}, "has optimizer Adam, not SGD"),
        ({"set": ("gamma=1",)}, "has gamma 0.0, not 1.0"),
        ({"epochs": 2}, "has epochs 3, not 2"),
        ({"set": ("epochs=2",)}, "has epochs 3, not 2"),
    ],
)
def test_what_contradicts_the_run_is_refused_by_name(stopped, small, asked, text):
    small.setattr(datasets, "load", lambda *_: pytest.fail("no data are needed to see it"))
    request = Request(resume=True, out=str(stopped), **asked)
    refuses(UserError, f"resume: the run in {stopped} {text}", request.settings)


def test_what_agrees_with_the_run_may_be_said_again(stopped, small):
    said = {"recipe": "tiny", "seed": 3, "dataset": "auto", "lr": 0.02, "set": ("batch_size=8",)}
    plain = Request(resume=True, out=str(stopped)).settings()
    assert Request(resume=True, out=str(stopped), **said).settings() == plain
    assert Request(resume=True, out=str(stopped), dataset="synthetic").settings() == plain


def test_the_device_is_the_runs_unless_another_is_named(stopped, small):
    tensors, note = mg.checkpoint.read(stopped / "state.safetensors")
    note["record"] |= {"device": "gpu:0", "precision": "bf16", "captured": True}
    mg.save(tensors, stopped / "state.safetensors", note)
    for asked, expected in (
        ({}, ("gpu:0", "bf16", True)),
        ({"device": "cpu"}, ("cpu", None, False)),
        ({"precision": "fp32"}, ("gpu:0", "fp32", True)),
        ({"detect_anomaly": True}, ("gpu:0", "bf16", False)),  # it watches no recorded step
    ):
        found = Request(resume=True, out=str(stopped), **asked).settings()
        assert (found.device, found.precision, found.capture) == expected


def test_no_run_is_started_by_its_own_settings(small, tmp_path):
    out = str(tmp_path / "run")
    found = Request("tiny", resume=True, out=out, epochs=1).settings()
    assert found == dataclasses.replace(tiny.settings(out, resume=True, epochs=1), device="auto")
    text = f"recipe: there is no run in {out} to resume; to start one, name a recipe: "
    refuses(UserError, text, Request(resume=True, out=out).settings)
    assert Request(resume=True, out=out).settings(default_recipe="tiny") == dataclasses.replace(
        found, overrides={}
    )
    assert Request(seed=4).settings(default_recipe="tiny").out == "runs/tiny-seed4"
    refuses(UserError, "recipe: name one; the recipes are ", Request().settings)
    refuses(UserError, "out: name the folder of the run; ", Request(resume=True).settings)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"lr": 0.01, "set": ("lr=0.5",)}, "lr: expected one value, got --lr and --set lr=0.5"),
        ({"epochs": 1, "set": ("epochs=1",)}, "epochs: expected one value, got --epochs and --set"),
        ({"batch_size": 8, "set": ("batch-size=4",)}, "batch_size: expected one value, got --ba"),
        ({"set": ("l2=1", "gamma=2", "l2 = 3")}, "l2: expected one value, got --set l2=1 and --"),
        (
            {"set": ("augmentation.crop=2", 'augmentation={"flip":true}')},
            "augmentation: expected one value, got --set augmentation.crop=2 and --set augment",
        ),
    ],
)
def test_a_field_that_is_given_twice(small, asked, text):
    refuses(UserError, text, Request("tiny", **asked).settings)


def test_a_value_may_be_added_to(small):
    given = ("optimizer_options={}", "optimizer_options.eps=1e-6", "optimizer_options.amsgrad=true")
    found = Request("tiny", set=given).settings().overrides
    assert found == {"optimizer_options": {"eps": 1e-6, "amsgrad": True}}


# ---------------------------------------------------------------------------- schedules


def test_a_given_number_of_epochs_takes_the_schedule_with_it():
    found = Request("four-block", epochs=12).settings()
    assert train.checked_recipe(found).schedule_options == {"T_max": 12}
    found = Request("four-block", set=("schedule_options.eta_min=1e-4", "epochs=20")).settings()
    assert train.checked_recipe(found).schedule_options == {"T_max": 20, "eta_min": 1e-4}
    found = Request("four-block", epochs=12, set=("schedule_options.T_max=10",)).settings()
    assert train.checked_recipe(found).schedule_options == {"T_max": 10}
    found = Request("dense-residual", epochs=7, set=("restarts=[[2,0.1]]",)).settings()
    assert train.checked_recipe(found).restarts == ((2, 0.1),)


@pytest.mark.parametrize(
    "changes", [COSINE, {"restarts": ((1, 1e-3),)}, {**COSINE, "restarts": ((1, 1e-3),)}]
)
def test_a_run_that_is_given_more_epochs_goes_on_at_their_rates(
    small, tmp_path, capsys, monkeypatch, changes
):
    monkeypatch.setattr(recipes, "load", lambda name: dataclasses.replace(tiny.RECIPE, **changes))
    whole = train.run(tiny.settings(tmp_path / "whole", epochs=6))
    assert "0 of 6 epochs done (its schedule in proportion: " in capsys.readouterr().out
    for first in (2, 3):
        out = tmp_path / str(first)
        train.run(tiny.settings(out, epochs=first))
        history = train.run(Request(resume=True, out=str(out), epochs=6).settings())
        rates = [[line.lr for line in lines] for lines in (history, whole)]
        assert rates[0][first:] == pytest.approx(rates[1][first:])
        _, note = mg.checkpoint.read(out / "last.safetensors")
        assert (
            note["recipe"] == mg.checkpoint.read(tmp_path / "whole/last.safetensors")[1]["recipe"]
        )
        assert note["overrides"] == {"epochs": 6}

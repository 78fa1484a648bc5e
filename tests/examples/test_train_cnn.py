"""The front door: arguments become settings, mistakes one line on stderr and exit code 2."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad as mg
from cifar import datasets, recipes
from cifar.training.run import Settings
from tests.cifar import tiny

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "train_cnn.py"
train_cnn = tiny.front_door()


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Tiny things in place of real ones, and an empty working directory."""
    tiny.install(monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def shell(*command, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MINIGRAD_DATA": ""}
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def assert_one_error(code, stderr, text):
    assert code == 2
    assert stderr.startswith("error: ")
    assert stderr.endswith("\n")
    assert stderr.count("\n") == 1
    assert text in stderr


# ---------------------------------------------------------------------------- arguments


def test_defaults():
    settings = train_cnn.parse([]).settings(default_recipe=train_cnn.RECIPE)
    expected = Settings(
        "simple", out="runs/simple-seed0", progress=sys.stderr.isatty(), command=settings.command
    )
    assert settings == expected


def test_every_argument():
    arguments = (
        "--recipe simple --device gpu:1 --dataset synthetic --data-dir d --epochs 3 --batch-size 7 "
        "--lr 0.5 --seed 4 --out o --resume --precision tf32 --detect-anomaly --capture"
    )
    settings = train_cnn.parse(arguments.split()).settings()
    changes = {"epochs": 3, "batch_size": 7, "lr": 0.5}
    expected = Settings(
        "simple", "gpu:1", "synthetic", "d", 4, "o", True, changes, precision="tf32", capture=True
    )
    assert dataclasses.replace(settings, progress=True, detect_anomaly=False) == expected
    assert settings.detect_anomaly


def test_help_names_every_recipe(capsys):
    with pytest.raises(SystemExit) as caught:
        train_cnn.main(["--help"])
    assert caught.value.code == 0
    text = "".join(capsys.readouterr().out.split())  # names break at their hyphens
    for name in recipes.names():
        assert name in text


# ---------------------------------------------------------------------------- runs


def test_a_run(small, capsys):
    assert train_cnn.main(["--seed", "3", "--epochs", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines()[-1].startswith("test accuracy ")
    assert Path("runs/simple-seed3/best.safetensors").is_file()
    assert train_cnn.main(["--seed", "3", "--epochs", "2", "--resume"]) == 0
    lines = Path("runs/simple-seed3/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_ctrl_c_stops_cleanly_and_resumes_bit_for_bit(small, tmp_path, capsys):
    """A real Ctrl-C, from outside, in the middle of an epoch."""
    process = shell("-m", "tests.cifar.tiny", "--out", tmp_path / "parts", cwd=ROOT)
    for line in process.stdout:
        if line.startswith(f"batch {tiny.STEPS + 1}"):
            process.send_signal(signal.SIGINT)
            break
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.startswith("stopped at epoch 2, step ")
    assert stderr.count("\n") == 1
    assert stdout.count("epoch 2:") == 0
    assert train_cnn.main(["--out", str(tmp_path / "parts"), "--resume"]) == 0
    assert train_cnn.main(["--out", str(tmp_path / "whole")]) == 0
    assert tiny.results(tmp_path / "parts") == tiny.results(tmp_path / "whole")


def test_ctrl_c_while_the_data_load(small, tmp_path, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    small.setattr(datasets, "load", interrupted)
    assert train_cnn.main([]) == 130
    assert capsys.readouterr().err == ""
    assert os.listdir(tmp_path) == []


# ---------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("--recipe nonesuch", "recipe: expected one of "),
        ("--dataset cifar10 --data-dir nowhere", "data folder nowhere does not exist"),
        ("--epochs 0", "epochs: expected at least 1, got 0"),
        ("--epochs abc", "--epochs: no type matching INT could be instantiated from ['abc']"),
        ("--lr nan", "lr: expected a finite number above 0, got nan"),
        ("--seed 1.5", "--seed: no type matching INT could be instantiated from ['1.5']"),
        ("--out blocked/run", "out: cannot write to blocked/run: "),
        ("--out /proc/minigrad", "out: cannot write to /proc/minigrad: "),
        ("--resume --out full", "resume: full/state.safetensors is not a whole file of tensors"),
        ("--out full", "out: full already holds a run"),
        ("--frobnicate", "unknown argument '--frobnicate' (see train_cnn.py --help)"),
        ("extra", "unknown argument 'extra'"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(monkeypatch, tmp_path, capsys, arguments, text):
    monkeypatch.chdir(tmp_path)
    Path("blocked").write_text("")
    Path("full").mkdir()
    Path("full/state.safetensors").write_text("")
    if "--dataset" not in arguments:
        arguments += " --dataset synthetic"
    code = train_cnn.main(arguments.split())
    captured = capsys.readouterr()
    assert_one_error(code, captured.err, text)
    assert captured.out == ""
    assert sorted(os.listdir()) == ["blocked", "full"]
    assert os.listdir("full") == ["state.safetensors"]


@pytest.mark.skipif(mg.is_gpu_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there(small, tmp_path, capsys):
    code = train_cnn.main(["--device", "gpu"])
    assert_one_error(code, capsys.readouterr().err, "device 'gpu'")
    assert os.listdir(tmp_path) == []


def test_a_gpu_without_cupy(small, tmp_path, capsys):
    small.setitem(sys.modules, "cupy", None)  # import raises
    code = train_cnn.main(["--device", "gpu"])
    assert_one_error(code, capsys.readouterr().err, "pip install -e '.[gpu]'")
    assert train_cnn.main(["--device", "auto", "--epochs", "1"]) == 0
    assert "on cpu" in capsys.readouterr().out


def test_memory_that_runs_out(small, capsys):
    def hungry(*_):
        raise MemoryError

    small.setattr(datasets, "load", hungry)
    assert_one_error(train_cnn.main([]), capsys.readouterr().err, "smaller --batch-size")


@pytest.mark.parametrize("arguments", ["--lr nan", "--dataset cifar10 --data-dir nowhere"])
def test_mistakes_as_a_user_sees_them(tmp_path, arguments):
    """A process of its own: no traceback, warning or left-over from the interpreter either."""
    process = shell(SCRIPT, *arguments.split(), cwd=tmp_path)
    stdout, stderr = process.communicate(timeout=60)
    assert_one_error(process.returncode, stderr, "")
    assert stdout == ""
    assert os.listdir(tmp_path) == []

"""A tiny session on the CPU does what one on a GPU does, and goes on where it stopped."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from pathlib import Path

import pytest

from benchmarks import contest, gpu_session

# `cifar` with the tests' tiny recipe, model and data in place of the real ones.
TINY_CIFAR = """
    import sys
    from cifar import cli
    from tests.cifar import tiny
    tiny.install(setattr)
    sys.exit(cli.main())
"""


@pytest.fixture
def session(monkeypatch, tmp_path):
    """Run the command with more words and return the file's content."""
    command = (sys.executable, "-c", textwrap.dedent(TINY_CIFAR))
    monkeypatch.setattr(gpu_session, "CIFAR", command)
    monkeypatch.setattr(gpu_session, "RECIPES", ("tiny",))
    out = tmp_path / "x.json"
    for name in ("x", "parity"):
        (tmp_path / f"test_{name}.py").write_text("def test_one(): pass\n")
    monkeypatch.setattr(gpu_session, "ROOT", tmp_path)
    words = "--device cpu --dataset synthetic --epochs 2 --batch 2 --seconds 0.01 --model simple"

    def run(budget: str, *more: str):
        argv = ["x", "--budget", budget, "--out", str(out), *words.split(), *more]
        monkeypatch.setattr(sys, "argv", argv)
        gpu_session.main()
        return json.loads(out.read_text())

    return run


def test_a_session(session, monkeypatch, capsys):
    found = session("10m", "--tests", "one")
    for part in ("tests", "parity"):
        tests = found[part]
        assert tests["failures"] == []
        assert (tests["passed"], tests["failed"], tests["skipped"]) == (1, 0, 0)
    assert set(found["yardstick"]) == {"minigrad", "torch channels_last"}
    steps = found["steps"]["simple"]
    for name, row in steps["results"].items():
        assert row["images_per_second"] > 0
        assert row["of_peak"] == pytest.approx(
            row["gflops"] / found["yardstick"]["torch channels_last"]
        )
        assert len(row["by_turn"]) == 8
        assert name in capsys.readouterr().out or name != "minigrad"
    run = found["trainings"]["tiny"]
    assert run["finished"]
    assert run["final"]["test_accuracy"]["mean"] == run["runs"][0]["epochs"][-1]["test_accuracy"]
    assert len(run["runs"][0]["epochs"]) == 2
    assert found["sessions"][0]["machine"]["commit"] is not None

    def never(*_, **__):
        raise AssertionError("done twice")

    for part in ("run_tests", "yardstick", "compare", "train_recipe"):
        monkeypatch.setattr(gpu_session, part, never)
    again = session("10m", "--tests", "one")
    assert len(again.pop("sessions")) == 2
    del found["sessions"]
    assert again == found
    with pytest.raises(SystemExit, match=r"error: out: .* is of a session with"):
        session("10m", "--tests", "others")


def test_training_that_is_stopped_goes_on_later(tmp_path, monkeypatch):
    program = """
        import os, signal, sys
        from cifar import cli
        from tests.cifar import tiny

        def stop(number, images):
            if number == 7 and "--resume" not in sys.argv:
                os.kill(os.getpid(), signal.SIGTERM)
            return images

        tiny.install(setattr, each_batch=stop)
        sys.exit(cli.main())
    """
    monkeypatch.setattr(gpu_session, "CIFAR", (sys.executable, "-c", textwrap.dedent(program)))
    words = ["--device", "cpu", "--epochs", "2"]
    assert gpu_session.train_recipe("tiny", tmp_path / "a", words, 0.1) == {"epochs": 0}
    found = gpu_session.train_recipe("tiny", tmp_path / "b", words, 600)
    assert found["epochs"] == 1
    assert found["error"].startswith("stopped at epoch 2")
    assert gpu_session.train_recipe("tiny", tmp_path / "b", words, 600)["finished"]


def test_no_time_left(session):
    found = session("1s", "--tests", "x")
    assert not {"tests", "yardstick", "parity"} & set(found)
    assert found["steps"] == found["trainings"] == {}


def test_training_that_fails(monkeypatch):
    monkeypatch.setattr(gpu_session, "CIFAR", (sys.executable, "-c", "raise OSError('no card')"))
    result = gpu_session.train_recipe("tiny", Path("nowhere"), [], 60)
    assert result == {"epochs": 0, "error": "OSError: no card"}


def test_a_contestant_that_fails(monkeypatch):
    names = ("minigrad", "torch a", "minigrad captured", "torch b")
    seconds = {"minigrad": [0.5, 0.25, 0.5], "torch a": [0.25], "minigrad captured": [0.125]}

    def child(_, contestant, most, **__):
        if contestant not in seconds:
            raise contest.ContestError(f"{contestant}: no CUDA")
        return {"times": seconds[contestant], "traffic": {"kernels": 7.0}}

    monkeypatch.setattr(contest, "in_child", child)
    assert gpu_session.yardstick(names[:2], 1000, 1) == {"minigrad": 4.0, "torch a": 8.0}
    assert gpu_session.yardstick(names[3:], 1000, 1) == {"torch b": "torch b: no CUDA"}
    found = gpu_session.compare("simple", 8, names, 1, "no peak")
    assert found["results"]["minigrad"]["images_per_second"] == 16
    assert found["results"]["minigrad"]["of_peak"] is None
    assert found["results"]["torch b"] == {"error": "torch b: no CUDA"}
    assert found["ratios"] == {"minigrad": {"torch a": 0.5}, "minigrad captured": {"torch a": 2.0}}
    assert found["results"]["minigrad"]["traffic"] == {"kernels": 7.0}
    shown = gpu_session.show(found)
    assert "torch b: no CUDA" in shown
    assert " 7 " in shown
    found = gpu_session.compare("simple", 8, names, 1, 2.0)["results"]["torch a"]
    assert found["of_peak"] == pytest.approx(found["gflops"] / 2)


def test_tests_that_fail(tmp_path, monkeypatch):
    (tmp_path / "test_x.py").write_text(
        "import pytest\ndef test_gpu_a(): pass\ndef test_gpu_b(): assert 0\n"
        "def test_c(): assert 0\n"
        "def test_gpu_d(): pytest.skip('')\n"
    )
    monkeypatch.setattr(gpu_session, "ROOT", tmp_path)
    found = gpu_session.run_tests("gpu", 60)
    assert {name: found[name] for name in ("passed", "failed", "skipped", "failures")} == {
        "passed": 1, "failed": 1, "skipped": 1, "failures": ["test_x::test_gpu_b"],
    }  # fmt: skip
    assert gpu_session.run_tests("gpu", 0.01) == {"error": "not done after 0 s"}
    (tmp_path / "test_y.py").write_text("import time\ndef test_gpu_slow(): time.sleep(600)\n")
    for seconds in (5, 20, 80):  # until the others are done before it
        found = gpu_session.run_tests("gpu", seconds)
        if found.get("failed"):
            break
    assert (found["passed"], found["failed"]) == (1, 1)
    assert found["error"] == f"not done after {seconds} s"
    assert "error" in gpu_session.run_tests("(", 60)


def test_memory_that_grows():
    assert gpu_session.growth([None, None]) is None
    assert gpu_session.growth([100.0, 100.9, 100.5, 101.0]) is None
    assert gpu_session.growth([None, 100.0, 130.0]) == (
        "GPU memory grew from 100.0 MB after an epoch to 130.0 MB after the last"
    )


def test_a_run_whose_memory_grew(monkeypatch, tmp_path):
    lines = [{"gpu_memory_mb": m} for m in (100.0, 200.0)]
    monkeypatch.setattr(gpu_session, "CIFAR", (sys.executable, "-c", ""))
    monkeypatch.setattr(gpu_session.collect, "gather", lambda _: {"runs": [{"epochs": lines}]})
    found = gpu_session.train_recipe("tiny", tmp_path, [], 60)
    assert found["finished"]
    assert found["error"].startswith("GPU memory grew from 100.0 MB")


def test_every_recipe_is_trained():
    from cifar import recipes

    assert set(gpu_session.RECIPES) == set(recipes.names())


def test_contestants():
    assert gpu_session.contestants("gpu", "bf16") == (
        "minigrad gpu bf16",
        "torch channels_last gpu bf16",
        "minigrad gpu bf16 captured",
        "torch channels_last gpu bf16 compiled",
    )


def test_durations():
    assert [gpu_session.duration(t) for t in ("90s", "1.5m", "1h")] == [90, 90, 3600]
    for bad in ("", "5", "0m", "-1s", "5 m"):
        with pytest.raises(argparse.ArgumentTypeError, match="25m"):
            gpu_session.duration(bad)


def test_a_gpu_that_is_not_there(session):
    import minigrad as mg

    if mg.is_gpu_available():
        pytest.skip("there is one")
    with pytest.raises(SystemExit, match="error: device 'gpu'"):
        session("10m", "--device", "gpu")

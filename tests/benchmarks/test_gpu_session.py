"""A session keeps every figure as soon as it is there, and goes on where it stopped."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap

import pytest

from benchmarks import gpu_parts, gpu_report, gpu_session, study
from cifar import recipes
from tests.cifar import tiny

# In place of the parts: canned results, each noted in a file as it is asked for.
CANNED = """
    import json, sys, time
    part, work = sys.argv[1], json.load(sys.stdin)
    with open("asked", "a") as file:
        print(part, work.get("model") or work.get("recipe"), work.get("contestant"), file=file)
    def say(**found):
        print(json.dumps(found), flush=True)
    if part == "describe":
        say(device="gpu:0", precision="tf32", machine={"gpu": "none"})
    elif part == "first":
        say(losses=[3.0, 2.0], seconds=1.0)
        sys.exit("ZeroDivisionError: at the end" if work["capture"] else 0)
    elif part == "agree":
        say(from_cpu=0.0, captured_equals_plain=work["model"] != "gated")
    elif part == "measure":
        if "compiled" in work["contestant"]:
            sys.exit("no compiler")
        say(batch=8, gflop=4.0, times=[0.5, 0.25, 0.5])
    elif part == "training" and work["recipe"] == "simple":
        lines = [{"gpu_memory_mb": m} for m in (100.0, 200.0)]
        say(finished=True, runs=[{"epochs": lines}])
    else:
        say(epochs=1)
        time.sleep(600)
"""
OURS, THEIRS = "minigrad gpu tf32", "torch channels_last gpu tf32"


@pytest.fixture
def session(monkeypatch, tmp_path):
    """Run the command with canned parts; returns the file's content and what was asked for."""
    (tmp_path / "parts.py").write_text(textwrap.dedent(CANNED))
    (tmp_path / "tests" / "parity").mkdir(parents=True)
    for folder in ("tests", "tests/parity"):
        text = "import pytest\n@pytest.mark.gpu\ndef test_one(): pass\n"
        (tmp_path / folder / f"test_{folder[-1]}.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu: on a GPU\n")
    monkeypatch.setenv("PYTHONPATH", str(gpu_session.ROOT))
    monkeypatch.setattr(gpu_session, "PARTS", (sys.executable, str(tmp_path / "parts.py")))
    monkeypatch.setattr(gpu_session, "ROOT", tmp_path)
    monkeypatch.setattr(gpu_session, "LEAST", 0.5)
    monkeypatch.setattr(gpu_session.signal, "signal", lambda *_: None)
    out = tmp_path / "x.json"

    def run(budget: str, *more: str):
        argv = ["x", "--budget", budget, "--out", str(out), "--workers", "1", *more]
        monkeypatch.setattr(sys, "argv", argv)
        gpu_session.main()
        asked = (tmp_path / "asked").read_text().splitlines()
        (tmp_path / "asked").unlink()
        return json.loads(out.read_text()), asked

    return run


def test_a_session_and_the_next(session, capsys):
    words = ("--model", "simple", "--model", "gated", "--recipe", "simple")
    found, asked = session("60s", *words)
    assert [line.split()[0] for line in asked[:5]] == [
        *("describe", "first", "first", "agree", "agree"),
    ]  # fmt: skip
    assert asked[-2:] == [f"measure gated {THEIRS} compiled", "training simple None"]
    assert found["first"]["plain"]["falls"]
    assert found["first"]["captured"]["error"] == "ZeroDivisionError: at the end"
    assert not found["agreement"]["gated"]["captured_equals_plain"]
    assert found["yardstick"][OURS]["gflops"] == 8
    steps = found["steps simple"]
    assert steps[OURS]["images_per_second"] == 16
    assert steps[OURS]["of_peak"] == 1
    assert steps[f"{THEIRS} compiled"] == {"error": "no compiler"}
    assert found["ratios"]["gated"] == {OURS: {THEIRS: 1}, f"{OURS} captured": {THEIRS: 1}}
    for part in ("tests", "parity"):
        assert (found[part]["passed"], found[part]["failed"], found[part]["late"]) == (1, 0, False)
    assert found["trainings"]["simple"]["error"].startswith("GPU memory grew from 100.0 MB")
    assert "captured: losses 3.0 … 2.0" in capsys.readouterr().out

    again, asked = session("60s", *words)
    assert asked == ["describe None None"]
    assert len(again.pop("sessions")) == 2
    del found["sessions"]
    assert again == found
    with pytest.raises(SystemExit, match=r"error: out: .* is of a session with"):
        session("60s", "--batch", "7")


def test_what_the_clock_cuts_short_goes_on_later(session, monkeypatch):
    monkeypatch.setattr(gpu_session, "MODELS", ())
    words = ("--tests", "", "--recipe", "gated")
    for _ in range(2):
        found, asked = session("3s", *words)
        assert asked[-1] == "training gated None"
        assert found["trainings"]["gated"] == {"epochs": 1, "unfinished": True}
    with pytest.raises(SystemExit, match="no answer within the budget"):
        session("0.001s", *words)


def test_a_part_that_takes_too_long(session):
    found, _ = session(
        "60s", "--most", "0", "--model", "simple", "--tests", "", "--recipe", "simple"
    )
    assert found["agreement"]["simple"]["error"] == "not done after 0 s"


def test_tests_go_on_where_they_stopped(tmp_path, monkeypatch):
    (tmp_path / "test_x.py").write_text(
        "import time, pytest\ndef test_a(): pass\ndef test_b(): assert 0\n"
        "def test_c(): pytest.skip('')\ndef test_slow(): time.sleep(600)\n"
    )
    (tmp_path / "test_y.py").write_text("import what_is_not_there\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.setenv("PYTHONPATH", str(gpu_session.ROOT))
    monkeypatch.setattr(gpu_session, "ROOT", tmp_path)
    report = tmp_path / "report.jsonl"
    for seconds in (3, 20, 80):  # until the others are done before it
        found = gpu_session.run_tests([], report, seconds, 1)
        if found["skipped"]:
            break
    expected = {"passed": 1, "failed": 1, "skipped": 1, "failures": ["test_x.py::test_b"]}
    assert found == {**expected, "late": True}
    with report.open("a") as file:
        file.write('["test_x.py::test_slow", "passed"]\n["half of a li')
    found = gpu_session.run_tests([], report, 60, 1)
    assert found == {**expected, "passed": 2, "late": False}
    assert "4 deselected" in report.with_suffix(".log").read_text()
    assert "error" in gpu_session.run_tests(["-m", "("], report, 60, 1)
    assert gpu_report.read(tmp_path / "missing") == {}


def test_memory_that_grows():
    assert gpu_session.growth([None, None]) is None
    assert gpu_session.growth([100.0, 100.9, 100.5, 101.0]) is None
    assert gpu_session.growth([None, 100.0, 130.0]) == (
        "GPU memory grew from 100.0 MB after an epoch to 130.0 MB after the last"
    )


def test_names():
    """The session itself imports neither models nor recipes."""
    assert set(gpu_session.RECIPES) == set(recipes.names())
    assert set(gpu_session.MODELS) == set(study.MODELS)
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


# ---------------------------------------------------------------------------- the parts


@pytest.fixture
def tiny_cifar(monkeypatch):
    tiny.install(monkeypatch.setattr)
    return {"recipe": "tiny", "device": "cpu", "dataset": "synthetic"}


@pytest.mark.usefixtures("tiny_cifar")
def test_a_first_training(capsys):
    options = {"device": "cpu", "dataset": "synthetic", "data_dir": None, "precision": None}
    results = list(gpu_parts.first(0.2, **options, batch=2, side=32, capture=False))
    last = results[-1]
    assert last["seconds"] >= 0.2
    assert last["images_per_second"] > 0
    assert len(last["losses"]) == len(results) > gpu_parts.EAGER + 1
    assert gpu_session.falls(last["losses"]) in (True, False)
    assert gpu_session.falls([1.0]) is None
    assert capsys.readouterr().out == ""


def test_a_whole_training(tmp_path, tiny_cifar, monkeypatch):
    (found,) = gpu_parts.training(str(tmp_path / "a"), overrides={"epochs": 1}, **tiny_cifar)
    assert found["finished"]
    assert len(found["runs"][0]["epochs"]) == 1

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cifar.training.train.run", stopped)
    assert list(gpu_parts.training(str(tmp_path / "a"), **tiny_cifar)) == []


def test_measured_and_compared():
    *_, found = gpu_parts.measure("minigrad", gpu_parts.PRODUCT, 16, 0.01)
    assert len(found["times"]) == gpu_parts.TURNS
    assert found["gflop"] == pytest.approx(2 * 16**3 / 1e9)
    (found,) = gpu_parts.agree("resnet-32", "cpu", 2, 8)
    assert found["from_cpu"] == 0
    assert len(found["losses"]) == gpu_parts.STEPS
    (found,) = gpu_parts.describe("cpu", None)
    assert (found["device"], found["precision"]) == ("cpu", "fp32")


def test_a_gpu_that_is_not_there(monkeypatch, tmp_path):
    import minigrad as mg

    if mg.is_gpu_available():
        pytest.skip("there is one")
    monkeypatch.setattr(sys, "argv", ["x", "--budget", "60s", "--out", str(tmp_path / "x.json")])
    monkeypatch.setattr(gpu_session.signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit, match="error: device 'gpu'"):
        gpu_session.main()

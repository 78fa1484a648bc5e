"""The benchmark of what two threads do not share."""

from __future__ import annotations

import json
import sys

import pytest

import minigrad as mg
from benchmarks import contest, serial


def test_what_is_not_shared(monkeypatch, tmp_path, capsys):
    """A step of 30 ms, a third of which is not shared, with one slow turn. The convolution is
    shared; half of what is not is in the optimiser, half in the rest."""
    whole = iter([[0.03, 0.04], [0.05, 0.02], [0.06], [0.07]])
    parts = {"conv2d, forward": 0.02, "optimiser": 0.005, serial.REST: 0.005}
    turns = iter([parts, {**parts, "conv2d, forward": 0.01}, {**parts, "optimiser": 0.1}, parts])
    asked = []

    def in_child(benchmark, contestant, threads, **work):
        asked.append((benchmark, contestant, threads, work))
        if benchmark == "serial":
            return next(turns)
        return {"times": next(whole), "memory_mb": 1.0}

    monkeypatch.setattr(contest, "in_child", in_child)
    out = tmp_path / "serial.json"
    line = ["serial", "--model", "gated", "--batch", "8", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", line)
    serial.main()
    work = {"model": "gated", "batch": 8, "steps": 2}
    assert asked == [
        (benchmark, "minigrad", threads, work)
        for threads in (1, 2, 1, 2)
        for benchmark in ("train_step", "serial")
    ]
    (row,) = json.loads(out.read_text("utf-8"))["results"]
    assert row["serial"] == pytest.approx(1 / 3)
    assert {part["part"]: serial.lost(part) for part in row["parts"]} == pytest.approx(
        {"conv2d, forward": 0, "optimiser": 0.005, serial.REST: 0.005}
    )
    shown = capsys.readouterr().out
    assert "gated, 8" in shown
    assert "optimiser" in shown
    assert "conv2d" not in shown


@pytest.fixture
def unwatched(monkeypatch):
    """What a clock replaces is put back."""
    monkeypatch.setattr(serial.Operation, "choose", serial.Operation.choose)
    monkeypatch.setattr(mg.optim.Optimizer, "step", mg.optim.Optimizer.step)


@pytest.mark.usefixtures("unwatched")
def test_parts_are_the_step():
    parts = serial.measure("minigrad", 1, "four-block", batch=2, steps=2)
    assert {"conv2d, forward", "conv2d, backward", "optimiser", serial.REST} <= parts.keys()
    assert min(parts.values()) > 0


@pytest.mark.usefixtures("unwatched")
def test_a_timed_step_computes_the_same():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    clock = serial.Clock()
    clock.watch()
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    parts = {f"{name}, {way}" for name in ("mul", "sum") for way in ("forward", "backward")}
    assert set(clock.seconds) == parts

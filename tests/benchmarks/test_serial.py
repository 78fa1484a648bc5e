"""The benchmark of what two threads do not share."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import contest, serial


def test_what_is_not_shared(monkeypatch, tmp_path, capsys):
    """A step of 30 ms, a third of which is not shared, with one slow turn."""
    turns = iter([[0.03, 0.04], [0.05, 0.02], [0.06], [0.07]])
    asked = []

    def in_child(benchmark, contestant, threads, **work):
        asked.append((benchmark, contestant, threads, work))
        return {"times": next(turns), "memory_mb": 1.0}

    monkeypatch.setattr(contest, "in_child", in_child)
    out = tmp_path / "serial.json"
    line = ["serial", "--model", "gated", "--batch", "8", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", line)
    serial.main()
    work = {"model": "gated", "batch": 8, "steps": 2}
    assert asked == [("train_step", "minigrad", threads, work) for threads in (1, 2, 1, 2)]
    (row,) = json.loads(out.read_text("utf-8"))["results"]
    assert row["serial"] == pytest.approx(1 / 3)
    assert "gated, 8" in capsys.readouterr().out

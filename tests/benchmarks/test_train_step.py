"""The benchmark runs each contestant on the same work and reports what it measured."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import train_step
from cifar import recipes


@pytest.mark.parametrize("contestant", train_step.CONTESTANTS)
def test_a_contestant(contestant):
    found = train_step._contest(contestant, "simple", batch=2, threads=1, steps=2)
    assert len(found["times"]) == 2
    assert min(found["times"]) > 0
    assert found["memory_mb"] >= 0


def test_compare_takes_medians_and_the_better_torch(monkeypatch):
    seconds = dict.fromkeys(train_step.CONTESTANTS, 1.0)
    seconds |= {"minigrad": 0.5, "torch channels_last": 0.25}
    order = []

    def child(contestant, **_):
        order.append(contestant)
        return {"times": [seconds[contestant], seconds[contestant], 9.0], "memory_mb": 100.0}

    monkeypatch.setattr(train_step, "_in_child", child)
    found = train_step.compare("simple", batch=8, threads=1, steps=3, rounds=2)
    assert order == [*train_step.CONTESTANTS] * 2  # in turn
    assert found["results"]["minigrad"]["images_per_second"] == 16
    assert found["best_torch"] == "torch channels_last"
    assert found["ratio"] == 0.5
    assert found["memory_ratio"] == 1


def test_glibc_keeps_memory_where_the_name_says_so(monkeypatch):
    seen = {}

    def child(call, env, **_):
        name = json.loads(call[-1])["contestant"]
        seen[name] = "MALLOC_TRIM_THRESHOLD_" in env
        return subprocess.CompletedProcess(call, 0, "{}")

    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    monkeypatch.setattr(subprocess, "run", child)
    for name in train_step.CONTESTANTS:
        train_step._in_child(contestant=name)
    assert seen == {name: "keeping" in name for name in train_step.CONTESTANTS}


def test_the_command_line_writes_json(monkeypatch, tmp_path, capsys):
    child = {"times": [0.5], "memory_mb": 1.0}
    monkeypatch.setattr(train_step, "_in_child", lambda **_: child)
    out = tmp_path / "x.json"
    monkeypatch.setattr(sys, "argv", ["train_step", "--model", "simple", "--out", str(out)])
    train_step.main()
    written = json.loads(out.read_text())
    assert written["batch"] == recipes.load("simple").batch_size
    assert {"cpu", "cores", "torch", "commit", "command"} <= set(written["machine"])
    assert "speed 1.00" in capsys.readouterr().out

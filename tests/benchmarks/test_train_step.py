"""The benchmark runs each contestant on the same work and reports what it measured."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import contest, train_step
from cifar import environment, recipes


@pytest.mark.parametrize("contestant", ["minigrad", "torch nchw", "torch channels_last"])
def test_a_contestant(contestant):
    found = train_step.measure(contestant, threads=1, model="simple", batch=2, steps=2)
    assert len(found["times"]) == 2
    assert min(found["times"]) > 0
    assert found["memory_mb"] >= 0


def test_steps_by_cost():
    assert train_step.steps_of(gflop=10, peak=100, seconds=1) == 5
    assert train_step.steps_of(gflop=1e6, peak=100, seconds=1) == train_step.LEAST
    assert train_step.steps_of(gflop=1e-6, peak=100, seconds=1) == train_step.MOST


def test_compare_takes_medians_and_the_better_torch(monkeypatch):
    seconds = dict.fromkeys(train_step.CONTESTANTS, 1.0)
    seconds |= {"minigrad": 0.5, "torch channels_last": 0.25}

    def child(_, contestant, **__):
        memory = 100.0 if contestant == "minigrad" else 200.0
        return {"times": [seconds[contestant], seconds[contestant], 9.0], "memory_mb": memory}

    monkeypatch.setattr(contest, "in_child", child)
    found = train_step.compare("simple", batch=8, threads=1, steps=3, rounds=2, peak=4.0)
    ours = found["results"]["minigrad"]
    assert ours["images_per_second"] == 16
    assert ours["gflops"] == pytest.approx(16 * found["gflop_per_image"])
    assert ours["of_peak"] == pytest.approx(4 * found["gflop_per_image"])
    assert found["best_torch"] == "torch channels_last"
    assert found["ratio"] == 0.5
    assert found["memory_ratio"] == 0.5


@pytest.mark.parametrize("more", [[], ["--skip-plain"]])
def test_the_command_line_writes_json(monkeypatch, tmp_path, capsys, more):
    asked = []

    def child(_, contestant, **work):
        asked.append((contestant, work["model"], work["batch"]))
        return {"times": [0.5], "memory_mb": 1.0}

    monkeypatch.setattr(contest, "in_child", child)
    monkeypatch.setattr(environment, "peaks", lambda _: {"gflops": 100.0, "gb_per_second": 10.0})
    out = tmp_path / "x.json"
    words = ["--model", "simple", "--model", "gated", "--rounds", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["train_step", *words, *more])
    train_step.main()
    sizes = {name: recipes.load(name).batch_size for name in ("simple", "gated")}
    contestants = [c for c in train_step.CONTESTANTS if not more or c != "minigrad numpy"]
    assert asked == [(c, m, n) for m, n in sizes.items() for c in contestants]
    written = json.loads(out.read_text())
    assert [one["model"] for one in written["models"]] == ["simple", "gated"]
    assert {"cpu", "cores", "torch", "numba", "commit", "command"} <= set(written["machine"])
    assert written["peaks"]["gflops"] == 100
    shown = capsys.readouterr().out
    assert "speed 1.00" in shown
    assert "gated, 128" in shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "long-tail-ce"], "invalid choice: 'long-tail-ce'"),
        (["--batch", "0"], "--batch: expected a whole number from 1, got '0'"),
        (["--out", "/no/such/folder/x"], "--out: cannot write '/no/such/folder/x': No such file"),
    ],
)
def test_bad_flags(monkeypatch, capsys, words, expected):
    monkeypatch.setattr(sys, "argv", ["train_step", *words])
    with pytest.raises(SystemExit):
        train_step.main()
    assert expected in capsys.readouterr().err

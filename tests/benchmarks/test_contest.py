"""Contestants get the environment of their name, take turns, and fail in one line."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import contest


def test_the_environment_is_as_the_name_says(monkeypatch):
    monkeypatch.setenv("MINIGRAD_COMPILED", "0")  # none of it comes from outside
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    for name in (*contest.OURS, *contest.TORCH):
        found = contest._environment(name)
        assert ("MALLOC_TRIM_THRESHOLD_" in found) == ("keeping" in name)
        assert ("MALLOC_MMAP_THRESHOLD_" in found) == ("keeping" in name)
        assert found.get("MINIGRAD_COMPILED") == ("0" if name == "minigrad numpy" else None)


def test_turns(monkeypatch):
    order = []

    def child(benchmark, contestant, threads):
        order.append((benchmark, contestant, threads))
        return len(order)

    monkeypatch.setattr(contest, "in_child", child)
    assert contest.rounds("x", ("a", "b"), 2, threads=3) == {"a": [1, 3], "b": [2, 4]}
    assert order == [("x", "a", 3), ("x", "b", 3)] * 2


def test_a_child():
    work = {"threads": 1, "model": "simple", "batch": 2, "steps": 2}
    found = contest.in_child("train_step", "minigrad", **work)
    assert len(found["times"]) == 2
    assert 0 < found["memory_mb"] < 500


def test_a_child_that_does_not_end():
    work = {"threads": 1, "model": "simple", "batch": 2, "steps": 10**9}
    with pytest.raises(contest.ContestError, match=r"^minigrad: not done after 0 s$"):
        contest.in_child("train_step", "minigrad", 0.1, **work)


def test_a_child_that_fails(capsys):
    def work():
        contest.in_child("train_step", "minigrad", threads=1, model="no", batch=2, steps=1)

    with pytest.raises(SystemExit) as stopped:
        contest.run(work)
    assert str(stopped.value).startswith("error: minigrad: ")
    assert "'no'" in str(stopped.value)
    assert "\n" not in str(stopped.value)


@pytest.mark.parametrize(
    ("limits", "calls"),
    [
        ({"least": 3}, 4),
        ({"least": 3, "warm": 2}, 5),
        ({"least": 1, "seconds": 2.5, "most": 9}, 4),  # starts at 0, 1 and 2 seconds
        ({"least": 1, "seconds": 99.0, "most": 5}, 6),
    ],
)
def test_times(monkeypatch, limits, calls):
    now, made = [0.0], []

    def function():
        made.append(now[0])
        now[0] += 1

    monkeypatch.setattr(contest.time, "perf_counter", lambda: now[0])
    found = contest.times(function, **limits)
    assert len(made) == calls
    assert found == [1.0] * (calls - limits.get("warm", 1))


def test_autocast():
    engine = contest.engine("torch nchw bf16", 1)
    model = engine.create("simple")
    logits = model(engine.activation(1, 3, 32, 32))
    assert logits.dtype == engine.library.bfloat16
    assert all(p.dtype == engine.library.float32 for p in model.parameters())


def test_memory_orders():
    ours = contest.engine("minigrad", 1).activation(3, 4, 5, 6)
    assert ours.shape == (3, 4, 5, 6)
    assert ours.data.transpose(1, 2, 3, 0).flags.c_contiguous
    import torch

    last = contest.engine("torch channels_last keeping", 1)
    assert last.activation(3, 4, 5, 6).is_contiguous(memory_format=torch.channels_last)
    assert contest.engine("torch nchw", 1).parameter(3, 4, 5, 6).is_contiguous()


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        *((contest.positive, text) for text in ("0", "-1", "1.5", "x")),
        *((contest.seconds, text) for text in ("0", "nan", "inf", "x")),
    ],
)
def test_bad_flags(check, bad):
    with pytest.raises(argparse.ArgumentTypeError, match=r"expected .*, got '"):
        check(bad)


@pytest.mark.parametrize("path", ["/no/such/folder/x.json", "/", "/dev/null/x"])
def test_results_that_cannot_be_written(path):
    with pytest.raises(argparse.ArgumentTypeError, match=f"cannot write '{path}': "):
        contest.new_file(path)


def test_good_flags(tmp_path):
    assert contest.positive("3") == 3
    assert contest.seconds("0.5") == 0.5
    assert contest.new_file(str(tmp_path / "x.json")) == tmp_path / "x.json"

"""Bars leave out compiling, which has a line of its own."""

from __future__ import annotations

import contextlib
import re

import pytest

import minigrad as mg
from cifar import progress_bar


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    monkeypatch.setattr("tqdm.std.tqdm._time", lambda self: now[0], raising=False)
    return now


@pytest.fixture
def compiler(monkeypatch):
    """A compiler: a call with a kernel's name is reported to those who watch."""
    watchers = []

    @contextlib.contextmanager
    def watch(report):
        watchers.append(report)
        yield
        watchers.pop()

    monkeypatch.setattr(mg, "watch_compilation", watch)
    return lambda name: [report(name) for report in watchers]


def test_the_first_step_counts_but_not_its_time(clock, compiler, capsys):
    with progress_bar.Bar(100, initial=10, desc="epoch 1/2", mininterval=0) as bar:
        with bar.step(10):
            compiler("first")
            clock[0] += 60
            compiler("second")
        for _ in range(2):
            with bar.step(10):
                compiler("third")
                clock[0] += 1
        bar.show({"loss": "0.5"})
    shown = [line for line in re.split("[\r\n]", capsys.readouterr().err) if line.strip()]
    lines = [line for line in shown if line.startswith(progress_bar.COMPILING)]
    assert lines[-1].rstrip() == f"{progress_bar.COMPILING}: 2 so far [01:00]"
    assert any("1 so far [00:00], first" in line for line in lines)
    after = shown[shown.index(lines[-1]) + 1 :]
    assert after
    assert all(line.startswith("epoch 1/2: ") for line in after)
    assert "20/100" in after[0]
    assert "40/100 [00:02<00:06, 10.00img/s, loss=0.5]" in after[-1]


def test_nothing_is_shown_where_nothing_is_compiled(capsys):
    with progress_bar.compiling():
        mg.ones(3)
    assert capsys.readouterr().err == ""


def test_hidden_bars_show_nothing(compiler, capsys):
    for disable in (True, None):  # None: stderr is no terminal
        with progress_bar.Bar(10, disable=disable) as bar:
            for _ in range(2):
                with bar.step(5):
                    compiler("kernel")
            bar.show({"loss": "0.5"})
    assert capsys.readouterr().err == ""


def test_a_bar_without_a_step(capsys):
    with progress_bar.Bar(10) as bar:
        bar.show({"loss": "0.5"})
    assert capsys.readouterr().err == ""


def test_a_step_that_fails_closes_its_line(compiler, capsys):
    def stop():
        compiler("kernel")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), progress_bar.Bar(10) as bar, bar.step(5):
        stop()
    assert capsys.readouterr().err.endswith("\n")

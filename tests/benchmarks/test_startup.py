"""The benchmark of start-up runs whole processes, cold ones with an empty cache."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import contest, startup

LOOK = """
import os, pathlib, sys
assert "PYTHONDONTWRITEBYTECODE" not in os.environ
cache = pathlib.Path(os.environ["NUMBA_CACHE_DIR"])
sys.exit(0 if list(cache.iterdir()) == [] else "not empty")
"""


def test_a_cold_process_has_an_empty_cache(monkeypatch, tmp_path):
    (tmp_path / "kernel").touch()
    monkeypatch.setattr(startup, "ROWS", {"step": LOOK, "step, cold": LOOK})
    assert startup.seconds("step, cold", str(tmp_path)) > 0
    with pytest.raises(contest.ContestError, match="step: not empty"):
        startup.seconds("step", str(tmp_path))


@pytest.mark.parametrize("row", ["import minigrad", "cifar --help"])
def test_a_row_runs(row, tmp_path):
    assert startup.seconds(row, str(tmp_path)) > 0


def test_a_first_step_runs():
    """With the kernels that are compiled already: anew they take 20 seconds."""
    subprocess.run([sys.executable, "-c", startup.ROWS["simple, first step"]], check=True)


def test_the_command_line_shows_the_least(monkeypatch, tmp_path, capsys):
    rows = {"one": "", "two": ""}
    times = iter([9.0, 9.0, 3.0, 4.0, 2.0, 8.0])  # warm-up, then two rounds
    monkeypatch.setattr(startup, "ROWS", rows)
    monkeypatch.setattr(startup, "seconds", lambda row, cache: next(times))
    out = tmp_path / "x.json"
    monkeypatch.setattr(sys, "argv", ["startup", "--rounds", "2", "--out", str(out)])
    startup.main()
    assert json.loads(out.read_text())["seconds"] == {"one": [3.0, 2.0], "two": [4.0, 8.0]}
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[-2:] for line in shown] == [["2.00", "s"], ["4.00", "s"]]

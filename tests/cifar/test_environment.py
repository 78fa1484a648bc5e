"""What a measurement was made on."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from cifar import environment


def test_describe():
    found = environment.describe("pytest")
    assert found["numpy"] == np.__version__
    assert found["pytest"] == pytest.__version__
    assert found["cores"] >= 1
    assert environment.describe("no-such-package")["no-such-package"] is None


def test_peaks(monkeypatch):
    clock = iter(range(100))  # every call takes one second
    monkeypatch.setattr(environment.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(environment, "SGEMM_SIZE", 100)
    monkeypatch.setattr(environment, "COPY_BYTES", 1000)
    assert environment.peaks(2) == {"gflops": 2e-3, "gb_per_second": 2e-6}


def test_the_commit_of_this_tree_alone(tmp_path, monkeypatch):
    assert re.fullmatch(r"([0-9a-f]{12}\+?)?", environment.commit())
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr(
        environment, "__file__", str(tmp_path / "environment.py")
    )  # installed in there
    assert environment.commit() == ""
    monkeypatch.setenv("PATH", str(tmp_path))  # no git
    assert environment.commit() == ""


@pytest.mark.parametrize(
    ("spec", "expected"), [("cifar.__main__", "python -m cifar x"), (None, "cifar x")]
)
def test_the_command(monkeypatch, spec, expected):
    class Main:
        __spec__ = spec and type("Spec", (), {"name": spec})

    monkeypatch.setitem(sys.modules, "__main__", Main())
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/cifar", "x"])
    assert environment.describe()["command"] == expected


def test_memory_is_this_processs_own():
    """A child starts small, whatever its parent has held."""
    held = np.ones(60_000_000)
    assert environment.peak_memory_mb() > 480
    code = "from cifar import environment; print(environment.peak_memory_mb())"
    call = [sys.executable, "-c", code]
    child = subprocess.run(call, capture_output=True, text=True, check=True)
    assert 5 < float(child.stdout) < 300 < held.nbytes / 1e6


def test_write(tmp_path):
    environment.write(tmp_path / "x.json", {"a": "é"})
    assert (tmp_path / "x.json").read_text() == '{\n "a": "é"\n}\n'
    assert mg.__version__

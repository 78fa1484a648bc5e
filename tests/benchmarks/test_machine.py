"""Peaks, memory and versions are this process's and this machine's."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from benchmarks import machine


def test_peaks(monkeypatch):
    clock = iter(range(100))  # every call takes one second
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(machine, "SGEMM", 100)
    monkeypatch.setattr(machine, "COPIED", 1000)
    assert machine.peaks(2) == {"gflops": 2e-3, "gb_per_second": 2e-6}


def test_memory_is_this_process_s_own():
    held = np.ones(300 << 20, np.uint8)
    assert machine.peak_mb() > held.nbytes / 1e6
    # getrusage's figure would start at the parent's.
    code = "from benchmarks import machine; print(machine.peak_mb())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 300


def test_a_missing_package_has_no_version():
    found = machine.describe("torch", "no-such-package")
    assert found["torch"]
    assert found["no-such-package"] is None

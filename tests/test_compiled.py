"""The switch between compiled kernels and plain NumPy."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import compiled
from tests.common import refuses, set_compiled


@pytest.mark.usefixtures("compiled")
def test_switch():
    float32, float16 = np.dtype(np.float32), np.dtype(np.float16)
    assert compiled.kernels("norm", float32).__name__ == "minigrad.kernels.norm"
    assert compiled.kernels("norm", float16) is None
    with set_compiled(False):
        assert not mg.is_compiled()
        assert compiled.kernels("norm", float32) is None


def test_wrong_type():
    refuses(TypeError, "enabled: expected a bool, got int", lambda: mg.set_compiled(1))


def test_without_numba(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refuses(ModuleNotFoundError, "pip install 'minigrad[fast]'", lambda: mg.set_compiled(True))
    assert compiled._default() is False
    monkeypatch.setenv("MINIGRAD_COMPILED", "1")
    refuses(ModuleNotFoundError, "MINIGRAD_COMPILED=1", compiled._default)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(("value", "enabled"), [("", True), ("0", False), ("1", True)])
def test_environment(monkeypatch, value, enabled):
    monkeypatch.setenv("MINIGRAD_COMPILED", value)
    assert compiled._default() is enabled


def test_environment_with_another_value(monkeypatch):
    monkeypatch.setenv("MINIGRAD_COMPILED", "yes")
    refuses(ValueError, "MINIGRAD_COMPILED='yes': expected 0 or 1", compiled._default)


def test_plain_numpy_never_imports_numba():
    program = (
        "import sys, minigrad as mg; from minigrad import nn\n"
        "net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))\n"
        "net(mg.randn(16, 3, 8, 8)).sum().backward()\n"
        "assert sys.modules.get('numba') is None"
    )
    environment = {**os.environ, "MINIGRAD_COMPILED": "0"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)

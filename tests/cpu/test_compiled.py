"""The switch between compiled kernels and plain NumPy."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad.cpu import compiled
from tests.common import refuses, set_compiled


@pytest.mark.usefixtures("compiled")
def test_switch():
    float32, float16 = np.dtype(np.float32), np.dtype(np.float16)
    assert compiled.kernels("norm", float32).__name__ == "minigrad.cpu.kernels.norm"
    assert compiled.kernels("norm", float16) is None
    with set_compiled(False):
        assert not mg.is_compiled()
        assert compiled.kernels("norm", float32) is None


def test_wrong_type():
    refuses(TypeError, "enabled: expected a bool, got int", lambda: mg.set_compiled(1))


@pytest.mark.usefixtures("compiled")
def test_what_is_compiled_is_told():
    import numba

    def kernel(x):
        return x + 1

    kernel.__module__ = "minigrad.cpu.kernels.trial"
    compiled_kernel, others, names = numba.njit(kernel), numba.njit(lambda x: x), []
    with mg.watch_compilation(names.append):
        others(1)
        assert compiled_kernel(1) == 2
        assert compiled_kernel(2) == 3
        assert names == ["kernel"]
        compiled_kernel(1.5)
    compiled_kernel(1j)
    assert names == ["kernel", "kernel"]


def test_nothing_is_told_of_plain_numpy():
    names = []
    with set_compiled(False), mg.watch_compilation(names.append):
        mg.functional.relu(mg.ones(3))
    assert names == []


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """A way to put another Numba in place of the one installed: a module that runs ``code``."""

    def put(code):
        (tmp_path / "numba").mkdir()
        (tmp_path / "numba" / "__init__.py").write_text(code, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)

    for name in [name for name in sys.modules if name.partition(".")[0] == "numba"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(compiled, "_enabled", None)
    monkeypatch.delenv("MINIGRAD_COMPILED", raising=False)
    return put


def test_without_numba(monkeypatch, broken):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert not mg.is_compiled()
    text = "needs Numba, which cannot be imported (ModuleNotFoundError: "
    refuses(ImportError, text, lambda: mg.set_compiled(True))
    refuses(ImportError, mg.console.install("fast"), lambda: mg.set_compiled(True))
    monkeypatch.setenv("MINIGRAD_COMPILED", "1")
    refuses(ImportError, f"MINIGRAD_COMPILED=1: {text}", compiled._default)


@pytest.mark.parametrize(
    "code",
    [
        "raise ImportError('Numba needs NumPy 2.0 or less. Got NumPy 2.3.')",
        "import no_such_thing",
        "raise OSError('libllvmlite.so: file too short')",
        "None.njit",
        "1 +",
    ],
)
def test_a_broken_numba_is_told_once_and_done_without(broken, code, monkeypatch):
    broken(code)
    x = mg.tensor([1.0, -1.0])
    with pytest.warns(RuntimeWarning) as heard:
        y = mg.functional.relu(x)
    assert y.numpy().tolist() == [1, 0]
    assert not mg.is_compiled()
    (said,) = (str(one.message) for one in heard)
    assert said.startswith("compiled kernels: needs Numba, which cannot be imported (")
    assert said.endswith("; until then plain NumPy is used")
    refuses(ImportError, "set_compiled(True): needs Numba", lambda: mg.set_compiled(True))
    monkeypatch.setenv("MINIGRAD_COMPILED", "1")
    refuses(ImportError, "MINIGRAD_COMPILED=1: needs Numba", compiled._default)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(("value", "enabled"), [("", True), ("0", False), ("1", True)])
def test_environment(monkeypatch, value, enabled):
    monkeypatch.setenv("MINIGRAD_COMPILED", value)
    assert compiled._default() is enabled


def test_environment_with_another_value(monkeypatch):
    monkeypatch.setenv("MINIGRAD_COMPILED", "yes")
    refuses(ValueError, "MINIGRAD_COMPILED: expected 0 or 1, got 'yes'", compiled._default)


def test_plain_numpy_never_imports_numba():
    program = (
        "import sys, minigrad as mg; from minigrad import nn\n"
        "net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))\n"
        "net(mg.randn(16, 3, 8, 8)).sum().backward()\n"
        "assert sys.modules.get('numba') is None"
    )
    environment = {**os.environ, "MINIGRAD_COMPILED": "0"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)

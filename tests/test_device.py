"""Devices: their names, and errors that say what is missing."""

from __future__ import annotations

import builtins
import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad.device import check_current, move
from tests.common import (
    CUDARuntimeError,
    fake_cupy,
    refuses,
)


def test_cpu():
    cpu = mg.device("cpu")
    assert (cpu.type, cpu.index, str(cpu), repr(cpu)) == ("cpu", 0, "cpu", "device('cpu')")
    assert cpu == mg.device("cpu:0") == mg.device(cpu)
    assert cpu != "cpu"
    assert len({cpu, mg.device("cpu:0")}) == 1
    assert cpu.xp is np


@pytest.fixture
def no_cupy(monkeypatch):
    """A machine without CuPy."""
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "cupy":
            raise ImportError("No module named 'cupy'")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.usefixtures("no_cupy")
@pytest.mark.parametrize("spec", ["gpu", "cuda", "gpu:0", "cuda:1"])
def test_gpu_without_cupy_says_how_to_install_it(spec):
    text = (
        "device 'gpu' needs CuPy, which cannot be imported (No module named 'cupy'); "
        "run pip install -e '.[gpu]' in the folder of the checkout"
    )
    refuses(mg.DeviceError, text, lambda: mg.device(spec))
    refuses(mg.DeviceError, text, lambda: mg.zeros(2, device=spec))
    assert not mg.is_gpu_available()
    assert mg.device("auto") == mg.device("cpu")


@pytest.mark.parametrize(
    ("driver", "remedy"),
    [
        (0, "check the driver with nvidia-smi, or use device 'cpu'"),
        (13010, "check the driver with nvidia-smi, or use device 'cpu'"),
        (11080, "the driver is for CUDA 11, this CuPy for CUDA 13: update the driver, or use"),
        (
            12080,
            "the driver is for CUDA 12, this CuPy for CUDA 13: update the driver, or pip uninstall "
            "cupy-cuda13x and run pip install -e '.[gpu-cuda12]' in the folder of the checkout, or",
        ),
    ],
)
def test_gpu_without_a_driver_that_serves(monkeypatch, driver, remedy):
    def fail():
        raise CUDARuntimeError("cudaErrorInsufficientDriver")

    runtime = fake_cupy(monkeypatch, fail).cuda.runtime
    runtime.driverGetVersion, runtime.runtimeGetVersion = lambda: driver, lambda: 13000
    text = "CuPy is installed but finds no usable GPU (cudaErrorInsufficientDriver); " + remedy
    refuses(mg.DeviceError, text, lambda: mg.device("gpu"))
    assert not mg.is_gpu_available()


def test_gpu_without_a_device_says_so(monkeypatch):
    fake_cupy(monkeypatch, lambda: 0)
    text = "CuPy and the driver work but there is no GPU; use 'cpu'"
    refuses(mg.DeviceError, text, lambda: mg.device("gpu"))


def test_gpu_numbers(monkeypatch):
    cupy = fake_cupy(monkeypatch, lambda: 2)
    assert mg.is_gpu_available()
    second = mg.device("cuda:1")
    assert (second.type, second.index, str(second)) == ("gpu", 1, "gpu:1")
    assert second.xp is cupy
    assert mg.device("auto") == mg.device("gpu") == mg.device("gpu:0") != second
    text = "device: 'gpu:2' was asked for, but there are 2 GPUs (from 0)"
    refuses(mg.DeviceError, text, lambda: mg.device("gpu:2"))


def test_the_gpu_in_use(monkeypatch):
    cupy = fake_cupy(monkeypatch, lambda: 2)
    current = [0]
    cupy.cuda.runtime.getDevice = lambda: current[0]
    cupy.cuda.Device = lambda index: SimpleNamespace(use=lambda: current.__setitem__(0, index))
    array = SimpleNamespace(device=SimpleNamespace(id=1))
    text = (
        'mul: a tensor is on gpu:1 while gpu:0 is in use; call minigrad.device("gpu:1").use() first'
    )
    refuses(mg.DeviceError, text, lambda: check_current("mul", array))
    mg.device("cpu").use()
    mg.device("gpu:1").use()
    check_current("mul", array)
    check_current("mul", np.ones(1))


def test_nothing_is_moved_while_a_step_is_recorded(monkeypatch):
    """A graph would copy from the same address of the CPU at every replay."""
    cupy = fake_cupy(monkeypatch, lambda: 1)
    cupy.cuda.Device = lambda index: contextlib.nullcontext()
    cupy.cuda.get_current_stream = lambda: SimpleNamespace(is_capturing=lambda: True)
    text = "moved to the GPU: do so before the step"
    refuses(RuntimeError, text, lambda: move(np.ones(3), mg.device("gpu")))

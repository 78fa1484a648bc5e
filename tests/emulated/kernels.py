"""minigrad's CUDA kernels on NumPy arrays: NVRTC compiles them, the emulator runs their PTX.

:func:`as_gpu` puts :func:`launch` in place of the one that hands kernels to CuPy. Every array of a
launch has memory of its own, so that one element beyond it is an error; and every access is checked
for races, for values that nothing wrote, and for alignment.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from minigrad import dispatch
from minigrad.gpu import launch as cuda
from tests.emulated import build
from tests.gpu.kernels.nvrtc import compiled

TARGET = "compute_90"  # the generation of GPUs whose PTX is run


class KernelError(Exception):
    """A kernel did what a GPU refuses, or what is wrong on one."""


def usable(x: np.ndarray) -> bool:
    """In place of `minigrad.gpu.launch.usable`."""
    return x.dtype in (np.float32, np.float64)


@functools.cache
def machine() -> ctypes.CDLL:
    """The emulator."""
    library = ctypes.CDLL(str(build.library("libemulator.so", build.CORE)))
    for name in ("findings", "write", "read", "load", "launch"):
        getattr(library, f"emulator_{name}").restype = ctypes.c_char_p
    library.emulator_allocate.restype = ctypes.c_uint64
    library.emulator_check(1)
    return library


def _call(name: str, *args: Any) -> None:
    if error := getattr(machine(), f"emulator_{name}")(*args):
        raise KernelError(error.decode())


@functools.cache
def _module(source: str, defines: cuda.Defines, target: str) -> ctypes.c_void_p:
    module = ctypes.c_void_p()
    _call("load", compiled(source, target, **dict(defines)), ctypes.byref(module))
    return module


def launch(
    family: str,
    name: str,
    defines: cuda.Defines,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    values: list[Any],
    shared: int,
) -> None:
    """In place of `minigrad.gpu.launch._launch`."""
    module = _module(cuda.source(family), defines, TARGET)
    parameters = cuda.signature(family, name, defines)
    memory = _Memory()
    try:
        cells = [memory.cell(value) for value in values]
        _call(
            "launch",
            module,
            name.encode(),
            (ctypes.c_uint * 3)(*grid, *[1] * (3 - len(grid))),
            (ctypes.c_uint * 3)(*block, *[1] * (3 - len(block))),
            ctypes.c_size_t(shared),
            (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells)),
        )
        if found := machine().emulator_findings():
            raise KernelError(f"{name}: {found.decode().splitlines()[0]}")
        memory.take_back(
            {
                _key(value)
                for parameter, value in zip(parameters, values, strict=True)
                if parameter.stars == 1 and parameter.const and value is not None
            }
        )
    finally:
        memory.release()
        machine().emulator_findings()  # of a launch that failed


def _key(array: np.ndarray) -> tuple[int, int]:
    """Where an array is; two of a launch that are the same memory stay so."""
    return array.ctypes.data, array.nbytes


class _Memory:
    """The device's copies of the arrays of one launch."""

    def __init__(self) -> None:
        self.copies: dict[tuple[int, int], tuple[np.ndarray, int]] = {}
        self.tables: list[int] = []

    def cell(self, value: Any) -> np.ndarray:
        """The bytes of an argument, as cuLaunchKernel takes it."""
        if isinstance(value, list):
            table = np.array([self.address(array) for array in value], np.uint64)
            self.tables.append(self.send(table))
            value = np.uint64(self.tables[-1])
        elif value is None:
            value = np.uint64(0)
        elif isinstance(value, np.ndarray):
            value = np.uint64(self.address(value))
        return np.array(value)

    def address(self, array: np.ndarray) -> int:
        key = _key(array)
        if key not in self.copies:
            array = array.transpose(np.argsort([-step for step in array.strides], kind="stable"))
            assert array.flags.c_contiguous, "an array with gaps"
            self.copies[key] = array, self.send(array)
        return self.copies[key][1]

    def send(self, array: np.ndarray) -> int:
        there = machine().emulator_allocate(ctypes.c_size_t(array.nbytes))
        _call("write", ctypes.c_uint64(there), ctypes.c_void_p(array.ctypes.data), array.nbytes)
        return there

    def take_back(self, constant: set[tuple[int, int]]) -> None:
        for key, (array, there) in self.copies.items():
            copy = np.empty_like(array)
            _call("read", ctypes.c_void_p(copy.ctypes.data), ctypes.c_uint64(there), array.nbytes)
            if key in constant and copy.tobytes() != array.tobytes():
                raise KernelError("an array declared const was changed")
            array[...] = copy

    def release(self) -> None:
        for there in (*self.tables, *(there for _, there in self.copies.values())):
            machine().emulator_release(ctypes.c_uint64(there))


@contextmanager
def as_gpu() -> Iterator[None]:
    """Operations on NumPy arrays go by CUDA kernels, which the emulator runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "_launch", launch)
        patch.setattr(cuda, "usable", usable)
        patch.setattr(dispatch, "device_type", lambda *arrays: "gpu")
        yield

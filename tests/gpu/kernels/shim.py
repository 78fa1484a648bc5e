"""CUDA kernels compiled as C++ and run on NumPy arrays: a `minigrad.gpu.launch._launch` for tests.

Every array is handed over between two bands of NaN, which must come back unharmed, and so must
arrays that the kernel declares ``const``; beyond the bands (behind an array after less than 256
bytes) is memory that cannot even be read. Every launch runs twice, with blocks and threads in
opposite orders: results must be the same bits, or some thread depends on the order of others. The
second time each band has a byte of its own instead, so that what lies beyond arrays shows too.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import mmap
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import dispatch
from minigrad.gpu import launch as cuda

HERE = Path(__file__).parent
FLAGS = (
    *("-std=c++17", "-O1", "-shared", "-fPIC", "-w", "-ffp-contract=off", "-U_FORTIFY_SOURCE"),
    "-fsanitize=bounds,alignment,signed-integer-overflow,shift",
    "-fsanitize-undefined-trap-on-error",
)
FENCE = 1 << 16  # bytes, a multiple of any page's
ONE = threading.Lock()  # the stand-in has one set of globals per library, operations many threads


class KernelError(AssertionError):
    """A kernel did something that a GPU need not forgive."""


def usable(x: np.ndarray) -> bool:
    """In place of `minigrad.gpu.launch.usable`: NumPy arrays take the CUDA way."""
    return x.dtype in (np.float32, np.float64)


@contextmanager
def as_gpu() -> Iterator[None]:
    """Within it the CPU is the GPU: operations on NumPy arrays take the implementations for GPUs,
    and CUDA kernels run on NumPy arrays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "_launch", launch)
        patch.setattr(cuda, "usable", usable)
        patch.setattr(dispatch, "device_type", lambda *arrays: "gpu")
        yield


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
    run = getattr(_library(family, defines), f"run_{name}")
    run.restype = ctypes.c_char_p
    parameters = cuda.signature(family, name, defines)
    results = []
    for opposite in (False, True):
        memory = _Memory(opposite)
        pointers = [memory.pointer(value) for value in values]
        with ONE:
            error = run(
                (ctypes.c_uint * 3)(*grid, *[1] * (3 - len(grid))),
                (ctypes.c_uint * 3)(*block, *[1] * (3 - len(block))),
                ctypes.c_size_t(shared),
                ctypes.c_bool(opposite),
                (ctypes.c_void_p * len(pointers))(*pointers),
            )
        if error:
            raise KernelError(f"{name}: {error.decode()}")
        memory.check(name)
        results.append(memory.copies)
    constant = {
        _key(value)
        for parameter, value in zip(parameters, values, strict=True)
        if parameter.stars == 1 and parameter.const and value is not None
    }
    for key, (array, copy) in results[0].items():
        if copy.tobytes() != results[1][key][1].tobytes():
            raise KernelError(
                f"{name}: the result depends on the order of threads or copies, "
                "or on what is beyond an array"
            )
        if key in constant and copy.tobytes() != array.tobytes():
            raise KernelError(f"{name}: an array declared const was changed")
        array[...] = copy


Key = tuple[int, int]


def _key(array: np.ndarray) -> Key:
    """Where an array is; two of a launch that are the same memory stay so."""
    return array.ctypes.data, array.nbytes


class _Memory:
    """Guarded copies of the arrays of one launch, and what the kernel's arguments point to."""

    def __init__(self, opposite: bool) -> None:
        self.opposite = opposite
        self.copies: dict[Key, tuple[np.ndarray, np.ndarray]] = {}  # originals and copies
        self.bands: list[tuple[np.ndarray, int]] = []  # and the byte that fills it
        self.alive: list[Any] = []

    def pointer(self, value: Any) -> int:
        """The address of an argument, as cuLaunchKernel takes it."""
        if isinstance(value, list):
            table = np.array([self.copy(array) for array in value], np.uint64)
            self.alive.append(table)
            value = np.uint64(table.ctypes.data)
        elif value is None:
            value = np.uint64(0)
        elif isinstance(value, np.ndarray):
            value = np.uint64(self.copy(value))
        cell = np.array(value)
        self.alive.append(cell)
        return cell.ctypes.data

    def copy(self, array: np.ndarray) -> int:
        """The address of the guarded copy of ``array``, aligned as on a GPU."""
        key = _key(array)
        if key not in self.copies:
            array = array.transpose(np.argsort([-step for step in array.strides], kind="stable"))
            assert array.flags.c_contiguous, "an array with gaps"
            fill = 0x70 + len(self.copies) % 15 if self.opposite else 0xFF  # floats near 1e30, NaN
            raw = _fenced(array.nbytes, fill)
            start = (raw.size - array.nbytes) // 256 * 256
            copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
            copy[...] = array
            self.bands += [(raw[:start], fill), (raw[start + array.nbytes :], fill)]
            self.copies[key] = array, copy
        return self.copies[key][1].ctypes.data

    def check(self, name: str) -> None:
        if any((band != fill).any() for band, fill in self.bands):
            raise KernelError(f"{name}: wrote beyond an array")


def _fenced(nbytes: int, fill: int) -> np.ndarray:
    """At least so many bytes ``fill``, between two fences whose very reading is an error."""
    size = -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    raw = np.frombuffer(mmap.mmap(-1, size + 2 * FENCE), np.uint8)
    for start in (0, FENCE + size):
        fence = ctypes.c_void_p(raw.ctypes.data + start)
        assert not ctypes.CDLL(None).mprotect(fence, ctypes.c_size_t(FENCE), 0)
    raw = raw[FENCE:-FENCE]
    raw[:] = fill
    return raw


@functools.cache
def _folder() -> Path:
    """Libraries of earlier runs stay; their names say what is in them."""
    folder = Path(tempfile.gettempdir()) / f"minigrad-shim-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@functools.cache
def _library(family: str, defines: cuda.Defines) -> ctypes.CDLL:
    """``family`` compiled with ``defines``, with a C function ``run_<kernel>`` per kernel."""
    dynamic = r"extern\s+__shared__\s+(?:__align__\(\d+\)\s*)?([\w ]+?)\s+(\w+)\[\];"
    body = re.sub(dynamic, r"\1 *\2 = (\1 *)shim::dynamic_shared;", cuda.source(family))
    runners = (_runner(name, declared) for name, declared in cuda.declarations(family).items())
    return _compiled("\n".join([f'#include "{HERE / "shim.h"}"', body, *runners]), defines)


def _runner(name: str, declared: tuple[str, ...]) -> str:
    types = [re.sub(r"(__restrict__ )?\w+$", "", parameter) for parameter in declared]
    args = ", ".join(f"*({c_type} *)args[{i}]" for i, c_type in enumerate(types))
    return (
        f'extern "C" const char *run_{name}(const unsigned *grid, const unsigned *block, '
        "size_t shared, bool opposite, void **args) {\n"
        f"    return shim::run(grid, block, shared, opposite, [=] {{ {name}({args}); }});\n}}\n"
    )


def _compiled(text: str, defines: cuda.Defines) -> ctypes.CDLL:
    """The C++ program ``text`` as a loaded library; the test skips where there is no compiler."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no g++, which compiles the CUDA kernels for the CPU")
    options = [*FLAGS, *(f"-D{key}={value}" for key, value in defines)]
    content = "\0".join([text, (HERE / "shim.h").read_text(), *options])
    file = _folder() / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.so"
    if not file.exists():
        with tempfile.TemporaryDirectory(dir=_folder()) as work:
            program, library = Path(work) / "kernels.cpp", Path(work) / "kernels.so"
            program.write_text(text)
            command = [compiler, *options, "-o", str(library), str(program)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            library.replace(file)
    return ctypes.CDLL(str(file))

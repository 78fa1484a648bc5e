"""The door to CUDA kernels: what it checks, and what it asks of CuPy."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad.gpu import launch as cuda
from tests.common import refuses

KERNELS = """
#include "part.cuh"
#include "part.cuh"
/* extern "C" __global__ void not_this(int a) {
*/
extern "C" __global__ void  // or this
scale(const REAL *__restrict__ x, REAL *y,
      long long n, REAL by, bool add) {}
extern "C" __global__ void __launch_bounds__(128) many(REAL *const *tables, const PLACE *p, int n) {
}
"""
FLOAT = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def _family(monkeypatch):
    texts = {"door.cu": KERNELS, "part.cuh": "PART"}
    monkeypatch.setattr(cuda, "_text", texts.__getitem__)
    yield
    for function in (cuda.source, cuda.declarations, cuda.signature, cuda._function, cuda._module):
        function.cache_clear()


@pytest.fixture
def launched(monkeypatch):
    """What reaches the GPU."""
    calls = []
    monkeypatch.setattr(cuda, "_launch", lambda *args: calls.append(args))
    return calls


def array(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def scale(grid=1, block=32, args=None, **options):
    args = (array(2, 3), array(2, 3), 6, 2, True) if args is None else args
    cuda.launch("door", "scale", grid, block, args, REAL=FLOAT, **options)


def many(*args):
    cuda.launch("door", "many", 1, 1, args, REAL=FLOAT, PLACE=np.dtype(np.uint8))


def test_includes_once():
    assert cuda.source("door").count("PART") == 1


def test_comments_go_and_lines_stay():
    text = cuda.source("door")
    assert "not_this" not in text
    assert "or this" not in text
    assert text.count("\n") == KERNELS.count("\n")
    assert "#include" not in cuda.source("door")


def test_arguments_take_the_declared_types(launched):
    scale(grid=(5, 6), block=(7, 8), shared=9)
    ((family, name, defines, grid, block, values, shared),) = launched
    assert (family, name, defines) == ("door", "scale", (("REAL", "float"),))
    assert (grid, block, shared) == ((5, 6), (7, 8), 9)
    assert [v.dtype for v in values[2:]] == [np.int64, np.float32, np.bool_]
    assert values[2:] == [6, 2, True]


def test_lists_and_missing_arrays(launched):
    arrays = [array(2), array(3)]
    many(arrays, None, np.int64(4))
    values = launched[0][5]
    assert [a is b for a, b in zip(values[0], arrays, strict=True)] == [True, True]
    assert values[1] is None
    assert (values[2], values[2].dtype) == (4, np.int32)


def test_no_blocks_are_no_work(launched):
    scale(grid=(3, 0))
    assert not launched


def test_blocks():
    assert [cuda.blocks(n, 32) for n in (0, 1, 32, 33)] == [0, 1, 1, 2]


@pytest.mark.parametrize("grid", [2**31, (1, 65536), (1, 1, 65536), -1, (1, 1, 1, 1)])
def test_grid_limits(launched, grid):
    with pytest.raises(ValueError, match=r"scale: grid .*: expected from 1 up to"):
        scale(grid=grid)
    assert not launched


@pytest.mark.parametrize("grid", [2**31 - 1, (1, 65535, 65535)])
def test_largest_grids(launched, grid):
    scale(grid=grid)
    assert len(launched) == 1


@pytest.mark.parametrize("block", [0, 1025, (32, 33), (1, 1, 1, 1)])
def test_block_limits(block):
    with pytest.raises(ValueError, match="expected 1 to 1024 threads"):
        scale(block=block)


def test_wrong_arguments(launched):
    good = (array(2), array(2), 2, 1.0, False)

    def changed(position, value):
        return lambda: scale(args=(*good[:position], value, *good[position + 1 :]))

    refuses(TypeError, "scale: expected 5 arguments, got 4", lambda: scale(args=good[:4]))
    refuses(
        TypeError, "x: expected an array of float32, got float64", changed(0, array(2, dtype=float))
    )
    refuses(TypeError, "y: expected an array of float32, got int", changed(1, 3))
    refuses(ValueError, "y: expected a C-order array", changed(1, array(2, 3).T))
    refuses(TypeError, "'float' object cannot be interpreted", changed(2, 1.0))
    refuses(OverflowError, "scale: n: 9223372036854775808 does not fit int64", changed(2, 2**63))
    refuses(OverflowError, "many: n: 2147483648 does not fit int32", lambda: many([], None, 2**31))
    refuses(TypeError, "p: expected an array of uint8", lambda: many([], array(2), 1))
    refuses(TypeError, "tables: expected an array of float32", lambda: many([None], None, 1))
    assert not launched


def test_cupy(monkeypatch, capsys):
    """CuPy gets the family's source once, and each kernel its arguments."""
    asked = []

    class Kernel:
        max_dynamic_shared_size_bytes = 0

        def __call__(self, grid, block, args, shared_mem):
            asked.append((grid, block, args, shared_mem, self.max_dynamic_shared_size_bytes))

    class Module:
        def __init__(self, **options):
            asked.append(options)

        def compile(self):
            pass

        def get_function(self, name):
            asked.append(name)
            return Kernel()

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(RawModule=Module, asarray=np.asarray))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    on_gpu = SimpleNamespace(dtype=FLOAT, flags=SimpleNamespace(c_contiguous=True))
    for grid in (1, 2):
        scale(grid=grid, args=(on_gpu, on_gpu, 6, 2, True), shared=50_000)
    many([], None, 3)
    module, name, *calls = asked
    assert module["options"] == ("--std=c++17", "-DREAL=float")
    assert (module["code"], module["backend"]) == (cuda.source("door"), "nvrtc")
    assert name == "scale"
    assert [call[0] for call in calls[:2]] == [(1,), (2,)]
    assert calls[0][3:] == (50_000, 50_000)
    table, null, n = calls[-1][2]
    assert (table.dtype, table.shape) == (np.uint64, (0,))
    assert (null.dtype, null, n) == (np.uint64, 0, 3)
    text = "compiling CUDA kernels: door …"
    shown = f"{text}\r{' ' * len(text)}\r"
    assert capsys.readouterr().err == 2 * shown, "once per set of macros"


def test_arrays_of_the_cpu():
    """CuPy hands one of one element over by value, which a kernel would take for an address."""
    text = "scale: expected arrays on a GPU, got one on the CPU"
    refuses(mg.DeviceError, text, lambda: scale(args=(array(1), array(1), 1, 2, True)))
    text = "many: expected arrays on a GPU, got one on the CPU"
    refuses(mg.DeviceError, text, lambda: many([array(1)], None, 1))


def test_usable():
    assert not cuda.usable(np.zeros(2, np.float32))
    on_gpu = SimpleNamespace(dtype=np.dtype(np.float32))
    assert cuda.usable(on_gpu)
    on_gpu.dtype = np.dtype(np.int64)
    assert not cuda.usable(on_gpu)

"""The emulator: what kernels rely on works, and what they do wrong is found."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.gpu import launch as cuda
from tests.emulated.kernels import KernelError

pytestmark = pytest.mark.usefixtures("on_cpu")

KERNELS = r"""
#include "mma.cuh"

extern "C" __global__ void where_am_i(int *x) {
    int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    x[block * blockDim.x * blockDim.y * blockDim.z + thread] = 1000 * block + thread;
}

extern "C" __global__ void sum_block(const REAL *x, REAL *sums) {
    __shared__ REAL part[64];
    int i = threadIdx.x;
    part[i] = x[blockIdx.x * 64 + i];
    for (int step = 32; step > 0; step /= 2) {
        BARRIER;
        if (i < step) part[i] += part[i + step];
    }
    if (i == 0) sums[blockIdx.x] = part[0];
}

extern "C" __global__ void sum_warp(const REAL *x, REAL *sums) {
    REAL v = x[blockIdx.x * 64 + threadIdx.x];
    for (int bits = 16; bits > 0; bits /= 2) v += __shfl_xor_sync(0xffffffff, v, bits);
    REAL w = __shfl_down_sync(0xffffffff, v, 3);
    if (threadIdx.x % 32 == 0) sums[blockIdx.x * 2 + threadIdx.x / 32] = (v + w) / 2;
}

extern "C" __global__ void reverse(const REAL *x, REAL *y, int n) {
    extern __shared__ REAL held[];
    held[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = held[n - 1 - threadIdx.x];
}

extern "C" __global__ void gather(REAL *const *tables, const long long *at, REAL *y) {
    y[threadIdx.x] = tables[threadIdx.x][at[threadIdx.x]];
}

extern "C" __global__ void copy_behind(const float *x, float *y, bool wait) {
    __shared__ __align__(16) float held[2][4];
    cp_async_16(held[0], x);
    cp_async_commit();
    for (int i = 0; i < 4; ++i) cp_async_4(&held[1][i], x + 4 + i, i < 2);
    cp_async_commit();
    cp_async_wait<1>();
    y[0] = held[0][3];
    if (wait) cp_async_wait<0>();
    for (int i = 0; i < 4; ++i) y[1 + i] = held[1][i];
}

extern "C" __global__ void last_warps_number(int *x) {
    __shared__ int held[2];
    int warp = threadIdx.x / 32;
    held[warp] = warp;
    __syncthreads();
    int other = held[1 - warp];
    BARRIER;
    for (int i = 0; i < 3; ++i) __syncwarp();
    held[warp] = 7;
    x[threadIdx.x] = other;
}

extern "C" __global__ void beyond(REAL *x, int at) { x[at] = 1; }
extern "C" __global__ void look(const float *x, float *y, int at) { y[0] = x[at]; }
extern "C" __global__ void look_behind(const float *x, float *y, int at) {
    __shared__ __align__(16) float held[4];
    cp_async_4(held, x + at);
    cp_async_commit();
    cp_async_wait<0>();
    y[0] = held[0];
}
extern "C" __global__ void copy_one_more(const float *x, float *y) {
    for (int i = 0; i <= 60; ++i) y[i] = x[i];
}
extern "C" __global__ void change_const(const REAL *x) { *(REAL *)x = 1; }
extern "C" __global__ void same_place(int *x) { x[0] = blockIdx.x * 64 + threadIdx.x; }
extern "C" __global__ void one_waits(int *x) { if (threadIdx.x == x[0]) __syncthreads(); }
extern "C" __global__ void half_warp(int *x) { x[0] = __shfl_sync(0xffff, x[0], 0); }
extern "C" __global__ void fixed_index(int *x) {
    int a[4] = {};
    a[x[0]] = 1;
    x[0] = a[0];
}
extern "C" __global__ void overrun() {
    extern __shared__ REAL held[];
    held[threadIdx.x] = 0;
}
"""


@pytest.fixture(autouse=True)
def _test_kernels(monkeypatch):
    """The text above as a family of its own, "own"."""
    text = cuda._text
    monkeypatch.setattr(cuda, "_text", lambda f: KERNELS if f == "own.cu" else text(f))


def run(name, grid, block, *args, real="float32", shared=0, barrier="__syncthreads()"):
    macros = {"REAL": np.dtype(real), "BARRIER": barrier}
    cuda.launch("own", name, grid, block, args, shared=shared, **macros)


def test_indices():
    x = np.zeros((24, 12), np.int32)
    run("where_am_i", (2, 3, 4), (3, 2, 2), x)
    np.testing.assert_array_equal(x, 1000 * np.arange(24)[:, None] + np.arange(12))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_together(dtype):
    x = np.random.default_rng(0).integers(0, 100, (3, 64)).astype(dtype)
    block, warp = np.empty(3, dtype), np.empty((3, 2), dtype)
    run("sum_block", 3, 64, x, block, real=dtype)
    run("sum_warp", 3, 64, x, warp, real=dtype)
    np.testing.assert_array_equal(block, x.sum(axis=1))
    np.testing.assert_array_equal(warp, x.reshape(3, 2, 32).sum(axis=2))


def test_dynamic_shared_memory():
    x, y = np.arange(40, dtype=np.float32), np.zeros(40, np.float32)
    run("reverse", 1, 40, x, y, 40, shared=160)
    np.testing.assert_array_equal(y, x[::-1])


def test_lists_of_arrays():
    tables = [np.arange(n, dtype=np.float32) * n for n in (3, 5, 7)]
    y = np.zeros(3, np.float32)
    run("gather", 1, 3, tables, np.array([2, 4, 6]), y)
    np.testing.assert_array_equal(y, [6, 20, 42])


def test_asynchronous_copies_arrive_when_waited_for():
    x, y = np.arange(8, dtype=np.float32), np.zeros(5, np.float32)
    run("copy_behind", 1, 1, x, y, True)
    np.testing.assert_array_equal(y, [3, 4, 5, 0, 0])
    with pytest.raises(KernelError, match="a copy is under way"):
        run("copy_behind", 1, 1, x, y, False)


# ---------------------------------------------------------------------------- what is found


@pytest.mark.parametrize(
    ("name", "args", "match"),
    [
        ("beyond", (np.zeros(3, np.float32), 3), "illegal write of 4 bytes"),
        ("beyond", (np.zeros(3, np.float32), -1), "illegal write of 4 bytes"),
        *(
            (name, (np.zeros(1000, np.float32), np.zeros(1, np.float32), at), "illegal read")
            for name in ("look", "look_behind")
            for at in (1000, -1)
        ),
        ("change_const", (np.zeros(3, np.float32),), "const was changed"),
        ("same_place", (np.zeros(3, np.int32),), "two threads write"),
        ("one_waits", (np.zeros(1, np.int32),), "a barrier that some threads"),
        ("half_warp", (np.zeros(1, np.int32),), "threads wait for each other"),
        ("fixed_index", (np.full(1, 4, np.int32),), "local memory"),
        ("overrun", (), "shared memory has .* bytes, not"),
    ],
)
def test_mistakes(name, args, match):
    with pytest.raises(KernelError, match=match):
        run(name, 1, 64, *args, shared=63 * 4 if name == "overrun" else 0)


def test_a_missing_barrier():
    x = np.ones((1, 64), np.float32)
    with pytest.raises(KernelError, match=r"nothing wrote|race: a thread"):
        run("sum_block", 1, 64, x, np.empty(1, np.float32), barrier="")


@pytest.mark.parametrize(("barrier", "races"), [("__syncthreads()", False), ("", True)])
def test_shared_memory_used_again(barrier, races):
    """A warp that is ahead must not overwrite what another still reads."""
    x = np.zeros(64, np.int32)
    if races:
        with pytest.raises(KernelError, match="a thread writes what another one reads"):
            run("last_warps_number", 1, 64, x, barrier=barrier)
    else:
        run("last_warps_number", 1, 64, x, barrier=barrier)
        np.testing.assert_array_equal(x, np.repeat([1, 0], 32))


def test_reading_just_beyond_an_array():
    """Also where the NaN found there would hide that it was copied just beyond another."""
    for name in ("gather", "copy_one_more"):
        x, y = np.zeros((2, 60), np.float32)
        args = ([x], np.array([60]), y) if name == "gather" else (x, y)
        with pytest.raises(KernelError, match=r"illegal (read|write)"):
            run(name, 1, 1, *args)

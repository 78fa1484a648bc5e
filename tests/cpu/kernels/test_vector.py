"""Blocks of products and copies, beside NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

numba = pytest.importorskip("numba")
kernels = pytest.importorskip("minigrad.cpu.kernels")
vector = pytest.importorskip("minigrad.cpu.kernels.vector")


@numba.njit
def outer(w, x, step, count, y, pitch, first, fresh):
    vector.outer(w, 0, x, 0, step, count, y, 0, pitch, first, 0, fresh)


@numba.njit
def outer_shifted(w, steps, places, rows, x, j, step, shifts, count, y, pitch, first):
    vector.outer_shifted(
        w, 1, *steps, places, rows, x, 0, j, step, shifts, len(shifts), count, y, 0, pitch, first, 0
    )  # fmt: skip


@numba.njit
def dots(g, g_step, x, x_step, count, y, pitch, fresh):
    vector.dots(g, 0, g_step, x, 0, x_step, count, y, 0, pitch, fresh)


@numba.njit
def move(x, y, n):
    vector.move(x, 1, y, 2, n)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks(dtype):
    """Whole numbers, so that sums in any order are the same."""
    generator, size = np.random.default_rng(0), np.dtype(dtype).itemsize

    def numbers(*shape):
        return generator.integers(-9, 9, shape).astype(dtype)

    across, rows = vector.BLOCK_BYTES // size, vector.ROWS
    w, x, y, first = numbers(3, rows), numbers(3, across + 1), numbers(rows, across + 2), numbers(8)
    added, begun = w.T @ x[:, :across] + y[:, :across], w.T @ x[:, :across] + first[:rows, None]
    for fresh, expected in (False, added), (True, begun):
        found = y.copy()
        outer(w.ravel(), x.ravel(), across + 1, 3, found.reshape(-1), across + 2, first, fresh)
        np.testing.assert_array_equal(found[:, :across], expected)
        np.testing.assert_array_equal(found[:, across:], y[:, across:])

    lanes, count = vector.WIDTH // size, vector.lines(size)
    shifts, places, x = np.array([0, 3]), np.array([2, 0]), numbers(3, 9 + lanes)
    w, found, there = numbers(rows, 3, 4), y.copy(), rows - 1
    seen = [[x[:, j + s : j + s + lanes] for s in shifts] for j in (0, 5)]
    expected = np.einsum("rtp,vpte->rve", w[:there, :, 1 + places], seen).reshape(there, -1)
    flat = w.ravel(), (12, 4), places, there, x.ravel(), 5, 9 + lanes, shifts
    outer_shifted(*flat, 3, found.reshape(-1), across + 2, first)
    np.testing.assert_array_equal(found[:there, :across], expected + first[:there, None])
    np.testing.assert_array_equal(found[there:, :across], found[there - 1 : there, :across])
    np.testing.assert_array_equal(found[:, across:], y[:, across:])

    g, x = numbers(vector.LINES, 3 * lanes + 1), numbers(count, 3 * lanes)
    y = numbers(vector.LINES, count + 1)
    product = g[:, : 3 * lanes] @ x.T
    for fresh, expected in (False, y[:, :count] + product), (True, product):
        found = y.copy()
        flat = found.reshape(-1)
        dots(g.ravel(), 3 * lanes + 1, x.ravel(), 3 * lanes, 3, flat, count + 1, fresh)
        np.testing.assert_array_equal(found[:, :count], expected)
        np.testing.assert_array_equal(found[:, count], y[:, count])


@numba.njit
def move_between(x, low, high, y):
    vector.move_between(x, -3, low, high, y, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moves_a_part(dtype):
    lanes = vector.WIDTH // np.dtype(dtype).itemsize
    for low, high in (3, lanes), (-9, lanes + 9), (5, 5), (3, 4), (lanes + 1, lanes + 3):
        low, x, found = max(3, low), np.arange(1.0, 99).astype(dtype), np.full(99, -1, dtype)
        move_between(x, low, high, found)
        expected = found.copy()
        expected[2 : 2 + lanes] = [k - 2 if low <= k < high else 0 for k in range(lanes)]
        np.testing.assert_array_equal(found, expected)


def test_moves():
    x, y = np.arange(200.0), np.full(200, -1.0)
    for n in (0, 1, 7, 32, 85):
        found = y.copy()
        move(x, found, n)
        np.testing.assert_array_equal(found, [-1, -1, *range(1, 1 + n), *[-1] * (198 - n)])


def double(x):
    for k in range(len(x)):
        x[k] += x[k]


@pytest.mark.skipif(vector.WIDTH < 64, reason="this processor has no vectors of 512 bits")
def test_the_compilers_own_vectors_are_as_long(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    x, compiled = np.ones(100, np.float32), kernels.jit(double)
    compiled(x)
    np.testing.assert_array_equal(x, 2)
    (code,) = compiled.inspect_asm().values()
    assert "%zmm" in code  # the registers of 512 bits

"""Memory that kernels need for themselves."""

from __future__ import annotations

import numpy as np
import pytest

memory = pytest.importorskip("minigrad.cpu.kernels.memory")
numba = pytest.importorskip("numba")


@numba.njit(_nrt=False)
def reversed_by_a_copy(x, more):
    copy, other = memory.allocate(len(x), x), memory.allocate(2, more)
    other[0], other[1] = more, 2 * more
    for k in range(len(x)):
        copy[k] = x[k]
    part = copy[1:]
    for k in range(len(x)):
        x[k] = copy[len(x) - 1 - k]
    found = other[1], len(copy), part[0]
    memory.free(copy)
    memory.free(other)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_arrays_of_the_dtype_of_others(dtype):
    x = np.array([1, 0, 1, 1], dtype)
    assert reversed_by_a_copy(x, 0.5) == (1.0, 4, 0)
    assert x.tolist() == [1, 1, 0, 1]

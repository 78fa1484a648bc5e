"""NumPy's BLAS called by address."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.cpu import threads
from tests.common import grid

blas = pytest.importorskip("minigrad.cpu.kernels.blas")
numba = pytest.importorskip("numba")


@numba.njit
def call(*args):
    blas.gemm(*args)


@pytest.mark.skipif(not threads.blas.functions, reason="BLAS is not that of NumPy's own packages")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_parts_of_other_matrices(dtype):
    """What lies around the result stays as it was."""
    m, n, k = 5, 40, 7
    a, b = grid((m, k + 2)).astype(dtype)[:, :k], grid((n + 1, k), 1).astype(dtype)[:n].T
    whole = np.full((m, n + 3), 9, dtype)
    at = [x.__array_interface__["data"][0] for x in (a, b, whole)]
    function = threads.blas.functions[np.dtype(dtype).char]
    sizes = blas.BY_ROWS, blas.BY_COLUMNS, m, n, k
    call(function, *sizes, dtype(2), at[0], k + 2, at[1], k, dtype(-1), at[2], n + 3)
    np.testing.assert_allclose(whole[:, :n], 2 * a @ b - 9, rtol=1e-5, atol=1e-5)
    assert (whole[:, n:] == 9).all()

"""Matrices turned, beside NumPy."""

from __future__ import annotations

import numpy as np
import pytest

kernels = pytest.importorskip("minigrad.cpu.kernels.turn")


@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 200), (kernels.TILE, kernels.TILE), (130, 2 * kernels.TILE + 1)]
)
def test_turn(shape):
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    out, (columns, rows) = np.empty(shape[::-1], np.float32), shape
    for part in (
        (0, rows // 3, 0, columns),
        (rows // 3, rows, 0, 1),
        (rows // 3, rows, 1, columns),
    ):
        kernels.turn(out.reshape(-1), x.reshape(-1), rows, columns, *part)
    np.testing.assert_array_equal(out, x.T)

"""Weighted sums are products by a matrix that is mostly zeros."""

from __future__ import annotations

import numpy as np
import pytest

kernels = pytest.importorskip("minigrad.cpu.kernels.resize")


@pytest.mark.parametrize("blocks", [1, 3, 6])
def test_sums(blocks):
    rng = np.random.default_rng(0)
    begins, places, weights = np.array([0, 2, 2, 3]), np.array([4, 1, 0]), rng.random(3)
    matrix = np.zeros((3, 5))
    matrix[[0, 0, 2], places] = weights
    x, out = rng.random((blocks, 5)), np.empty((blocks, 3))
    for first, last in ((0, 1), (1, -(-blocks // 4))):
        kernels.numbers(out.reshape(-1), x.reshape(-1), begins, places, weights, 5, first, last)
    np.testing.assert_allclose(out, x @ matrix.T)
    rows = np.empty((3, blocks))
    kernels.rows(rows.reshape(-1), x.T.flatten(), begins, places, weights, 5, blocks, 0, 3)
    np.testing.assert_allclose(rows.T, out)

"""Sums of losses: accurate, and the same whether all losses are kept or only the last ones."""

from __future__ import annotations

import numpy as np
import pytest

loss = pytest.importorskip("minigrad.cpu.kernels.loss")

MSE = (np.inf, 1, 1, np.inf, 0, np.nan)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, loss.RUN, 5 * loss.RUN + 7])
def test_sum(dtype, size):
    value, _ = loss.passes("difference", np.dtype(dtype))
    a, b = np.random.default_rng(0).random((2, size)).astype(dtype) + dtype(3)
    numbers, eps = tuple(map(dtype, MSE)), float(np.finfo(dtype).eps)
    every, last = np.empty(size, dtype), np.empty(loss.RUN, dtype)
    total = value(every, a, b, numbers)
    assert value(last, a, b, numbers) == total
    np.testing.assert_allclose(every, (a - b) ** 2, 4 * eps)
    assert total == pytest.approx(every.astype(np.float64).sum(), rel=8 * eps)

"""Softmax in strips of columns, beside the formula in float64."""

from __future__ import annotations

import numpy as np
import pytest

softmax = pytest.importorskip("minigrad.cpu.kernels.softmax")


@pytest.mark.parametrize("logarithm", [False, True])
@pytest.mark.parametrize("width", [3, 16])
def test_of_many_and_large_numbers(width, logarithm):
    """The sum of many terms is not rounded to their dtype, and none overflows."""
    x = np.random.default_rng(0).normal(1000, 2, (2, 20_000, 7)).astype(np.float32)
    y, n = np.empty_like(x), x.shape[1]
    strips = 2 * -(-7 // width)
    kernel = softmax.kernel("value_in_strips", x.dtype)
    kernel(y.reshape(-1), x.reshape(-1), n, 7, width, 0, strips, logarithm)
    shifted = x.astype(np.float64) - x.max(axis=1, keepdims=True)
    exact = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(y, exact if logarithm else np.exp(exact), rtol=5e-7)

"""Softmax in rows and strips, beside the formula in float64."""

from __future__ import annotations

import numpy as np
import pytest

softmax = pytest.importorskip("minigrad.cpu.kernels.softmax")


@pytest.mark.parametrize("logarithm", [False, True])
@pytest.mark.parametrize("inner", [1, 7])
def test_of_many_and_large_numbers(inner, logarithm):
    """The sum of many terms is not rounded to their dtype, and none overflows."""
    x = np.random.default_rng(0).normal(1000, 2, (2, 20_000, inner)).astype(np.float32)
    y, n, width = np.empty_like(x), x.shape[1], 3
    form, strips = ("rows", 2) if inner == 1 else ("strips", 2 * -(-inner // width))
    kernel = softmax.kernel(f"value_in_{form}", x.dtype)
    kernel(logarithm, y.reshape(-1), x.reshape(-1), n, inner, width, 0, strips)
    shifted = x.astype(np.float64) - x.max(axis=1, keepdims=True)
    exact = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(y, exact if logarithm else np.exp(exact), rtol=5e-7)

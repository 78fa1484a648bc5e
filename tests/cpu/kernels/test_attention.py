"""Softmax of blocks of scores, in place, beside the formula in float64."""

from __future__ import annotations

import numpy as np
import pytest

attention = pytest.importorskip("minigrad.cpu.kernels.attention")


@pytest.mark.parametrize("seen", [3, 20_000])
def test_of_many_and_large_numbers(seen):
    """No term overflows, and keys that are not seen count nothing: query i sees ``seen`` + i."""
    generator, n, rows = np.random.default_rng(0), 20_000, 4
    z, g = generator.normal((1000, 0), (2, 1), (rows, n, 2)).transpose(2, 0, 1).astype(np.float32)
    tops, factors = np.empty((2, rows), np.float32)
    x = np.where(np.arange(n) < seen + np.arange(rows)[:, None], z.astype(np.float64), -np.inf)
    exact = np.exp(x - x.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    slopes = exact * (g - (exact * g).sum(axis=1, keepdims=True))
    y, by_y = z.copy(), g.copy()
    kernel = attention.kernel("weights", z.dtype)
    kernel(y.reshape(-1), n, rows, seen, tops, factors)
    np.testing.assert_allclose(y, exact, rtol=1e-6)
    again = attention.kernel("slopes", z.dtype)
    again(z.reshape(-1), by_y.reshape(-1), n, rows, seen, tops, factors)
    np.testing.assert_allclose(z, exact, rtol=1e-6)
    np.testing.assert_allclose(by_y, slopes, rtol=1e-5, atol=1e-6 * abs(slopes).max())

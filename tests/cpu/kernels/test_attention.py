"""Attention by the scores alone, beside the formula in float64: queries and keys are zeros, and the
scores are the bias."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.cpu.attention import attention

pytest.importorskip("minigrad.cpu.kernels.attention")


@pytest.mark.parametrize("causal", [False, True])
def test_of_many_and_large_scores(causal):
    """No term overflows, and keys that are not seen count nothing."""
    generator, length, count, width = np.random.default_rng(0), 40, 20_000, 3
    bias = generator.normal(1000, 2, (length, count)).astype(np.float32)
    if not causal:
        bias[3] = -np.inf
    v, g = (generator.standard_normal((n, width)).astype(np.float32) for n in (count, length))
    q, k = np.zeros((length, 2), np.float32), np.zeros((count, 2), np.float32)
    y, backward = attention(q, k, v, bias, None, scale=1.0, causal=causal)
    by_bias = backward(g, (True,) * 4 + (False,))[3]
    seen = np.arange(count) <= np.arange(length)[:, None] if causal else np.isfinite(bias)
    x = np.where(seen, bias.astype(np.float64), -np.inf)
    top = np.where(seen.any(axis=1), x.max(axis=1), 0)[:, None]
    p = np.exp(x - top)
    p /= np.maximum(p.sum(axis=1, keepdims=True), 1e-300)
    h = g.astype(np.float64) @ v.T
    slopes = p * (h - (p * h).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(y, p @ v, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_bias, slopes, rtol=1e-4, atol=1e-6 * abs(slopes).max())

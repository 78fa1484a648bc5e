"""Rows and columns of layer norm far from zero, beside the formula in float64."""

from __future__ import annotations

import numpy as np
import pytest

layer_norm = pytest.importorskip("minigrad.cpu.kernels.layer_norm")
N, CHANNELS = 20_004, 3


@pytest.mark.parametrize(
    ("form", "inner", "fold", "width"),
    [("rows", 1, 1, 1), ("columns", 5, 1, 2), ("columns", 5, 4, 20)],
)
def test_sums_of_many_numbers(form, inner, fold, width):
    """Mean, variance and all gradients are as exact as single numbers."""
    generator = np.random.default_rng(0)
    x = (generator.standard_normal((2, N, inner)) + 1e3).astype(np.float32)
    g = generator.standard_normal(x.shape).astype(np.float32)
    w, b = generator.standard_normal((2, CHANNELS)).astype(np.float32)
    forward, backward = layer_norm.FORMS[form]
    shape = CHANNELS, N // CHANNELS // fold, inner * fold, fold, width
    part = 0, 2 * -(-inner * fold // width)
    (mean, r), y, gx = np.empty((2, 2 * inner), x.dtype), np.empty_like(x), np.empty_like(x)
    flat, kept = x.reshape(-1), (True, np.float32(0.1), mean, r)
    forward(flat, w, b, shape, *kept, y.reshape(-1), *part)
    found = np.zeros((1, 2, CHANNELS))
    backward(g.reshape(-1), flat, w, shape, *kept, found, gx.reshape(-1), *part)
    gw, gb = found[0]

    exact, h = x.astype(np.float64), g.astype(np.float64)
    scale, shift = (np.repeat(v, N // CHANNELS)[:, None] for v in (w, b))
    rate = 1 / np.sqrt(exact.var(axis=1, keepdims=True) + 0.1)
    normal = (exact - exact.mean(axis=1, keepdims=True)) * rate
    np.testing.assert_allclose(r.reshape(2, 1, inner), rate, 1e-6)
    np.testing.assert_allclose(y, normal * scale + shift, 0, 2e-4)
    by_channel = (2, CHANNELS, -1, inner)
    np.testing.assert_allclose(gb, h.reshape(by_channel).sum(axis=(0, 2, 3)), 1e-5, 1e-3)
    np.testing.assert_allclose(gw, (h * normal).reshape(by_channel).sum(axis=(0, 2, 3)), 1e-4, 1e-2)
    h *= scale
    h -= h.mean(axis=1, keepdims=True) + normal * (h * normal).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(gx, h * rate, 0, 2e-6)

"""Batch norm's kernels against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.kernels import norm
from tests.common import seeds


@given(st.integers(1, 4), st.sampled_from([1, 7, norm.RUN, 2 * norm.RUN + 3]), seeds)
def test_rows(c, m, seed):
    generator = np.random.default_rng(seed)
    x, g, z = generator.standard_normal((3, c, m))
    z[:, ::3] = np.nan
    none = np.empty(0)
    a, b, d, r = generator.standard_normal((4, c))
    mean, var, s, t = np.zeros((4, c))
    flat = x.ravel()
    norm.moments(flat, mean, var)
    np.testing.assert_allclose(mean, x.mean(axis=1), 1e-12, 1e-13)
    np.testing.assert_allclose(var, x.var(axis=1), 1e-12, 1e-13)
    y = np.empty(x.size)
    centred = x - mean[:, None]
    for added in none, z.ravel():
        for floor in -np.inf, 0.0:
            norm.normalize(flat, mean, a, b, added, floor, y)
            whole = centred * a[:, None] + b[:, None] + (z if len(added) else 0)
            np.testing.assert_allclose(y.reshape(c, m), np.maximum(whole, floor), 1e-12, 1e-13)
    for active, h in ((none, g), (y, np.where(y.reshape(c, m) != 0, g, 0))):
        out = np.empty(x.size)
        norm.sums(g.ravel(), active, flat, mean, r, s, t)
        np.testing.assert_allclose(s, h.sum(axis=1), 1e-12, 1e-12)
        np.testing.assert_allclose(t, (h * centred).sum(axis=1) * r, 1e-12, 1e-12)
        norm.gradient(g.ravel(), active, flat, mean, a, b, d, out)
        expected = a[:, None] * h + b[:, None] * centred + d[:, None]
        np.testing.assert_allclose(out.reshape(c, m), expected, 1e-12, 1e-13)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_long_sums_in_float32(offset):
    """A hundred thousand values far from zero: as exact as their own rounding lets them be."""
    x = (np.random.default_rng(0).standard_normal(100_003) + offset).astype(np.float32)
    mean, var = np.zeros((2, 1), np.float32)
    norm.moments(x, mean, var)
    truth = x.astype(np.float64)
    np.testing.assert_allclose(mean[0], truth.mean(), 1e-6, 1e-6)
    np.testing.assert_allclose(var[0], truth.var(), 1e-5 if offset == 0 else 1e-4)

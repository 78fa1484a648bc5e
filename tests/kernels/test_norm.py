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
    x, g = generator.standard_normal((2, c, m))
    a, b, d, r = generator.standard_normal((4, c))
    mean, var, s, t = np.zeros((4, c))
    flat = x.ravel()
    norm.moments(flat, mean, var)
    np.testing.assert_allclose(mean, x.mean(axis=1), 1e-12, 1e-13)
    np.testing.assert_allclose(var, x.var(axis=1), 1e-12, 1e-13)
    y = np.empty(x.size)
    norm.normalize(flat, mean, a, b, y)
    centred = x - mean[:, None]
    np.testing.assert_allclose(y.reshape(c, m), centred * a[:, None] + b[:, None], 1e-12, 1e-13)
    norm.sums(g.ravel(), flat, mean, r, s, t)
    np.testing.assert_allclose(s, g.sum(axis=1), 1e-12, 1e-12)
    np.testing.assert_allclose(t, (g * centred).sum(axis=1) * r, 1e-12, 1e-12)
    norm.gradient(g.ravel(), flat, mean, a, b, d, y)
    expected = a[:, None] * g + b[:, None] * centred + d[:, None]
    np.testing.assert_allclose(y.reshape(c, m), expected, 1e-12, 1e-13)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_long_sums_in_float32(offset):
    """A hundred thousand values far from zero: as exact as their own rounding lets them be."""
    x = (np.random.default_rng(0).standard_normal(100_003) + offset).astype(np.float32)
    mean, var = np.zeros((2, 1), np.float32)
    norm.moments(x, mean, var)
    truth = x.astype(np.float64)
    np.testing.assert_allclose(mean[0], truth.mean(), 1e-6, 1e-6)
    np.testing.assert_allclose(var[0], truth.var(), 1e-5 if offset == 0 else 1e-4)

"""Batch norm's kernels against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.common import seeds

norm = pytest.importorskip("minigrad.cpu.kernels.norm")


@given(st.integers(1, 4), st.sampled_from([1, 7, norm.RUN, 2 * norm.RUN + 3]), seeds)
def test_rows(c, m, seed):
    generator = np.random.default_rng(seed)
    x, g, z = generator.standard_normal((3, c, m))
    z[:, ::3] = np.nan
    none = np.empty(0)
    w, b = generator.standard_normal((2, c))
    flat, eps = x.ravel(), 0.1
    y, gx = np.empty((2, x.size))
    for batch in True, False:
        mean, var, r, scale, s, t = np.full((6, c), 0.5)
        for added, floor in itertools.product([none, z.ravel()], [-np.inf, 0.0]):
            norm.forward(flat, w, b, added, eps, floor, batch, mean, var, r, scale, y)
            if batch:
                np.testing.assert_allclose(mean, x.mean(axis=1), 1e-12, 1e-13)
                np.testing.assert_allclose(var, x.var(axis=1), 1e-12, 1e-13)
            np.testing.assert_allclose(r, 1 / np.sqrt(var + eps), 1e-12)
            np.testing.assert_allclose(scale, w * r, 1e-12)
            centred = x - mean[:, None]
            whole = centred * scale[:, None] + b[:, None] + (z if len(added) else 0)
            np.testing.assert_allclose(y.reshape(c, m), np.maximum(whole, floor), 1e-12, 1e-13)
        masked = np.where(y.reshape(c, m) != 0, g, 0)
        for active, h, expected in (
            (none, none, g),
            (y, np.empty(x.size), masked),
            (y, np.empty(m), masked),
        ):
            norm.backward(g.ravel(), active, flat, batch, mean, r, scale, s, t, gx, h)
            if len(h):
                np.testing.assert_array_equal(h, expected[-len(h) // m :].ravel())
            np.testing.assert_allclose(s, expected.sum(axis=1), 1e-12, 1e-12)
            np.testing.assert_allclose(t, (expected * centred).sum(axis=1) * r, 1e-12, 1e-12)
            if batch:
                expected = expected - (s / m)[:, None] - centred * (r * t / m)[:, None]
            np.testing.assert_allclose(gx.reshape(c, m), scale[:, None] * expected, 1e-12, 1e-12)
            gx[...] = 7
            norm.backward(g.ravel(), active, flat, batch, mean, r, scale, s, t, none, h)
            assert (gx == 7).all()
    norm.forward(flat, none, none, none, eps, -np.inf, False, mean, var, r, scale, y)
    np.testing.assert_allclose(y.reshape(c, m), centred * r[:, None], 1e-12, 1e-13)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("first", [0.0, 3e4])
def test_long_sums_in_float32(offset, first):
    """A hundred thousand values far from zero, perhaps the first ones from the others: as exact as
    their own rounding lets them be."""
    x = (np.random.default_rng(0).standard_normal(100_003) + offset).astype(np.float32)
    x[: norm.RUN] += first
    mean, var, r, scale = np.zeros((4, 1), np.float32)
    none, eps, floor = np.empty(0, np.float32), np.float32(1e-5), np.float32(-np.inf)
    norm.forward(x, none, none, none, eps, floor, True, mean, var, r, scale, np.empty_like(x))
    truth = x.astype(np.float64)
    np.testing.assert_allclose(mean[0], truth.mean(), 1e-6, 1e-6)
    np.testing.assert_allclose(var[0], truth.var(), 1e-5 if offset == 0 else 1e-4)

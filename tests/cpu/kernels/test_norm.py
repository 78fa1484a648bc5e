"""Batch norm's kernels against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.common import seeds

norm = pytest.importorskip("minigrad.cpu.kernels.norm")


def by_channel(memory, shape):
    """(outer, c, n) as one row for each channel."""
    return memory.reshape(shape).swapaxes(0, 1).reshape(shape[1], -1)


@given(
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from([1, 7, norm.RUN, 2 * norm.RUN + 3]),
    seeds,
)
def test_pieces(outer, c, n, seed):
    generator = np.random.default_rng(seed)
    m, shape, part = outer * n, (outer, c, n), (0, outer * c)
    memory = generator.standard_normal((3, *shape))
    memory[2, ..., ::3] = np.nan
    x, g, z = memory.reshape(3, -1)
    rows, by_row, added_row = (by_channel(v, shape) for v in memory)
    none, eps = np.empty(0), 0.1
    w, b = generator.standard_normal((2, c))
    y, gx, kept = np.empty((3, x.size))
    mean, var, r, scale = np.full((4, c), 0.5)
    sums, squares = np.empty((2, outer * c))
    norm.moments(x, n, sums, squares, *part)
    pieces = memory[0].reshape(outer * c, n)
    np.testing.assert_allclose(sums, pieces.sum(1), 1e-12, 1e-12)
    np.testing.assert_allclose(squares, n * pieces.var(1), 1e-12, 1e-12)
    for batch in (True, False) if outer == 1 else (False,):
        for added, floor in itertools.product([none, z], [-np.inf, 0.0]):
            norm.forward(x, w, b, added, n, eps, floor, batch, mean, var, r, scale, y, *part)
            if batch:
                np.testing.assert_allclose(mean, rows.mean(axis=1), 1e-12, 1e-13)
                np.testing.assert_allclose(var, rows.var(axis=1), 1e-12, 1e-13)
            np.testing.assert_allclose(r, 1 / np.sqrt(var + eps), 1e-12)
            np.testing.assert_allclose(scale, w * r, 1e-12)
            centred = rows - mean[:, None]
            whole = centred * scale[:, None] + b[:, None] + (added_row if len(added) else 0)
            found = by_channel(y, shape)
            np.testing.assert_allclose(found, np.maximum(whole, floor), 1e-12, 1e-13)
        masked = np.where(found != 0, by_row, 0)
        known = mean, r, scale
        for active, h, expected in (
            (none, none, by_row),
            (y, kept, masked),
            (y, np.empty(n), masked),
        ):
            s, t = np.empty((2, outer * c))
            gx[...] = 7
            norm.backward(g, active, x, n, batch, False, *known, s, t, none, h, *part)
            assert (gx == 7).all()
            s, t = s.reshape(outer, c).sum(0), t.reshape(outer, c).sum(0)
            np.testing.assert_allclose(s, expected.sum(axis=1), 1e-12, 1e-12)
            np.testing.assert_allclose(t, (expected * centred).sum(axis=1) * r, 1e-12, 1e-12)
            if len(h) == x.size:
                np.testing.assert_array_equal(by_channel(h, shape), expected)
            expected = expected - (s / m)[:, None] - centred * (r * t / m)[:, None]
            # An h of one piece serves both passes over it, which then follow one another.
            for at_once in [True] * (outer == 1) + [False] * (len(h) != n):
                sums = np.empty((2, c)) if at_once else (s, t)
                options = n, True, not at_once
                norm.backward(g, active, x, *options, *known, *sums, gx, h, *part)
                found_gx = by_channel(gx, shape)
                np.testing.assert_allclose(found_gx, scale[:, None] * expected, 1e-12, 1e-12)
    norm.forward(x, none, none, none, n, eps, -np.inf, False, mean, var, r, scale, y, *part)
    np.testing.assert_allclose(by_channel(y, shape), centred * r[:, None], 1e-12, 1e-13)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("first", [0.0, 3e4])
def test_long_sums_in_float32(offset, first):
    """A hundred thousand values far from zero, perhaps the first ones from the others: as exact as
    their own rounding lets them be."""
    x = (np.random.default_rng(0).standard_normal(100_003) + offset).astype(np.float32)
    x[: norm.RUN] += first
    mean, var, r, scale = np.zeros((4, 1), np.float32)
    none, eps, floor = np.empty(0, np.float32), np.float32(1e-5), np.float32(-np.inf)
    kept = mean, var, r, scale, np.empty_like(x)
    norm.forward(x, none, none, none, len(x), eps, floor, True, *kept, 0, 1)
    truth = x.astype(np.float64)
    np.testing.assert_allclose(mean[0], truth.mean(), 1e-6, 1e-6)
    np.testing.assert_allclose(var[0], truth.var(), 1e-5 if offset == 0 else 1e-4)

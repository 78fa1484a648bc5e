"""The kernels against sums written out; tests/ops/cases_conv.py has the operations."""

from __future__ import annotations

import numpy as np
import pytest

rows = pytest.importorskip("minigrad.cpu.kernels.rows")


def test_shares_of_products_leave_the_rest_as_it_is():
    """More pixels, outputs and numbers than are multiplied together; second half of each range."""
    generator = np.random.default_rng(0)
    outputs, depth = 2 * rows.SUMMED, rows.DEPTH + 4 * rows.BLOCK_BYTES // 8
    pixels = rows.PIXELS + rows.ROWS
    w, r = generator.standard_normal((outputs, depth)), generator.standard_normal((pixels, depth))
    g = generator.standard_normal((outputs, pixels))
    none, half, cut = np.zeros(rows.ROWS), outputs // 2, rows.BLOCK_BYTES // 8

    y = np.ones((outputs, pixels))
    rows.correlate(w.ravel(), r.ravel(), depth, pixels, y.ravel(), half, outputs)
    np.testing.assert_allclose(y[half:], 1 + w[half:] @ r.T)
    assert (y[:half] == 1).all()

    blocks = lambda a: np.ascontiguousarray(a.reshape(-1, rows.ROWS, a.shape[1]).swapaxes(1, 2))  # noqa: E731
    back = np.ones((pixels, depth))
    sizes = outputs, w.ravel(), depth, pixels
    rows.input_gradient(blocks(g.T).ravel(), *sizes, none, back.ravel(), cut, depth)
    np.testing.assert_allclose(back[:, cut:], (g.T @ w)[:, cut:], 1e-10, 1e-10)
    assert (back[:, :cut] == 1).all()

    gw = np.ones((outputs, depth))
    sizes = pixels, r.ravel(), depth
    rows.weight_gradient(blocks(g).ravel(), *sizes, none, gw.ravel(), half, outputs)
    np.testing.assert_allclose(gw[half:], (g @ r)[half:], 1e-10, 1e-10)
    assert (gw[:half] == 1).all()


def test_pixels_to_rows_and_back():
    channels, plane, taps = rows.PLANES // 8, 16, 2
    sources = np.array([[3, -1], [0, 3], [-1, -1]])
    x = np.random.default_rng(0).standard_normal((channels, plane))
    found = np.ones((3, channels, taps))
    shape = channels, plane, sources.ravel(), taps
    rows.gather(x.ravel(), *shape, found.ravel(), 1, 3)
    np.testing.assert_array_equal(found[1], x[:, [0, 3]])
    assert (found[2] == 0).all()
    assert (found[0] == 1).all()
    sums = np.ones((channels, plane))
    rows.scatter(np.ones(found.size), *shape, sums.ravel(), 1, channels)
    assert (sums[1:, [0, 3]] == [2, 3]).all()
    assert sums.sum() == sums.size + 3 * (channels - 1)

"""The kernels against a sum written out; tests/ops/test_implementations.py has the operations."""

from __future__ import annotations

import numpy as np
import pytest

direct = pytest.importorskip("minigrad.cpu.kernels.direct")


def test_some_elements_only():
    """Outputs outside first … last − 1 are not touched, nor what lies behind an array, and a
    gradient adds to what is there."""
    generator = np.random.default_rng(0)
    c, h, w, n, o, tile = 3, 4, 5, 7, 5, direct.TILE_BYTES // 8
    x, bias = (
        generator.standard_normal((c, h, w, n)),
        np.append(generator.standard_normal(o), [0] * 8),
    )
    filters = generator.standard_normal((o, c, 2))  # of taps at (0, 0) and (1, -1)
    image, taps = (c, h, w, n, 1, 1, h, w), (np.array([0, 1]), np.array([0, -1]))
    packed = np.full(-(-o // direct.ROWS) * direct.ROWS * c * 2, np.nan)
    direct.pack(filters, np.array([0, 1]), packed, 0, -(-o // direct.ROWS))
    scratch = np.full((1, (2 * c + direct.ROWS + 2) * tile), np.nan)
    behind = np.full(9 * h * w * n, 9.0)
    first, last, size = 13, 116, h * w * n
    layout = (0, size, w * n, n)
    direct.correlate(
        x.ravel(), image, *taps, packed, bias, o, tile, behind, layout, scratch, first, last
    )
    below = np.pad(x, [(0, 0), (0, 1), (1, 0), (0, 0)])[:, 1:, :w]
    seen = np.stack([x, below], axis=1).reshape(c, 2, size)
    expected = np.einsum("ocp,cpe->oe", filters, seen) + bias[:o, None]
    y = behind[: o * size].reshape(o, size)
    np.testing.assert_allclose(y[:, first:last], expected[:, first:last], 1e-12, 1e-12)
    assert (y[:, :first] == 9).all()
    assert (y[:, last:] == 9).all()
    assert (behind[o * size :] == 9).all()

    g = generator.standard_normal((o, size))
    width, rows = 8, -(-o // direct.LINES) * direct.LINES
    gw = np.ones((rows, width))
    scratch[:] = np.nan
    direct.weight_gradient(
        x.ravel(), image, *taps, g.ravel(), o, tile, gw.reshape(1, -1), width, scratch, first, last
    )
    expected = 1 + np.einsum("oe,cpe->opc", g[:, first:last], seen[..., first:last])
    np.testing.assert_allclose(gw[:o, : 2 * c], expected.reshape(o, -1), 1e-12, 1e-12)
    assert np.isfinite(gw).all()

"""The kernels against a sum written out; the operations on them are in tests/ops/test_direct.py."""

from __future__ import annotations

import numpy as np

from minigrad.kernels import direct


def test_some_rows_only():
    """Rows outside first … last − 1 are not touched, and a gradient adds to what is there."""
    generator = np.random.default_rng(0)
    x, w, bias = (generator.standard_normal(size) for size in (5 * 6, 5 * 3, 5))
    offsets = np.array([0, 1, 7])
    y = np.full((5, 4, 4), 9.0)
    direct.correlate(x, 6, offsets, w, bias, 5, 4, 4, 1, 3, y.ravel())
    runs = np.array([[x[i * 6 + t : i * 6 + t + 4] for t in offsets] for i in range(4)])
    expected = np.einsum("ot,itk->oik", w.reshape(5, 3), runs) + bias[:, None, None]
    np.testing.assert_allclose(y[:, 1:3], expected[:, 1:3], 1e-13)
    assert (y[:, [0, 3]] == 9).all()

    g, gw = generator.standard_normal((5, 4, 4)), np.ones((5, 3))
    direct.weight_gradient(x, 6, offsets, g.ravel(), 5, 4, 4, 1, 3, gw.ravel())
    expected = 1 + np.einsum("oik,itk->ot", g[:, 1:3], runs[1:3])
    np.testing.assert_allclose(gw, expected, 1e-13)

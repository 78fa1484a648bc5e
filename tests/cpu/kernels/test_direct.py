"""The kernels against a sum written out; tests/ops/test_implementations.py has the operations."""

from __future__ import annotations

import numpy as np
import pytest

direct = pytest.importorskip("minigrad.cpu.kernels.direct")


def test_some_rows_only():
    """Rows outside first … last − 1 are not touched, nor what lies behind an array, and a gradient
    adds to what is there."""
    generator = np.random.default_rng(0)
    x, w, bias = (generator.standard_normal(size) for size in ((4, 5, 6), (8, 2, 4), 5))
    source = (
        x.ravel(),
        np.zeros(2, int),
        np.arange(4) * 30,
        np.array([0, 1]),
        np.array([1]),
        5,
        6,
        1,
    )
    behind = np.full(8 * 4 * 4, 9.0)
    y = behind[: 5 * 4 * 4].reshape(5, 4, 4)
    sizes = 5, 4, 4, 1, 3
    direct.correlate(*source, w.ravel(), bias, *sizes, y.ravel(), np.empty(4 * direct.SUMS_STRIDE))
    runs = np.array([[x[:, i + kh, 1:5] for kh in (0, 1)] for i in range(4)])
    expected = np.einsum("ohc,ihck->oik", w[:5], runs) + bias[:, None, None]
    np.testing.assert_allclose(y[:, 1:3], expected[:, 1:3], 1e-13)
    assert (y[:, [0, 3]] == 9).all()
    assert (behind[y.size :] == 9).all()

    behind[:] = np.nan
    y[:] = g = generator.standard_normal((5, 4, 4))
    gw = np.ones((8, 2, 4))
    direct.weight_gradient(*source, y.ravel(), *sizes, gw.ravel())
    expected = 1 + np.einsum("oik,ihck->ohc", g[:, 1:3], runs[1:3])
    np.testing.assert_allclose(gw[:5], expected, 1e-13)
    assert np.isfinite(gw).all()

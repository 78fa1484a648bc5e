"""Sums and quotients with numbers that repeat."""

from __future__ import annotations

import numpy as np
import pytest

kernels = pytest.importorskip("minigrad.cpu.kernels.arithmetic")


def test_loop():
    x, v, y = np.arange(24.0), np.array([1.0, 2, 5]), np.full(24, np.nan)
    for n, inner, rows in ((3, 4, 6), (3, 1, 8)):
        for name, function in (("subtract_from", lambda x, v: v - x), ("divide", np.divide)):
            kernels.loop(name)(y, x, v, n, inner, 1, 1, rows)
            expected = function(x.reshape(-1, n, inner), v[:, None]).reshape(-1)
            first = 24 // rows
            np.testing.assert_array_equal(y[first:], expected[first:])
        assert np.isnan(y[:3]).all()

"""Kernels of copies; tests/ops/cases_shape.py has the operations."""

from __future__ import annotations

import numpy as np
import pytest

copy = pytest.importorskip("minigrad.cpu.kernels.copy")


def test_reversed_rows():
    x, y = np.arange(4 * 35.0), np.zeros((4, 35))
    copy.reversed_rows(y.reshape(-1), x, 35, 1, 3)
    assert (y[1:3] == x.reshape(4, 35)[1:3, ::-1]).all()
    assert not y[[0, 3]].any()


def test_frames():
    """Of the second of three images."""
    x, y = np.arange(3 * 6.0), np.full((3, 4, 5), -2.0)
    inside = np.array([-1, 0, 1, -1]), np.array([-1, 0, 1, 2, -1])
    copy.frame(y.reshape(-1), x, *inside, 1, 2, 3, 7.0, 1, 2)
    assert (y[1] == np.pad(x.reshape(3, 2, 3)[1], 1, constant_values=7)).all()
    assert (y[[0, 2]] == -2).all()


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_gradients_of_frames(mode):
    """Each pixel gets the sum of its copies."""
    g, out = np.arange(2 * 20.0), np.full((2, 2, 3), -2.0)
    tables = [np.arange(-1, n + 1) for n in (2, 3)]
    if mode == "constant":
        tables = [np.where((t >= 0) & (t < n), t, -1) for t, n in zip(tables, (2, 3), strict=True)]
    else:
        tables = [n - 1 - abs(n - 1 - abs(t)) for t, n in zip(tables, (2, 3), strict=True)]
    copy.unframe(out.reshape(-1), g, *tables, 1, 2, 3, 1, 2)
    expected = np.zeros((2, 3))
    for i, row in enumerate(tables[0]):
        for j, column in enumerate(tables[1]):
            if min(row, column) >= 0:
                expected[row, column] += g.reshape(2, 4, 5)[1, i, j]
    np.testing.assert_array_equal(out[1], expected)
    assert (out[0] == -2).all()

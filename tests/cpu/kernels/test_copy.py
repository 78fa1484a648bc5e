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

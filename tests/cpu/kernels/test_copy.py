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

"""Rows and strips of columns of an array."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.cpu import strips
from tests.common import lay_out


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("layout", ["C", "Fortran", "batch innermost"])
def test_flat_memory_and_back(layout, axis):
    x = lay_out(np.arange(24.0).reshape(2, 3, 4), layout)
    found = strips.strips_of(x, axis)
    flat = found.flat(x)
    assert np.shares_memory(flat, x)
    np.testing.assert_array_equal(found.array(flat), x)
    np.testing.assert_array_equal(found.array_beside(found.flat_beside(x.max(axis))), x.max(axis))
    middle = flat.reshape(-1, found.n, found.inner)
    np.testing.assert_array_equal(middle.max(1).reshape(-1), found.flat_beside(x.max(axis)))
    assert (found.form == "rows") == (x.strides[axis] == x.itemsize)


def test_each_task_is_run_once(monkeypatch):
    monkeypatch.setattr(strips, "PIECE", 5)
    found = strips.strips_of(np.zeros((7, 3)), 1)
    sums = found.run(lambda name: lambda n, inner, width, *rows: rows, "value")
    assert len(sums) > 1
    assert sums.ravel().tolist()[1:-1:2] == sums.ravel().tolist()[2::2]
    assert (sums[0, 0], sums[-1, 1]) == (0, 7)

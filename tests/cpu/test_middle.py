"""Memory along one axis."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.cpu import middle
from minigrad.layout import memory_order


@pytest.mark.parametrize("axis", range(3))
def test_filled(axis, monkeypatch):
    """As x lies in memory; the parts together are all of it."""
    monkeypatch.setattr(middle, "PIECE", 7)
    x = np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0)
    along = middle.Middle(x, axis)
    assert along.outer * along.n * along.inner == x.size
    many, flat = 5, along.flat(x)
    np.testing.assert_array_equal(np.sort(flat), np.arange(24))

    def fill(out, first, last):
        blocks = out.reshape(along.outer, many, along.inner)[first:last]
        blocks += flat.reshape(along.outer, along.n, along.inner)[first:last, :1]

    y = along.filled(many, along.outer, fill, start=1)
    np.testing.assert_array_equal(y, 1 + x.take([0] * many, axis))
    assert memory_order(y) == memory_order(x)

"""Passes over arrays in one memory order, here on NumPy arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from minigrad.gpu.elementwise import elementwise
from minigrad.layout import memory_order
from tests.common import grid, lay_out, layouts, shapes


@given(shapes(max_dims=3), layouts, layouts)
def test_result_and_order(shape, one, other):
    a, b = lay_out(grid(shape), one), lay_out(grid(shape, 1), other)
    y = elementwise(lambda out, a, b: np.add(a, b, out=out), a, b)
    np.testing.assert_array_equal(y, a + b)
    if one == "batch innermost" and min(shape, default=1) > 1:
        assert memory_order(y) == memory_order(a)


def test_broadcasting_takes_the_order_of_the_first_of_full_shape():
    a, b = np.ones((3, 1), np.float32), lay_out(np.ones((2, 3, 4), np.float32), "batch innermost")
    y = elementwise(lambda out, a, b: np.add(a, b, out=out), a, b)
    np.testing.assert_array_equal(y, a + b)
    assert memory_order(y) == memory_order(b) == [1, 2, 0]

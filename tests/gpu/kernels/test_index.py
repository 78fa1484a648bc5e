"""Kernels of indexing with arrays: order, and errors that are raised later."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops import shape
from tests.common import refuses

pytestmark = pytest.mark.usefixtures("on_cpu")


def test_in_order():
    """Rounding tells the order of a sum: 1, then what it swallows, then -1."""
    index = np.array([2, 2, 0, 2])
    for values in ([1, 1e-9, 7, -1], [1, -1, 7, 1e-9]):
        g = np.array(values, np.float32)
        _, backward = shape._getitem.run(np.zeros(3, np.float32), index=(index,), unique=False)
        expected = np.zeros(3, np.float32)
        np.add.at(expected, index, g)
        np.testing.assert_array_equal(backward(g, (True,))[0], expected)


@pytest.mark.parametrize(
    ("index", "bad"),
    [
        ((np.array([0, -6, 4]),), -6),
        ((np.array([5]),), 5),
        ((..., np.array([[3, 4]])), 4),
        ((None, slice(None), np.array([2, 3]), np.array([0])), 3),
        ((np.ones((5, 3), bool), np.array([-5])), -5),
    ],
)
def test_what_is_beyond_the_end(index, bad):
    """NumPy says so at once; CuPy would wrap around, and is told when values are read."""
    shape.check_within.run(np.zeros((5, 3, 4), np.float32), index)
    value = mg.ones(1)
    refuses(IndexError, f"index: {bad} is out of bounds", value.item)
    assert value.item() == 1


def test_of_integers_at_once():
    """They have no kernels; nor has a dimension without elements."""
    text = "index: 5 is out of bounds"
    index = (np.array([0, 5]),)
    refuses(IndexError, text, lambda: shape.check_within.run(np.zeros(5, np.int64), index))
    refuses(IndexError, "index: 0 is", lambda: shape.check_within.run(np.zeros(0, "f4"), index))

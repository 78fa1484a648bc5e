"""Kernels of indexing with arrays against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops import shape
from tests.common import layouts, refuses, seeds
from tests.gpu.kernels.twins import assert_twins, draw

pytestmark = pytest.mark.usefixtures("on_cpu")

dtypes = st.sampled_from([np.float32, np.float64])


@st.composite
def indices(draw):
    """Parts of an index of (5, 3, 4): arrays, of which some say one thing often, among others."""
    count = draw(st.sampled_from([1, 2, 7, 300]))
    rng = np.random.default_rng(draw(st.integers(0, 999)))

    def array(size):
        return rng.integers(-size, size, count).astype(draw(st.sampled_from(["i4", "i8"])))

    return draw(
        st.sampled_from(
            [
                (array(5),),
                (array(5).reshape(-1, 1), array(3)),
                (..., array(4)),
                (None, array(5), slice(1, None), None),
                (slice(None, None, 2), array(3), array(4)),
                (np.array([[True, False, True]] * 5), array(4)[:1]),
                (np.zeros((0, 2), np.int64),),
            ]
        )
    )


@given(indices(), layouts, dtypes, seeds)
def test_gradients_of_repeated_places_add_up(index, layout, dtype, seed):
    x = draw((5, 3, 4), seed, dtype, layout)
    g = draw(x[index].shape, seed + 1, dtype)
    assert_twins(lambda x: shape._getitem.run(x, index=index, unique=False), [x], g, exact=True)


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
    shape._check_within(np.zeros((5, 3, 4), np.float32), index)
    value = mg.ones(1)
    refuses(IndexError, f"index: {bad} is out of bounds", value.item)
    assert value.item() == 1


def test_of_integers_at_once():
    """They have no kernels; nor has a dimension without elements."""
    text = "index: 5 is out of bounds"
    index = (np.array([0, 5]),)
    refuses(IndexError, text, lambda: shape._check_within(np.zeros(5, np.int64), index))
    refuses(IndexError, "index: 0 is", lambda: shape._check_within(np.zeros(0, "f4"), index))


@given(indices())
def test_what_is_within(index):
    shape._check_within(np.zeros((5, 3, 4), np.float32), index)
    mg.ones(1).item()

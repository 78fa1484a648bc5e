"""Lesson 5: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops.conv import Window, col2im, flip_filters, im2col
from minigrad.testing import grid

F = mg.functional
two = st.tuples(st.integers(1, 3), st.integers(1, 3))


def test_the_filter_is_rotated(lesson):
    np.testing.assert_array_equal(lesson.rotated[0, 0], np.rot90(lesson.edges, 2))
    np.testing.assert_array_equal(lesson.spread[0, 0, 1:4, 1:4], lesson.edges)
    assert mg.get_implementation() == "auto"


@given(two, two, two, st.tuples(st.integers(3, 6), st.integers(3, 6)))
def test_exercise_1(kernel, stride, padding, size):
    window = Window(kernel, stride)
    a = grid((2, 3, *size))
    columns = im2col(a, padding, window)
    b = grid(columns.shape, seed=1)
    back = col2im(b, size, padding, window)
    np.testing.assert_allclose((columns * b).sum(), (a * back).sum(), rtol=1e-9)


def test_exercise_2():
    x = mg.tensor(grid((1, 2, 7, 7)), requires_grad=True)
    one = mg.tensor(grid((3, 2, 1, 1), seed=1))
    F.conv2d(x, one, stride=2).sum().backward()
    reached = np.zeros((7, 7), bool)
    reached[::2, ::2] = True  # a 1 x 1 filter steps over the others
    assert ((x.grad.numpy() != 0) == reached).all()

    w = mg.tensor(grid((3, 2, 3, 3), seed=2))
    x.grad = None
    y = F.conv2d(x, w, stride=2)
    g = grid(y.shape, seed=3)
    y.backward(mg.tensor(g))
    apart = np.zeros((1, 3, 5, 5))
    apart[:, :, ::2, ::2] = g
    rotated = flip_filters(w.numpy(), 1)
    again = F.conv2d(mg.tensor(apart), mg.tensor(rotated), padding=2)
    np.testing.assert_allclose(x.grad.numpy(), again.numpy(), rtol=1e-9, atol=1e-12)

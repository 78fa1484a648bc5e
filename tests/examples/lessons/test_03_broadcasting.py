"""Lesson 3: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np
from hypothesis import given

import minigrad as mg
from minigrad.tape import unbroadcast as engines
from minigrad.testing import arrays, broadcast_arrays, check_op, shapes


def test_the_transpose_sums(lesson):
    found = lesson.copies.T @ lesson.arriving.reshape(-1)
    np.testing.assert_array_equal(found, lesson.b.grad.numpy())
    assert lesson.v.grad.tolist() == [[1, 2, 3]] * 4
    assert "(2, 1, 1) each a sum of 12" in lesson.printed


def unbroadcast(g, shape):
    """Exercise 1."""
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    for axis, side in enumerate(shape):
        if side == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g


@given(broadcast_arrays(2))
def test_exercise_1(drawn):
    a, b = drawn
    g = np.asarray(a * b)
    for x in drawn:
        np.testing.assert_allclose(unbroadcast(g, x.shape), engines(g, x.shape), atol=1e-12)


def test_exercise_2():
    """mean sums and divides, and its result is copied; so backward copies and sums, and divides:
    dL/dx = g − mean(g). The sum of that is 0: moving all x together does not change y."""

    @mg.op
    def centre(x):
        return x - x.mean(), lambda g, needs: (g - g.mean(),)

    check_op(centre, arrays(shapes()), reference=lambda x: x - x.mean(), max_examples=10)
    x = mg.tensor([1.0, 2.0, 4.0], requires_grad=True)
    centre(x).backward(mg.tensor([5.0, -1.0, 2.0]))
    assert abs(x.grad.sum().item()) < 1e-6

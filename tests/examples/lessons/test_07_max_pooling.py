"""Lesson 7: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad.testing import arrays, check_op, shapes


def test_the_winner_takes_all(lesson):
    expected = [[0, 10, 0, 0], [0, 0, 20, 0], [30, 0, 40, 0], [0, 0, 0, 0]]
    assert lesson.x.grad.tolist() == [[expected]]
    assert "[1.0, 0.0, 0.0] [0.5, 0.5, 0.0]" in lesson.printed
    assert "gradcheck of max with a tie: False" in lesson.printed
    assert lesson.reached <= 0.25 * (1 - lesson.zero) + 1e-9


def test_exercise_1():
    @mg.op
    def shared_max(x):
        """y = the maximum of each row,  dL/dx = g / count where x is the maximum, else 0."""
        y = x.max(axis=1, keepdims=True)
        winners = (x == y).astype(x.dtype)
        share = winners / winners.sum(axis=1, keepdims=True)
        return y[:, 0], lambda g, needs: (g[:, None] * share,)

    rows = arrays(shapes(min_dims=2, max_dims=2))
    check_op(shared_max, rows, reference=lambda x: x.max(axis=1), max_examples=20)
    x = mg.tensor([[3.0, 1.0, 3.0, 3.0]], requires_grad=True)
    shared_max(x).backward(mg.tensor([6.0]))
    assert x.grad.tolist() == [[2, 0, 2, 2]]


def test_exercise_2(lesson):
    """One for each window that it wins: 8 is in all four. Gradients add."""
    x = mg.tensor(lesson.image[None, None], requires_grad=True)
    mg.functional.max_pool2d(x, 3, stride=1).sum().backward()
    expected = np.zeros((4, 4))
    expected[1, 2] = 4
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], expected)

"""Lesson 10: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np

import minigrad as mg


def test_the_optimisers_walk_as_told(lesson):
    np.testing.assert_allclose(lesson.adam_by_hand(60), lesson.adam, atol=1e-9)
    assert all(losses[-1] < losses[0] / 100 for _, losses in lesson.walks.values())
    assert lesson.diverging[-1] > 3 * lesson.diverging[0]


def test_exercise_1(lesson):
    nesterov = lambda p: mg.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True)  # noqa: E731
    way, _ = lesson.walk(nesterov, steps=20)
    x, v = np.array(lesson.START), np.zeros(2)
    for expected in way:
        np.testing.assert_allclose(x, expected, atol=1e-12)
        g = np.array([1.0, 40.0]) * x
        v = 0.9 * v + g
        x = x - 0.01 * (g + 0.9 * v)


def test_exercise_2(lesson):
    """By 1 − lr and 1 − 40 lr. Both are below 1 in size for lr < 2/40; the larger of the two is
    smallest where they are opposite: 1 − lr = 40 lr − 1, lr = 2/41."""

    def rate(lr):
        way, _ = lesson.walk(lambda p: mg.optim.SGD(p, lr=lr), steps=10)
        np.testing.assert_allclose(way[1:], way[:-1] * [1 - lr, 1 - 40 * lr], rtol=1e-9)
        return max(abs(1 - lr), abs(1 - 40 * lr))

    assert rate(0.0499) < 1 < rate(0.0501)
    assert rate(2 / 41) < min(rate(2 / 41 - 1e-4), rate(2 / 41 + 1e-4))

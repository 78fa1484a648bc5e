"""Lesson 1: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import math

import numpy as np
import pytest


def test_both_tapes_agree(lesson):
    assert lesson.ta.grad.item() == pytest.approx(lesson.a.grad, rel=1e-12)
    assert lesson.tb.grad.item() == pytest.approx(lesson.b.grad, rel=1e-12)
    np.testing.assert_allclose(lesson.slopes, lesson.measured, atol=1e-8)
    assert "def mul(a: Any, b: Any)" in lesson.printed


def test_exercise_1(lesson):
    class Scalar(lesson.Scalar):
        def exp(self):
            y = math.exp(self.value)
            return Scalar(y, [(self, y)])

        def __truediv__(self, other):
            y = self.value / other.value
            return Scalar(y, [(self, 1 / other.value), (other, -y / other.value)])

    x = Scalar(2.0)
    (x.exp() / x).backward()
    assert x.grad == pytest.approx(math.exp(2) / 4)


def test_exercise_2(lesson):
    def hasty(number, gradient=1.0):
        number.grad = gradient
        for source, slope in number.inputs:
            hasty(source, slope * gradient)

    def example():
        x = lesson.Scalar(3.0)
        return x, x * x + x  # x is reached along three ways

    x, y = example()
    hasty(y)
    assert x.grad != 7
    x, y = example()
    y.backward()
    assert x.grad == 7

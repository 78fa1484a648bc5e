"""Lesson 4: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import arrays, check_op, shapes


def test_the_checks_find_what_they_should(lesson):
    assert "gradcheck: True" in lesson.printed
    assert "gradcheck: input 0, index (0, 2): analytical " in lesson.printed
    assert "check_op on careless: argument 0 changed" in lesson.printed


def test_the_page_shows_the_operation(lesson):
    page = (lesson.folder / "04_your_operation.html").read_text("utf-8")
    assert "softsign" in page
    assert "slope = 1 + abs(x)" in page


def test_exercise_1():
    @mg.op
    def softplus(x):
        """y = ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|),  dL/dx = g / (1 + e⁻ˣ)."""
        small = np.exp(-np.abs(x))  # at most 1
        y = np.maximum(x, 0) + np.log1p(small)
        return y, lambda g, needs: (g * np.where(x > 0, 1, small) / (1 + small),)

    check_op(softplus, arrays(shapes()), reference=lambda x: np.logaddexp(0, x), max_examples=20)
    x = mg.tensor([1000.0, -1000.0], requires_grad=True)
    y = softplus(x)
    y.sum().backward()
    assert y.tolist() == [1000, 0]
    assert x.grad.tolist() == [1, 0]


def test_exercise_2():
    @mg.op
    def soft_threshold(x, t):
        """y = sign(x) (|x| − t) where |x| > t, else 0;  dL/dx = g,  dL/dt = −g sign(x) there."""
        far = np.abs(x) > t
        y = np.where(far, x - np.sign(x) * t, 0)
        return y, lambda g, needs: (np.where(far, g, 0), np.where(far, -g * np.sign(x), 0))

    check_op(
        soft_threshold, st.tuples(arrays((3, 4)), arrays((4,), low=0.1, high=1)), max_examples=20
    )

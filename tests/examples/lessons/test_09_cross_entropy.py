"""Lesson 9: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.testing import arrays, check_op, shapes

F = mg.functional


def test_the_gradient_is_p_minus_t(lesson):
    found = lesson.logits.grad.numpy()[0]
    np.testing.assert_allclose(found, lesson.jacobian.T @ lesson.of_loss, rtol=1e-9)


def test_together_nothing_overflows(lesson):
    for distance, two_loss, _, loss, gradient in lesson.table:
        assert loss == pytest.approx(distance, rel=0.4)
        assert 0.7 < gradient <= 1
        assert np.isfinite(two_loss) == (distance < 89)


def test_exercise_1():
    @mg.op
    def log_sum_exp(x):
        """y = m + ln Σ e^(x − m),  dL/dx = g softmax(x)."""
        m = x.max(axis=1, keepdims=True)
        e = np.exp(x - m)
        total = e.sum(axis=1, keepdims=True)
        y = (m + np.log(total))[:, 0]
        return y, lambda g, needs: (g[:, None] * e / total,)

    rows = arrays(shapes(min_dims=2, max_dims=2))
    plain = lambda x: np.log(np.exp(x).sum(axis=1))  # noqa: E731
    check_op(log_sum_exp, rows, reference=plain, max_examples=20)
    assert log_sum_exp(mg.tensor([[1000.0, 0.0]])).item() == 1000


def test_exercise_2():
    """dL/dz = p − (0.9 t + 0.1 / C) is 0 where p is the smoothed target: never quite sure."""
    logits = mg.zeros(1, 4, requires_grad=True)
    optimizer = mg.optim.SGD([logits], lr=2.0)
    for _ in range(200):
        optimizer.zero_grad()
        F.cross_entropy(logits, mg.tensor([2]), label_smoothing=0.1).backward()
        optimizer.step()
    p = F.softmax(logits, dim=1).detach().numpy()[0]
    np.testing.assert_allclose(p, [0.025, 0.025, 0.925, 0.025], atol=1e-3)

"""Lesson 8: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import arrays, check_op

F = mg.functional


def test_the_gradient_goes_through_the_mask(lesson):
    np.testing.assert_array_equal(lesson.x.grad.numpy(), lesson.y.detach().numpy())
    assert set(np.round(lesson.x.grad.numpy(), 4)) == {0, np.float32(1.6667)}


def test_evaluation_is_the_mean_of_training(lesson):
    noise = lesson.in_training.std() / len(lesson.in_training) ** 0.5
    assert abs(lesson.in_training.mean() - lesson.in_evaluation) < 4 * noise
    assert "differs from call to call" in lesson.printed
    assert "gradcheck, seeded: True" in lesson.printed


def test_exercise_1():
    @mg.op
    def dropout_channels(x, *, keep, p):
        """y = x · mask / (1 − p),  dL/dx = g · mask / (1 − p)."""
        mask = (keep[:, :, None, None] / (1 - p)).astype(x.dtype)
        return x * mask, lambda g, needs: (g * mask,)

    keep = np.random.default_rng(0).random((2, 3)) > 0.5
    options = st.just({"keep": keep, "p": 0.5})
    check_op(dropout_channels, st.tuples(arrays((2, 3, 2, 2)), options), max_examples=10)
    y = dropout_channels(mg.ones(2, 3, 2, 2), keep=keep, p=0.5).numpy()
    np.testing.assert_array_equal(y[..., 0, 0], keep * 2)
    np.testing.assert_array_equal(y[..., 0, 0], y[..., 1, 1])


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_exercise_2(lesson, p):
    """The mean stays m. E[y²] = (1 − p) E[x²] / (1 − p)² = (v + m²) / (1 − p), so the variance
    grows to (v + m²) / (1 − p) − m². Batch norm's running variance is then that of training, and
    too large in evaluation."""
    m, v = lesson.values.mean().item(), lesson.values.var().item()
    y = F.dropout(lesson.values, p)
    assert y.mean().item() == pytest.approx(m, rel=0.1)
    assert y.var().item() == pytest.approx((v + m * m) / (1 - p) - m * m, rel=0.1)

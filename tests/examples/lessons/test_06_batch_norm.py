"""Lesson 6: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad.testing import arrays, check_op, shapes

F = mg.functional


def test_all_ways_agree(lesson):
    np.testing.assert_allclose(lesson.at_once, lesson.small_steps, rtol=1e-9)
    np.testing.assert_allclose(lesson.engine, lesson.at_once, rtol=1e-9)
    assert abs(lesson.at_once.sum()) < 1e-12
    assert abs((lesson.at_once * lesson.x_hat).sum()) < 1e-5


def test_exercise_1():
    @mg.op
    def layer_norm(x):
        """y = x̂ = (x − μ) r of each row,  dL/dx = r (g − mean(g) − x̂ mean(g x̂))."""

        def mean(a):
            return a.mean(axis=1, keepdims=True)

        r = 1 / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        y = (x - mean(x)) * r
        return y, lambda g, needs: (r * (g - mean(g) - y * mean(g * y)),)

    rows = arrays(shapes(min_dims=2, max_dims=2, min_side=2))
    theirs = lambda x: F.layer_norm(mg.tensor(x), x.shape[1:]).numpy()  # noqa: E731
    check_op(layer_norm, rows, reference=theirs, max_examples=20)


def test_exercise_2(lesson):
    """dL/dx = g / √(σ² + ε): the first term alone."""
    mean, var = (mg.tensor(np.array([v])) for v in (lesson.x.mean(), lesson.x.var()))
    x = mg.tensor(lesson.x.reshape(8, 1), requires_grad=True)
    F.batch_norm(x, mean, var, eps=lesson.eps).backward(mg.tensor(lesson.g.reshape(8, 1)))
    np.testing.assert_allclose(x.grad.numpy()[:, 0], lesson.direct, rtol=1e-9)
    mistake = np.linalg.norm(lesson.direct - lesson.at_once) / np.linalg.norm(lesson.at_once)
    assert 0.3 < mistake < 3  # not a detail

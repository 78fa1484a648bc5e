"""Lesson 14: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.conv import flip_filters

F = mg.functional


@pytest.mark.parametrize("number", range(4))
def test_all_tilings_are_right(lesson, number):
    m, points = [*lesson.tilings.values()][number]
    x, w = lesson.x[:3, :14, :14], lesson.w[:, :3]
    expected = F.conv2d(mg.tensor(x), mg.tensor(w)).numpy()
    np.testing.assert_allclose(lesson.winograd(x, w, m, points), expected, atol=1e-10)


def test_the_engines_points_round_less(lesson):
    error = dict(zip(lesson.names, lesson.errors, strict=True))
    assert error["4 × 4: 0, ±1/2, ±3/2"] < error["4 × 4: 0, ±1, ±2"]
    assert error["2 × 2: 0, ±1"] < error["6 × 6: 0, ±1, ±2, ±1/2"]


def test_exercise_1(lesson):
    x = mg.tensor(lesson.x[None, :4, :10, :10], requires_grad=True)
    w = lesson.w[:, :4]
    y = F.conv2d(x, mg.tensor(w))
    g = np.random.default_rng(1).normal(size=y.shape)
    y.backward(mg.tensor(g))
    padded = np.pad(g[0], ((0, 0), (2, 2), (2, 2)))
    found = lesson.winograd(padded, flip_filters(w, 1), 2, lesson.points)
    np.testing.assert_allclose(found, x.grad.numpy()[0], atol=1e-10)


def test_exercise_2(lesson):
    at, big_g, bt = lesson.matrices(4, lesson.tilings["4 × 4: 0, ±1/2, ±3/2"][1])
    d = lesson.x[:1, :6, :6]
    w = mg.tensor(lesson.w[:1, :1], requires_grad=True)
    g = np.random.default_rng(1).normal(size=(4, 4))
    F.conv2d(mg.tensor(d[None]), w).backward(mg.tensor(g[None, None]))
    found = big_g.T @ ((at.T @ g @ at) * (bt @ d[0] @ bt.T)) @ big_g
    np.testing.assert_allclose(found, w.grad.numpy()[0, 0], atol=1e-10)

"""Lesson 15: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np


def test_kernel_and_twin_agree(lesson):
    assert "relu_gradient" in lesson.printed
    assert "agree, bit for bit" in lesson.printed
    assert not np.isnan(lesson.gx).any()


def test_a_tree_has_one_order(lesson):
    assert len(set(lesson.tree)) == 1
    assert len(set(lesson.in_any_order)) > 10
    assert abs(lesson.tree[0] - lesson.exact) < np.abs(lesson.in_any_order - lesson.exact).max() / 5
    for n in (1, 255, 256, 257, 70_000):
        assert lesson.tree_sum(np.ones(n, np.float32)) == n


def test_exercise_1(lesson):
    blocks, threads = 3, 8

    def axpb(block, thread, block_size, a, x, b, n, y):
        for i in range(block * block_size + thread, n, blocks * block_size):
            y[i] += a * x[i] + b  # += shows an element that is visited twice

    for n in (0, 1, 24, 25, 100):
        x, y = np.arange(float(n)), np.zeros(n)
        lesson.run(axpb, blocks, threads, 2.0, x, 1.0, n, y)
        np.testing.assert_array_equal(y, 2 * x + 1)


def test_exercise_2():
    """Nearly never: a thread reads what its neighbour has not yet summed."""

    def without_barrier(x, seed):
        shared = x.copy()
        for thread in np.random.default_rng(seed).permutation(len(x)):
            half = len(x) // 2
            while half:
                if thread < half:
                    shared[thread] += shared[thread + half]
                half //= 2
        return shared[0]

    x = np.arange(1.0, 33.0)
    right = [without_barrier(x, seed) == x.sum() for seed in range(200)]
    assert np.mean(right) < 0.05

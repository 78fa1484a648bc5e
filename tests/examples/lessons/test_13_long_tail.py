"""Lesson 13: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np

import minigrad as mg

F = mg.functional


def test_weights_help_the_rare_classes(lesson):
    plain, balanced = (lesson.trained[name][1] for name in ("cross-entropy", "weights"))
    assert balanced[2] > plain[2] + 0.2
    assert balanced[0] > plain[0] - 0.2
    assert balanced.mean() > plain.mean() + 0.05


def test_exercise_1():
    """dL/dp = γ (1 − p)^(γ−1) ln p − (1 − p)^γ / p, and dp/dz = p (1 − p). For γ = 2 the pull is
    largest near p = 0.06, and larger than cross-entropy's there; at p = 0.9 less than a third."""
    gamma = 2.0
    z = np.linspace(-6, 6, 241)
    p = 1 / (1 + np.exp(-z))
    by_hand = (gamma * (1 - p) ** (gamma - 1) * np.log(p) - (1 - p) ** gamma / p) * p * (1 - p)
    logits = mg.tensor(np.stack([z, np.zeros_like(z)], 1), requires_grad=True)
    targets = mg.zeros(len(z), dtype="int64")
    F.focal_loss(logits, targets, gamma=gamma, reduction="sum").backward()
    np.testing.assert_allclose(logits.grad.numpy()[:, 0], by_hand, atol=1e-12)
    assert 0.03 < p[np.argmin(by_hand)] < 0.1
    pull, plain = -by_hand, 1 - p
    assert pull.max() > 1
    assert pull[np.argmin(abs(p - 0.9))] < plain[np.argmin(abs(p - 0.9))] / 3


def test_exercise_2(lesson):
    """The network learns P(class | x), which is P(x | class) n / N, scaled. In a balanced test set
    n / N is 1/3, so the logits, which are logarithms, move by ln(1/3) − ln(n/N)."""
    with mg.no_grad():
        logits = lesson.trained["cross-entropy"][0](lesson.x_test).numpy()
    moved = logits + np.log(1 / 3) - np.log(lesson.COUNTS / lesson.COUNTS.sum())
    accuracy = (moved.argmax(1) == lesson.t_test.numpy()).reshape(3, -1).mean(axis=1)
    assert accuracy.mean() > lesson.trained["cross-entropy"][1].mean() + 0.05

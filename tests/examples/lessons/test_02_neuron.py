"""Lesson 2: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np

import minigrad as mg


def test_hand_and_tape_agree(lesson):
    w, b = (mg.tensor(v, dtype="float64", requires_grad=True) for v in ([1.0, -2.0], 0.5))
    loss = lesson.by_tape(w, b)
    loss.backward()
    found = loss.item(), *w.grad.tolist(), b.grad.item()
    value, gw, gb = lesson.by_hand(w.detach().numpy(), b.item())
    np.testing.assert_allclose(found, [value, *gw, gb], rtol=1e-12)


def test_it_learns(lesson):
    assert lesson.losses[-1] < lesson.losses[0] / 3
    assert lesson.right > 0.9


def test_exercise_1(lesson):
    """dp/dz = p (1 − p) stays in dL/dz. It is nearly 0 if p is, so a sure neuron hardly moves."""
    x, t = lesson.x, lesson.t
    w, b = (mg.tensor(v, dtype="float64", requires_grad=True) for v in ([0.3, -0.2], 0.1))
    p = 1 / (1 + (-(lesson.points @ w + b)).exp())
    ((p - lesson.classes) ** 2).mean().backward()
    p = p.detach().numpy()
    gz = 2 * (p - t) * p * (1 - p) / len(t)
    np.testing.assert_allclose(w.grad.numpy(), x.T @ gz, rtol=1e-12)
    np.testing.assert_allclose(b.grad.item(), gz.sum(), rtol=1e-12)


def test_exercise_2():
    corners = mg.tensor([[0, 0], [0, 1], [1, 0], [1, 1]], dtype="float32")
    classes = mg.tensor([0, 1, 1, 0], dtype="float32")
    mg.manual_seed(1)
    v, c = mg.randn(2, 4, requires_grad=True), mg.zeros(4, requires_grad=True)
    w, b = mg.randn(4, requires_grad=True), mg.zeros(1, requires_grad=True)
    optimizer = mg.optim.SGD([v, c, w, b], lr=1.0)
    for _ in range(500):
        optimizer.zero_grad()
        p = ((corners @ v + c).tanh() @ w + b).sigmoid()
        (-(classes * p.log() + (1 - classes) * (1 - p).log())).mean().backward()
        optimizer.step()
    np.testing.assert_allclose(p.detach().numpy(), classes.numpy(), atol=0.1)

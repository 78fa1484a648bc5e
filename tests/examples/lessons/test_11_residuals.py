"""Lesson 11: what it says holds, and its exercises can be solved."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from minigrad import nn


def test_gradients_get_through(lesson):
    plain, residual = lesson.norms["Plain"], lesson.norms["Residual"]
    assert plain[0] < plain[-1] * 1e-5
    assert residual[0] > residual[-1] / 10
    means = {name: np.mean(values[-10:]) for name, values in lesson.losses.items()}
    assert means["Residual"] < 0.5 * means["Plain"]


def test_exercise_1():
    """dL/dx = g + (the gradient of f for g). The sweep adds the two contributions to x."""
    w = mg.randn(3, 3, dtype="float64")
    x, g = mg.randn(2, 3, dtype="float64", requires_grad=True), mg.randn(2, 3, dtype="float64")
    f = (x @ w).tanh()
    (x + f).backward(g)
    through = (g.numpy() * (1 - f.detach().numpy() ** 2)) @ w.numpy().T
    np.testing.assert_allclose(x.grad.numpy(), g.numpy() + through, rtol=1e-9)


def test_exercise_2(lesson):
    """With all a = 0 the network is y = x: each gradient goes around, so all are the last one's. A
    layer's weight gets a g = 0, and a gets Σ g f, so a moves first and then wakes its layer up."""

    class ReZero(lesson.Plain):
        def __init__(self):
            super().__init__()
            self.a = nn.ParameterList([nn.Parameter(mg.zeros(1)) for _ in range(lesson.DEPTH)])

        def forward(self, x):
            self.sums = [x]
            for layer, a in zip(self.layers, self.a, strict=True):
                x = x + a * layer(x).tanh()
                x.retain_grad()
                self.sums.append(x)
            return x

    model = ReZero()
    x, target = mg.randn(4, lesson.WIDTH), mg.randn(4, lesson.WIDTH)
    y = model(x)
    np.testing.assert_array_equal(y.detach().numpy(), x.numpy())
    ((y - target) ** 2).mean().backward()
    norms = [np.linalg.norm(s.grad.numpy()) for s in model.sums[1:]]
    np.testing.assert_allclose(norms, norms[-1], rtol=1e-5)
    assert all(np.abs(layer.weight.grad.numpy()).max() == 0 for layer in model.layers)
    assert all(np.abs(a.grad.numpy()).max() > 0 for a in model.a)

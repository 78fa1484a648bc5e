"""When kernels of optimisers run; tests/ops/test_implementations.py compares them with NumPy."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from minigrad.optim.adam_variants import adamax
from minigrad.optim.sgd import sgd
from tests.common import set_compiled


def updated(compiled: bool, fresh: bool) -> list[np.ndarray]:
    """A parameter and its buffer after an update."""
    p, g, b = np.random.default_rng(0).standard_normal((3, 1000)).astype(np.float32)
    b *= not fresh
    options = {"lr": 0.1, "momentum": 0.9, "dampening": 0.0, "weight_decay": 0.1}
    options |= {"nesterov": False, "maximize": False, "fresh": fresh}
    with set_compiled(compiled):
        sgd.run([p], [g], [b], options=lambda: options)
    return [p, b]


def test_the_first_update_has_the_bits_of_numpy():
    """A kernel may fuse a multiplication and an addition, which rounds once."""
    np.testing.assert_array_equal(updated(True, fresh=True), updated(False, fresh=True))


def test_a_later_update_runs_the_kernel(monkeypatch):
    ran = []
    there = "minigrad.cpu.kernels.optim.update"

    def kernel(name, *_):
        return SimpleNamespace(run=lambda *_: ran.append(name), has_seats=False)

    monkeypatch.setattr(there, kernel)
    for fresh in (True, False):
        updated(True, fresh)
    assert ran == ["sgd"]


def test_a_maximum_keeps_nan():
    p, g, m, u = np.float64([[1], [1], [0], [np.nan]])
    options = {"step": 2, "lr": 0.1, "betas": (0.9, 0.9), "eps": 0.0, "weight_decay": 0.0}
    adamax.run([p], [g], [m], [u], options=lambda: {**options, "maximize": False})
    assert np.isnan([*u, *p]).all()

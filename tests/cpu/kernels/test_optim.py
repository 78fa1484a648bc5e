"""When kernels of optimisers run; tests/ops/test_implementations.py compares them with NumPy."""

from __future__ import annotations

import numpy as np

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
    monkeypatch.setattr("minigrad.cpu.kernels.optim.sgd", lambda p, *_: p.fill(7))
    p, _ = updated(True, fresh=False)
    assert (p == 7).all()

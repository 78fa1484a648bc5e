"""What one launch of an optimiser's CUDA kernel updates; tests/ops/test_implementations.py compares
the kernels with their definitions."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.gpu import launch as cuda
from tests.gpu.kernels.twins import draw

pytestmark = pytest.mark.usefixtures("on_cpu")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (mg.optim.Adam, {"betas": (0, 0)}),
        (mg.optim.RMSprop, {"alpha": 0.0, "centered": True, "eps": 1.0}),
    ],
)
def test_no_memory_of_a_large_gradient(kind, options):
    """m + (g − m) would keep the rounding of m."""
    p = mg.zeros(1, requires_grad=True)
    optimizer = kind([p], lr=1, **options)
    for g in (1e8, 1.0):
        p.data[...], p.grad = 0, mg.tensor([g])
        optimizer.step()
    assert p.item() == -1


def test_one_launch_for_all(monkeypatch):
    calls = []
    monkeypatch.setattr(cuda, "_launch", lambda *args: calls.append(args))
    params = [mg.Tensor(draw((n, 7), n, np.float32), requires_grad=True) for n in range(1, 50)]
    optimizer = mg.optim.Adam(params)
    for p in params:
        p.grad = mg.ones(p.shape)
    optimizer.step()
    assert [(call[1], len(call[5][0])) for call in calls] == [("adam", 4 * 49)]


def test_dtypes_apart():
    """A launch has one type."""
    params = [mg.Tensor(draw((4,), 0, t), requires_grad=True) for t in (np.float32, np.float64)]
    before = [p.detach().numpy().copy() for p in params]
    for p in params:
        p.grad = mg.ones(4, dtype=p.dtype)
    mg.optim.SGD(params, lr=0.5).step()
    for p, old in zip(params, before, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), old - old.dtype.type(0.5))

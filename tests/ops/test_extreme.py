"""Extremes: names of results, shared gradients; tests/parity compares them with PyTorch."""

from __future__ import annotations

import numpy as np

import minigrad as mg
from tests.common import grid, leaf, refuses


def test_derivatives():
    x, y = leaf(grid((3, 4))), leaf(grid((4,), 1))
    mg.gradcheck(mg.maximum, [x, y])
    mg.gradcheck(mg.minimum, [x, y])
    mg.gradcheck(lambda x: mg.amax(x, 1) + mg.amin(x, 1, True).sum(), x)
    mg.gradcheck(lambda x: x.max(0).values, x)


def test_equal_ones_share():
    x = leaf(np.array([[2.0, 2.0, 1.0]]))
    x.amax(1).sum().backward()
    assert x.grad.tolist() == [[0.5, 0.5, 0]]
    x.grad = None
    mg.maximum(x, mg.tensor([2.0, 0.0, 3.0], "float64")).sum().backward()
    assert x.grad.tolist() == [[0.5, 1, 0]]


def test_named_result():
    found = mg.tensor([[1.0, 3.0], [5.0, 2.0]]).max(1)
    assert found.values.tolist() == [3, 5]
    assert found.indices.tolist() == [1, 0]
    refuses(TypeError, "other: expected it or dim", lambda: mg.max(mg.ones(1), 0, other=mg.ones(1)))

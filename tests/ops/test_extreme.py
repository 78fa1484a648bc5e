"""Extremes: names of results, shared gradients; tests/parity compares them with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import arrays, check_op
from tests.common import leaf, refuses


def test_derivatives():
    apart = st.tuples(arrays((3, 4)), arrays((4,), low=-2.05, high=1.9))  # no ties
    x = arrays((3, 4))
    check_op(mg.maximum, apart, reference=np.maximum, max_examples=10)
    check_op(mg.minimum, apart, reference=np.minimum, max_examples=10)
    check_op(lambda x: mg.amax(x, 1) + mg.amin(x, 1, True).sum(), x, max_examples=5)
    check_op(lambda x: x.max(0).values, x, max_examples=5)


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


def test_of_one_number():
    x = mg.tensor(3.0)
    for name in ("max", "min"):
        getattr(x, name)(0).values.add_(1)
    assert x.item() == 3


@pytest.mark.parametrize("name", ["amax", "amin"])
def test_axes_of_one_number_lie_anywhere(name):
    """Those of x and of what is computed from it differ in memory."""
    numbers = np.random.default_rng(0).random((64, 32, 16, 1), np.float32)
    x = leaf(numbers)
    y = getattr(x.permute(3, 2, 1, 0), name)((2, 3))
    y.sum().backward()
    reduced = getattr(numbers, name[1:])((0, 1))
    np.testing.assert_array_equal(y.detach().numpy(), reduced.T)
    np.testing.assert_array_equal(x.grad.numpy(), (numbers == reduced).astype(np.float32))

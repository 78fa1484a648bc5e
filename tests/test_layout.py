"""Memory with the batch innermost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import minigrad as mg
from minigrad.layout import (
    from_batch_last,
    memory_order,
    memory_order_and_back,
    to_batch_last,
)
from tests.common import grid, lay_out, layouts, seeds, shapes


@given(shapes(1, 4), seeds, layouts)
def test_inner_and_outer(shape, seed, layout):
    a = lay_out(grid(shape, seed), layout)
    memory = to_batch_last(a)
    assert memory.flags.c_contiguous
    assert memory.shape == (*shape[1:], shape[0])
    np.testing.assert_array_equal(from_batch_last(memory), a)
    assert np.shares_memory(from_batch_last(memory), memory)
    assert np.shares_memory(to_batch_last(from_batch_last(memory)), memory)


@given(shapes(1, 4), seeds, layouts)
def test_the_order_and_the_way_back(shape, seed, layout):
    a = lay_out(grid(shape, seed), layout)
    order, back = memory_order_and_back(a)
    assert list(order) == memory_order(a)
    assert sorted(a.strides, reverse=True) == [*a.transpose(order).strides]
    assert a.transpose(order).transpose(back).strides == a.strides


@pytest.mark.parametrize("operation", ["relu", "sigmoid", "mul", "conv", "pool", "norm", "dropout"])
def test_layout_passes_through(operation):
    """Results are batch-innermost in memory, so that the next operation finds them so."""
    x = mg.Tensor(lay_out(grid((8, 4, 6, 6)), "batch innermost"))
    f = mg.functional
    y = {
        "relu": lambda: f.relu(x),
        "sigmoid": lambda: f.sigmoid(x),
        "mul": lambda: x * x,
        "conv": lambda: f.conv2d(x, mg.Tensor(grid((5, 4, 3, 3)))),
        "pool": lambda: f.max_pool2d(x, 2),
        "norm": lambda: f.batch_norm(x, None, None, training=True),
        "dropout": lambda: f.dropout(x),
    }[operation]()
    assert y.data.transpose(1, 2, 3, 0).flags.c_contiguous

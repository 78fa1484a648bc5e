"""Shape operations: what the drawn calls of tests/parity do not reach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import functional as F
from minigrad.layout import memory_order
from tests.common import compare, grid, layouts, seeds, shapes


@given(st.data(), shapes(1, 4), seeds, layouts)
def test_permute_and_reshape(device, data, shape, seed, layout):
    order = data.draw(st.permutations(range(len(shape))))
    f = lambda x: (x.permute(*order).reshape(-1) * 2).reshape(*shape).permute(order)  # noqa: E731
    compare(f, f, [grid(shape, seed)], device=device, layout=layout)


INDICES = [
    0,
    -1,
    np.int64(1),
    slice(None, None, 2),
    slice(1, 3),
    slice(2, 2),
    None,
    ...,
    True,
    (0, 1),
    (..., 0),
    (slice(None), 1),
    (None, 0, ..., None),
    [0, 2, 0],
    ([0, 1], [1, 1]),
    (slice(None), [2, 0, 0]),
    np.array([[0, 1], [2, 0]]),
    (np.array([0, 0, 1]), slice(1, None)),
    [True, False, True],
]


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("layout", ["C", "batch innermost"])
def test_getitem(device, index, layout):
    f = lambda x: x[index]  # noqa: E731
    compare(f, f, [grid((3, 4, 2))], device=device, layout=layout)


def test_iteration_and_unpacking():
    a, b = mg.tensor([[1, 2], [3, 4]])
    assert (a.numpy().tolist(), b.numpy().tolist()) == ([1, 2], [3, 4])


def test_slices_and_frames_stay_in_the_memory_order_of_their_operand():
    """Or the operations around them, which want the batch innermost, copy."""
    x = mg.Tensor(np.zeros((3, 4, 5, 2), np.float32).transpose(3, 0, 1, 2), requires_grad=True)
    y = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1))
    assert memory_order(y.data) == memory_order(x.data) == [1, 2, 3, 0]
    y.sum().backward()
    assert memory_order(x.grad.data) == [1, 2, 3, 0]

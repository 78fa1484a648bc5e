"""Shape operations: what the drawn calls of tests/parity do not reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import functional as F
from minigrad.layout import memory_order
from tests.common import compare, grid, layouts, refuses, seeds, shapes


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


def test_an_integer_and_an_array_apart_are_refused():
    """NumPy would put the array's dimensions first, PyTorch leaves them in place."""
    for index in ((0, slice(None), [1, 1]), ([0, 1], None, 0)):
        text = "index: an integer and an array with something between them"
        refuses(NotImplementedError, text, lambda i=index: mg.ones(3, 4, 2)[i])


def test_iteration_and_unpacking():
    a, b = mg.tensor([[1, 2], [3, 4]])
    assert (a.numpy().tolist(), b.numpy().tolist()) == ([1, 2], [3, 4])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m, x: x.reshape(4, 2), ValueError, "shape: cannot reshape (2, 3) into (4, 2)"),
        (lambda m, x: x.reshape(-1, -1), ValueError, "shape: at most one size may be -1"),
        (lambda m, x: x.reshape(4, -1), ValueError, "shape: cannot reshape (2, 3) into (4, -1)"),
        (lambda m, x: x.reshape(-2, 3), ValueError, "size: expected whole numbers from 0"),
        (lambda m, x: x.reshape(2.0, 3), ValueError, "size: expected whole numbers from 0"),
        (lambda m, x: m.zeros(0, 3).reshape(-1, 0), ValueError, "shape: cannot reshape (0, 3)"),
        (
            lambda m, x: x.flatten(2),
            IndexError,
            "start_dim: expected a dimension from -2 to 1, got 2",
        ),
        (
            lambda m, x: x.flatten(1, 0),
            (ValueError, RuntimeError),
            "start_dim: expected at most end_dim",
        ),
        (
            lambda m, x: x.permute(0),
            ValueError,
            "dims: expected each of 2 dimensions once, got (0,)",
        ),
        (lambda m, x: x.permute(0, 0), ValueError, "dims: expected each of 2 dimensions once"),
        (
            lambda m, x: x.permute(0, 2),
            IndexError,
            "dims: expected a dimension from -2 to 1, got 2",
        ),
        (
            lambda m, x: x.transpose(0, 2),
            IndexError,
            "dim1: expected a dimension from -2 to 1, got 2",
        ),
        (lambda m, x: x.transpose(0.5, 1), TypeError, "dim0: expected a whole number, got 0.5"),
        (lambda m, x: x.squeeze(2), IndexError, "dim: expected a dimension from -2 to 1, got 2"),
        (
            lambda m, x: x.squeeze((0, 0)),
            ValueError,
            "dim: expected distinct dimensions, got (0, 0)",
        ),
        (lambda m, x: x.unsqueeze(3), IndexError, "dim: expected a dimension from -3 to 2, got 3"),
        (lambda m, x: x.expand(4, 3), ValueError, "size: cannot expand shape (2, 3) to (4, 3)"),
        (lambda m, x: x.expand(3), ValueError, "size: cannot expand shape (2, 3) to (3,)"),
        (
            lambda m, x: x.expand(-1, 2, 3),
            ValueError,
            "size: cannot expand shape (2, 3) to (-1, 2, 3)",
        ),
        (lambda m, x: x[2], IndexError, "index 2 is out of bounds"),
        (lambda m, x: x[0, 0, 0], IndexError, "too many indices"),
        (lambda m, x: x[0.5], TypeError, "index: expected integers, slices"),
        (lambda m, x: x["a"], TypeError, "index: expected integers, slices"),
        (
            lambda m, x: x[m.ones(2)],
            TypeError,
            "index: expected bools, int32 or int64, got float32",
        ),
        (
            lambda m, x: m.cat([]),
            TypeError,
            "tensors: cat expects a non-empty list or tuple of Tensors",
        ),
        (lambda m, x: m.cat(x), TypeError, "tensors: cat expects a non-empty list or tuple"),
        (lambda m, x: m.cat([x, 1]), TypeError, "tensors: cat expects a non-empty list or tuple"),
        (
            lambda m, x: m.cat([x, m.zeros(2, 2)]),
            ValueError,
            "tensors: cannot cat shapes [(2, 3), (2, 2)] along dim 0",
        ),
        (lambda m, x: m.cat([m.zeros(()), m.zeros(())]), ValueError, "tensors: cannot cat shapes"),
        (lambda m, x: m.cat([x], 2), IndexError, "dim: expected a dimension from -2 to 1, got 2"),
        (
            lambda m, x: m.stack([x, m.zeros(3)]),
            ValueError,
            "tensors: expected one shape, got [(2, 3), (3,)]",
        ),
        (lambda m, x: m.stack([x], 3), IndexError, "dim: expected a dimension from -3 to 2, got 3"),
    ],
)
def test_errors(call, error, match):
    refuses(error, match, lambda: call(mg, mg.ones(2, 3)), lambda: call(torch, torch.ones(2, 3)))


@pytest.mark.parametrize(
    ("name", "args", "error", "match"),
    [
        ("one_hot", (2,), ValueError, "tensor: expected class indices from 0 to 1, got 0 to 2"),
        ("one_hot", (-2,), ValueError, "num_classes: expected a whole number from 1, got -2"),
    ],
)
def test_function_errors(name, args, error, match):
    ours, theirs = getattr(mg.functional, name), getattr(torch.nn.functional, name)
    data = [0, 2]
    refuses(
        error,
        match,
        lambda: ours(mg.tensor(data), *args),
        lambda: theirs(torch.tensor(data), *args),
    )


def test_other_errors():
    one_hot = mg.functional.one_hot
    text = "tensor: expected integer class indices, got float32"
    refuses(TypeError, text, lambda: one_hot(mg.ones(2)))
    text = "num_classes: cannot be inferred from an empty tensor"
    refuses(ValueError, text, lambda: one_hot(mg.zeros(0, dtype="int64")))
    text = "tensors: expected one dtype, got ['float32', 'int64']"
    refuses(TypeError, text, lambda: mg.cat([mg.ones(1), mg.tensor([1])]))


def test_slices_and_frames_stay_in_the_memory_order_of_their_operand():
    """Or the operations around them, which want the batch innermost, copy."""
    x = mg.Tensor(np.zeros((3, 4, 5, 2), np.float32).transpose(3, 0, 1, 2), requires_grad=True)
    y = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1))
    assert memory_order(y.data) == memory_order(x.data) == [1, 2, 3, 0]
    y.sum().backward()
    assert memory_order(x.grad.data) == [1, 2, 3, 0]

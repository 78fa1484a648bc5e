"""Matrix products: large ones and errors; tests/parity compares them with PyTorch."""

from __future__ import annotations

import operator

import pytest
import torch

import minigrad as mg
from tests.common import compare, grid, refuses

linear, reference = mg.functional.linear, torch.nn.functional.linear


@pytest.mark.parametrize("sizes", [(257, 130, 65), (33, 200, 300), (1, 4096, 64), (4096, 64, 1)])
def test_large_products(device, sizes):
    """Large enough to be shared over threads."""
    m, k, n = sizes
    arrays = [grid((m, k)), grid((k, n), 1, -0.1, 0.1)]
    options = {"device": device, "numerical": False, "loosen": 10}
    compare(operator.matmul, operator.matmul, arrays, **options)
    compare(linear, reference, [arrays[0], arrays[1].T, grid((n,), 2)], **options)


@pytest.mark.parametrize(
    ("shapes", "match"),
    [
        ([(2, 3), (2, 3)], "matmul: inner sizes differ: (2, 3) @ (2, 3) (3 and 2)"),
        ([(3,), (2,)], "matmul: inner sizes differ"),
        ([(), (2,)], "input: matmul expects at least one dimension, got shape ()"),
        ([(2,), ()], "other: matmul expects at least one dimension, got shape ()"),
        ([(2, 3, 4), (3, 4, 5)], "(2,3,4)"),
    ],
)
def test_matmul_errors(shapes, match):
    def call(module):
        a, b = (module.ones(*s) if s else module.ones(()) for s in shapes)
        return lambda: a @ b

    refuses(ValueError, match, call(mg), call(torch))


@pytest.mark.parametrize(
    ("shapes", "match"),
    [
        ([(2, 3), (4, 2)], "input: expected 2 features last (weight (4, 2)), got shape (2, 3)"),
        ([(), (4, 2)], "got shape ()"),
        ([(2, 3), (4, 3, 1)], "weight: expected shape (O, F), got (4, 3, 1)"),
        ([(2, 3), (4, 3), (3,)], "bias: expected shape (4,), got (3,)"),
    ],
)
def test_linear_errors(shapes, match):
    def call(function, module):
        return lambda: function(*[module.ones(s) for s in shapes])

    refuses(ValueError, match, call(linear, mg), call(reference, torch))


def test_type_errors():
    x, w = mg.ones(2, 3), mg.ones(4, 3)
    text = "matmul: expected one dtype, got float32 and float64"
    refuses(TypeError, text, lambda: x @ w.T.to("float64"))
    refuses(TypeError, "other: expected a Tensor, got ndarray", lambda: x @ w.T.numpy())
    text = "weight: expected dtype float32 as input, got float64"
    refuses(TypeError, text, lambda: linear(x, w.to("float64")))
    text = "weight: expected dtype int64 as input, got float32"
    refuses(TypeError, text, lambda: linear(x.to("int64"), w))
    text = "bias: expected dtype float32 as input, got int64"
    refuses(TypeError, text, lambda: linear(x, w, mg.ones(4, dtype="int64")))
    refuses(TypeError, "weight: expected a Tensor, got list", lambda: linear(x, [[1.0]]))

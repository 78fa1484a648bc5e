"""Element by element operations: what the drawn calls of tests/parity do not reach."""

from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor
from tests.common import compare, grid, layouts, leaf, refuses, seeds, shapes

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv]
COMPARE = [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]
numbers = st.sampled_from([2, -3, 0.5, -1.25, np.float32(0.1), np.float64(0.1), np.int8(3)])


@given(st.sampled_from(BINARY), numbers, st.booleans(), shapes(0, 3), seeds, layouts)
def test_binary_with_a_number(device, function, number, swapped, shape, seed, layout):
    def ours(x):
        return function(number, x) if swapped else function(x, number)

    def theirs(x):  # with a Python number: NumPy's scalars would take over
        plain = number.item() if isinstance(number, np.generic) else number
        return function(plain, x) if swapped else function(x, plain)

    compare(ours, theirs, [grid(shape, seed, 0.5, 2)], device=device, layout=layout)


DTYPES = ["bool", "uint8", "int32", "int64", "float32", "float64"]


@pytest.mark.parametrize("first", DTYPES)
def test_promotion(device, first):
    """As in PyTorch, but two different floating dtypes are refused."""
    functions = [operator.add, operator.mul, operator.truediv, operator.lt]
    for second, function in itertools.product([*DTYPES, True, 2, 0.5], functions):
        promoted(device, first, second, function)


def promoted(device, first, second, function):
    a = np.array([1, 0, 1]).astype(first)
    b = np.array([1, 1, 0]).astype(second) if isinstance(second, str) else second
    if {first, second} == {"float32", "float64"}:
        refuses(TypeError, "different floating dtypes", lambda: function(Tensor(a), Tensor(b)))
        return
    arrays = [a, b] if isinstance(second, str) else [a]
    number = [] if isinstance(second, str) else [second]
    ours = function(*[leaf(x, device, requires_grad=False) for x in arrays], *number)
    theirs = function(*[torch.tensor(x) for x in arrays], *number)
    assert f"torch.{ours.dtype}" == str(theirs.dtype)
    np.testing.assert_array_equal(ours.cpu().numpy(), theirs.numpy())


@pytest.mark.parametrize("function", COMPARE)
def test_comparison_with_a_numpy_scalar_is_in_the_tensors_dtype(function):
    """0.1 in float32 is not 0.1 in float64, but x == 0.1 means the former."""
    x = mg.tensor([0.1])
    expected = function(torch.tensor([0.1]), 0.1).item()
    for scalar in (0.1, np.float64(0.1), np.float32(0.1)):
        assert function(x, scalar).item() is expected
    flipped = function(torch.tensor(0.1), torch.tensor([0.1])).item()
    assert function(np.float64(0.1), x).item() is flipped


def test_comparison_with_something_else():
    x = mg.ones(2)
    assert (x == "a") is False
    assert (x != None) is True  # noqa: E711
    refuses(
        TypeError, "not supported between instances", lambda: x < "a", lambda: torch.ones(2) < "a"
    )
    refuses(
        ValueError, "(2,) (3,)", lambda: x == mg.ones(3), lambda: torch.ones(2) == torch.ones(3)
    )


def test_where_hides_infinities():
    def f(where):
        return lambda x: where(x > 0, x.log(), 0.0)

    compare(f(mg.where), f(torch.where), [np.array([1.0, 2.0, 3.0])])
    x = leaf(np.array([0.0, 1.0]))
    y = f(mg.where)(x)
    assert y.detach().numpy().tolist() == [0, 0]


def test_clamp_to_nothing_has_no_gradient():
    """Where min is above max the result is max, also where that equals the input."""
    f = lambda x: x.clamp(1.5, 0)  # noqa: E731
    compare(f, f, [np.array([0.0, 1.0, 2.0])], numerical=False)


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "bool"])
def test_to_dtype(dtype):
    x = mg.tensor([0.0, 1.5, 2.5], requires_grad=True)
    y, ty = x.to(dtype), torch.tensor([0.0, 1.5, 2.5]).to(getattr(torch, dtype))
    assert y.numpy().tolist() == ty.tolist() if not y.requires_grad else True
    assert y.dtype == dtype
    assert y.requires_grad == (y.dtype.kind == "f")
    if y.requires_grad:
        y.sum().backward()
        assert x.grad.dtype == np.float32
        assert x.grad.numpy().tolist() == [1, 1, 1]
    assert x.to("float32") is x

"""Rounding and whole quotients; tests/parity compares them with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import arrays, check_op
from tests.common import leaf, refuses


@pytest.mark.parametrize("function", [mg.remainder, mg.fmod])
def test_derivatives(function):
    a, b = arrays((2, 3), low=-5.1, high=5), arrays((3,), low=0.7, high=2)
    check_op(function, st.tuples(a, b), max_examples=10)
    check_op(mg.frac, a, max_examples=3)


def test_what_has_steps_has_no_slope():
    x = leaf(np.array([0.4, 1.6, -2.5]))
    for name in ("floor", "ceil", "round", "trunc", "sign"):
        x.grad = None
        getattr(x, name)().sum().backward()
        assert x.grad.tolist() == [0, 0, 0]
    for y, name in ((x // 2, "floor_divide"), (2 % x, "remainder of a number")):
        refuses(NotImplementedError, f"{name}: it has no derivative", y.sum().backward)
    refuses(TypeError, "input: expected a Tensor, got int", lambda: mg.fmod(2, x))


def test_decimals_of_float16():
    """The scale does not fit into it."""
    for decimals, right in ((5, 1.234375), (2, 1.23046875), (-5, 0)):
        assert mg.tensor([1.234], dtype="float16").round(decimals=decimals).item() == right


def test_integers():
    x = mg.tensor([7, -7])
    assert (x // 2).tolist() == [3, -4]
    assert (x % 4).tolist() == [3, 1]
    assert x.fmod(4).tolist() == [3, -3]
    assert x.div(2, rounding_mode="trunc").tolist() == [3, -3]
    for function in (mg.floor_divide, mg.remainder, mg.fmod):
        refuses(
            ValueError, "an integer is divided by 0", lambda f=function: f(x, mg.tensor([0, 1]))
        )

"""Products of fixed dimensions, and Einstein's summation; tests/parity compares with PyTorch."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import arrays, check_op
from tests.common import grid, leaf, refuses


@pytest.mark.parametrize("equation", ["ij,jk->ik", "bij,bj->b", "ij,ik->jk", "i...,i->...", "ij->"])
def test_einsum(equation):
    terms = equation.partition("->")[0].split(",")
    sizes = {"i": 2, "j": 3, "k": 2, "b": 2}
    xs = [arrays(tuple(sizes[c] for c in t.replace("...", "k"))) for t in terms]
    check_op(lambda *xs: mg.einsum(equation, *xs), st.tuples(*xs), max_examples=5)


def test_a_size_of_one_is_repeated():
    a, b = leaf(grid((1, 3))), leaf(grid((2, 3), 1))
    mg.gradcheck(lambda a, b: mg.einsum("ij,ij->i", a, b), [a, b])


def test_products():
    a, b, v = leaf(grid((2, 3))), leaf(grid((3, 2), 1)), leaf(grid((3,), 2))
    mg.gradcheck(lambda a, b: mg.addmm(a[:, :2], a, b, beta=2, alpha=3), [a, b])
    mg.gradcheck(lambda a, v: mg.mv(a, v).dot(a[:, 0]) + mg.outer(v, v).sum(), [a, v])


@pytest.mark.parametrize("requires_grad", [False, True])
def test_products_alone(requires_grad):
    """beta = 0 leaves the input out, and alpha scales infinite products too."""
    a = mg.tensor([[float("nan")]], requires_grad=requires_grad)
    b, one = mg.tensor([[float("inf")]]), mg.ones(1, 1)
    assert mg.addmm(a, b, one, beta=0, alpha=2).item() == float("inf")
    assert mg.addmm(a, one, one, beta=0, alpha=0.5).item() == 0.5
    whole = mg.ones(1, 1, dtype="int64")
    assert mg.addmm(whole, whole, whole, beta=0, alpha=3).tolist() == [[3]]
    for options in ({"beta": 0, "alpha": 1.5}, {"alpha": 1.5}, {"beta": 1.5}):
        name = next(n for n, v in options.items() if v)
        text = f"{name}: expected a whole number for integers, got 1.5"
        refuses(TypeError, text, lambda o=options: mg.addmm(whole, whole, whole, **o))


def test_errors():
    a = mg.ones(2, 3)
    for error, text, call in (
        (ValueError, "equation: 'ij,jk' is of 2 operands, got 1", lambda: mg.einsum("ij,jk", a)),
        (ValueError, "operands: 'j' is 3 and 2", lambda: mg.einsum("ij,jk", a, a)),
        (ValueError, "equation: 'i' does not name", lambda: mg.einsum("i", a)),
        (ValueError, "a letter of the result is in no operand", lambda: mg.einsum("ij->k", a)),
        (NotImplementedError, "equation='ii->i'", lambda: mg.einsum("ii->i", mg.ones(2, 2))),
        (ValueError, "mat2: expected shape 2-d, got (3,)", lambda: a.mm(mg.ones(3))),
        (ValueError, "mat2: expected 1 matrices", lambda: mg.ones(1, 1, 1).bmm(mg.ones(2, 1, 1))),
    ):
        refuses(error, text, call)

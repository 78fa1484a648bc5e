"""Comparison and logic; tests/parity compares them with PyTorch."""

from __future__ import annotations

import minigrad as mg
from tests.common import leaf, refuses

X = mg.tensor([1.0, 2.0, 3.0])


def test_masks_combine():
    assert ((X > 1) & (X < 3)).tolist() == [False, True, False]
    assert ((X > 2) | (X < 2)).tolist() == [True, False, True]
    assert (~(X > 1) ^ True).tolist() == [False, True, True]
    refuses(TypeError, "bitwise_and: expected bools or integers", lambda: X & X)


def test_results_are_outside_the_graph():
    x = leaf([1.0])
    for y in (x.isnan(), x.eq(x), x == x, x.any(), x.logical_not(), x.isclose(x)):
        assert not y.requires_grad


def test_close_integers():
    """Their difference is exact."""
    a = mg.tensor([2**60, 2**60, -(2**63), 5])
    b = mg.tensor([2**60 + 1, 2**60, 2**63 - 1, 7])
    assert a.isclose(b, 0, 0).tolist() == [False, True, False, False]
    assert a.isclose(b, 0, 1).tolist() == [True, True, False, False]
    assert b.isclose(a, 0, 0.5).tolist() == [False, True, False, False]
    assert b.isclose(a, 2, 0).tolist() == [True] * 4
    a, b = (mg.tensor([n], dtype="uint8") for n in (200, 250))
    assert (a.isclose(b, 0, 49).item(), b.isclose(a, 0, 50).item()) == (False, True)


def test_whole_answers():
    assert mg.allclose(X, X + 1e-7)
    assert not mg.allclose(X, X + 1e-3)
    assert mg.equal(X, X.clone())
    assert not mg.equal(X, X[:2])
    assert mg.allclose(X * float("nan"), X * float("nan"), equal_nan=True)
    assert mg.is_tensor(X)
    assert not mg.is_tensor([1])

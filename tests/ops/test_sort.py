"""Sorting; tests/parity compares it with PyTorch."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import arrays, check_op
from tests.common import refuses


def test_derivatives():
    for function in (
        lambda x: x.sort(0, descending=True).values,
        lambda x: x.topk(2).values + x.kthvalue(3, 1, True).values,
        lambda x: x.median(1).values + x.median(),
    ):
        check_op(function, arrays((3, 4)), max_examples=5)


@given(st.lists(st.integers(0, 3), max_size=20), st.booleans())
def test_equal_elements_keep_their_order(numbers, descending):
    values, indices = mg.tensor(numbers, dtype="int64").sort(descending=descending)
    expected = sorted(range(len(numbers)), key=lambda i: numbers[i], reverse=False)
    if descending:
        expected = sorted(range(len(numbers)), key=lambda i: -numbers[i])
    assert indices.tolist() == expected
    assert values.tolist() == [numbers[i] for i in expected]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(1, 20))
def test_topk_of_equal_ones(numbers, k):
    x, k = mg.tensor(numbers), min(k, len(numbers))
    values, indices = x.topk(k)
    assert values.tolist() == sorted(numbers, reverse=True)[:k]
    assert x.gather(0, indices).tolist() == values.tolist()


def test_nan_is_the_largest():
    x = mg.tensor([1.0, np.nan, 0.0])
    assert x.argsort().tolist() == [2, 0, 1]
    assert x.argsort(descending=True).tolist() == [1, 0, 2]


def test_errors():
    refuses(ValueError, "k: expected a whole number up to 2", lambda: mg.ones(2).topk(3))
    refuses(ValueError, "input: expected integers from 0", lambda: mg.tensor([-1]).bincount())

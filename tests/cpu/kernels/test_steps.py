"""Loops over one element or two, beside NumPy's functions."""

from __future__ import annotations

import numpy as np
import pytest

steps = pytest.importorskip("minigrad.cpu.kernels.steps")

VALUES = np.array([0, -0.0, 0.5, 1.5, 2.5, -0.5, -2.5, 1e30, np.nan, np.inf, -np.inf])
PAIRS = [a.ravel() for a in np.meshgrid(VALUES, VALUES)]


def same(found, expected):
    np.testing.assert_array_equal(found, expected)
    if expected.dtype.kind == "f":
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found)[numbers], np.signbit(expected)[numbers])


@pytest.mark.parametrize(
    ("name", "beside"),
    [("floor", np.floor), ("ceil", np.ceil), ("trunc", np.trunc), ("round", np.rint)],
)
def test_rounding(name, beside):
    out = np.empty(len(VALUES), np.float32)
    steps.loop(name, "one")(out, VALUES.astype(np.float32), 0, len(out))
    same(out, beside(VALUES.astype(np.float32)))


@pytest.mark.parametrize("name", ["less", "less_equal", "equal", "not_equal", "greater"])
def test_comparison(name):
    a, b = PAIRS
    out = np.empty(len(a), bool)
    steps.loop(name, "two")(out, a, b, 0, len(a))
    same(out, getattr(np, name)(a, b))
    steps.loop(name, "one and a number")(out, a, 0.5, 0, len(a))
    same(out, getattr(np, name)(a, 0.5))


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_extremes(name):
    """NaN if one is NaN."""
    a, b = PAIRS
    out = np.empty(len(a))
    steps.loop(name, "two")(out, a, b, 0, len(a))
    np.testing.assert_array_equal(out, getattr(np, name)(a, b))


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_logic(name):
    a, b = (np.array(v, bool) for v in ([0, 0, 1, 1], [0, 1, 0, 1]))
    out = np.empty(4, bool)
    steps.loop(name, "two")(out.view(np.uint8), a.view(np.uint8), b.view(np.uint8), 0, 4)
    same(out, getattr(np, name)(a, b))
    steps.loop("logical_not", "one")(out.view(np.uint8), a.view(np.uint8), 0, 4)
    same(out, ~a)

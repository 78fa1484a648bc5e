"""Argument checks: what passes, and the text of what does not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad import check
from tests.common import refuses

X = mg.ones(2, 3)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: check.tensor("x", X, (2,)), X),
        (lambda: check.floating("x", X), X),
        (lambda: check.vector("w", None, 3, X), None),
        (lambda: check.integer("n", np.int64(3), 3), 3),
        (lambda: check.pair("p", 2, 0), (2, 2)),
        (lambda: check.pair("p", [1, np.int32(2)], 1), (1, 2)),
        (lambda: check.number("a", np.float32(0.5), 0, 1), 0.5),
        (lambda: check.number("a", 10**9, 0), 1e9),
        (lambda: check.axis("d", -1, 3), 2),
        (lambda: check.axis("d", -1, 0), 0),
        (lambda: check.axes("d", None, 3), (0, 1, 2)),
        (lambda: check.axes("d", [-1, 0], 3), (2, 0)),
        (lambda: check.axes("d", 0, 0), ()),
        (lambda: check.choice("c", "b", ("a", "b")), "b"),
        (lambda: check.unsupported("o", None, None, False), None),
    ],
)
def test_what_passes(found, expected):
    assert found() == expected if expected is not X else found() is X


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: check.tensor("x", 1), TypeError, "x: expected a Tensor, got int"),
        (
            lambda: check.tensor("x", X, (3, 4)),
            ValueError,
            "x: expected shape 3-d or 4-d, got (2, 3)",
        ),
        (
            lambda: check.tensor("x", X, (1,), "(N,)"),
            ValueError,
            "x: expected shape (N,), got (2, 3)",
        ),
        (lambda: check.floating("x", X > 0), TypeError, "x: expected a floating dtype, got bool"),
        (
            lambda: check.vector("w", X, 3, X),
            ValueError,
            "w: expected shape (3,), got (2, 3)",
        ),
        (
            lambda: check.vector("w", X[0], 3, X.to("float64")),
            TypeError,
            "w: expected dtype float64 as input, got float32",
        ),
        (
            lambda: check.beside("w", X, SimpleNamespace(data=None, device="gpu:1")),
            mg.DeviceError,
            "w: expected on gpu:1 as input, got on cpu",
        ),
        (lambda: check.integer("n", 1.0, 0), TypeError, "n: expected a whole number, got 1.0"),
        (lambda: check.integer("n", True, 0), TypeError, "n: expected a whole number, got True"),
        (
            lambda: check.integer("n", -1, 0),
            ValueError,
            "n: expected a whole number from 0, got -1",
        ),
        (
            lambda: check.integer("n", 4, 0, 3),
            ValueError,
            "n: expected a whole number up to 3, got 4",
        ),
        (
            lambda: check.pair("p", (1, 2, 3), 0),
            ValueError,
            "p: expected an int or a pair of ints, got (1, 2, 3)",
        ),
        (lambda: check.pair("p", (1, None), 0), TypeError, "p: expected a whole number, got None"),
        (lambda: check.number("a", "1", 0), TypeError, "a: expected a number, got '1'"),
        (lambda: check.number("a", False, 0), TypeError, "a: expected a number, got False"),
        (
            lambda: check.number("a", float("nan"), 0),
            ValueError,
            "a: expected a number from 0, got nan",
        ),
        (
            lambda: check.number("a", 2, 0, 1),
            ValueError,
            "a: expected a number between 0 and 1, got 2",
        ),
        (lambda: check.axis("d", 3, 3), IndexError, "d: expected a dimension from -3 to 2, got 3"),
        (lambda: check.axis("d", True, 3), TypeError, "d: expected a whole number, got True"),
        (
            lambda: check.axes("d", (0, -3), 3),
            ValueError,
            "d: expected distinct dimensions, got (0, -3)",
        ),
        (lambda: check.choice("c", "x", ("a", "b")), ValueError, "c: expected 'a', 'b', got 'x'"),
        (
            lambda: check.unsupported("o", 2, None, 1),
            NotImplementedError,
            "o=2 is not supported (only None, 1)",
        ),
    ],
)
def test_what_does_not(call, error, text):
    refuses(error, text, call)

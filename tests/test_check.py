"""Argument checks: what passes, and the text of what does not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad import check

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
    ("error", "call"),
    [
        (TypeError, lambda: check.tensor("x", 1)),
        (ValueError, lambda: check.tensor("x", X, (3, 4))),
        (TypeError, lambda: check.floating("x", X > 0)),
        (ValueError, lambda: check.vector("x", X, 3, X)),
        (TypeError, lambda: check.vector("x", X[0], 3, X.to("float64"))),
        (mg.DeviceError, lambda: check.beside("x", X, SimpleNamespace(data=None, device="gpu:1"))),
        (TypeError, lambda: check.integer("x", 1.0, 0)),
        (TypeError, lambda: check.integer("x", True, 0)),
        (ValueError, lambda: check.integer("x", -1, 0)),
        (ValueError, lambda: check.integer("x", 4, 0, 3)),
        (ValueError, lambda: check.pair("x", (1, 2, 3), 0)),
        (TypeError, lambda: check.pair("x", (1, None), 0)),
        (TypeError, lambda: check.number("x", "1", 0)),
        (TypeError, lambda: check.number("x", False, 0)),
        (ValueError, lambda: check.number("x", float("nan"), 0)),
        (ValueError, lambda: check.number("x", 2, 0, 1)),
        (IndexError, lambda: check.axis("x", 3, 3)),
        (TypeError, lambda: check.axis("x", True, 3)),
        (ValueError, lambda: check.axes("x", (0, -3), 3)),
        (ValueError, lambda: check.choice("x", "c", ("a", "b"))),
        (NotImplementedError, lambda: check.unsupported("x", 2, None, 1)),
    ],
)
def test_what_does_not(error, call):
    with pytest.raises(error, match=r"^x(: expected|=2 is not supported)"):
        call()

"""Indexing, and values as Python and NumPy see them."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch

import minigrad as mg
from tests.parity.driver import Call, Drawer
from tests.parity.table import entry


@entry("Tensor.__getitem__", *[lambda x, *i: x[_index(i, x)]] * 2, "sum")
def getitem(d: Drawer) -> Call:
    """Integers, slices, None, ... and one list or array of indices or bools."""
    x = d.array(d.shape())
    sides = iter(x.shape)
    parts: list[Any] = []
    for _ in range(d.integer(1, x.ndim + 1 + d.rarely())):
        what = d(["int", "slice", "slice", "none", "list", "array", "mask", "tensor", "ellipsis"])
        n = next(sides, 2) if what not in ("none", "ellipsis") else 0
        span = n + d.rarely(20)
        some = [*range(-n, span)] or [0]
        if what == "int":
            parts.append(d(some))
        elif what == "slice":
            ends = [d([None, d.integer(-4, 4)]) for _ in range(2)]
            parts.append(slice(*ends, d([0, -1] if d.rarely(8) else [None, 1, 2, 3])))
        elif what in ("list", "array", "tensor"):
            found = d.several(lambda some=some: d(some), 1, 3)
            dtype = d(["int64"] * 9 + ["int32", "uint8", "float32"])
            parts.append(found if what == "list" else (what, np.array(found).astype(dtype)))
        elif what == "mask":
            parts.append(d.several(lambda: d([False, True]), n, span) if n else ...)
        else:
            parts.append({"none": None, "ellipsis": ...}[what])
    return Call([x], tuple(parts))


def _index(parts: tuple[Any, ...], x: Any) -> Any:
    """An index as a library takes it: a tuple's (kind, array) becomes an array or a tensor."""
    to = torch.tensor if isinstance(x, torch.Tensor) else mg.tensor
    found = tuple(
        (to(p[1]) if p[0] == "tensor" else p[1]) if isinstance(p, tuple) else p for p in parts
    )
    return found[0] if len(found) == 1 else found


@entry("Tensor.tolist", *[lambda x, *a: str(x.tolist(*a))] * 2)  # in which NaN is NaN
@entry("Tensor.__index__", operator.index, operator.index)
@entry("Tensor.__format__", "{:.3f}".format, "{:.3f}".format)
@entry("Tensor.__contains__", *[lambda x: [k in x for k in (0, 1.5, -2)]] * 2)
@entry("Tensor.__len__", len, len)
@entry("Tensor.__bool__", bool, bool)
@entry("Tensor.__float__", float, float)
@entry("Tensor.__int__", int, int)
@entry("Tensor.item")
@entry("Tensor.numel")
@entry("Tensor.nelement")
@entry("Tensor.ndim", lambda x: x.ndim, lambda x: x.ndim)
@entry("Tensor.shape", lambda x: x.shape, lambda x: tuple(x.shape))
def whole(d: Drawer) -> Call:
    """A tensor, mostly of one element."""
    return Call([d.array(d([(), (1,), (1, 1)]) if d.integer(0, 2) else d.shape())])


@entry("Tensor.__array__", *[lambda x, dtype: str(np.array(x.cpu(), dtype))] * 2)
def array(d: Drawer) -> Call:
    return Call([d.array(d.shape())], (d([None, "float64"]),), fixed=(0,))


@entry("Tensor.__iter__", tuple, tuple)
def iterated(d: Drawer) -> Call:
    """One part at least: there must be a result."""
    return Call([d.array(() if d.rarely() else (d.integer(1, 3), *d.shape(0, 2)))])


@entry("Tensor.size", theirs=lambda x, *a: x.size(*a) if a else tuple(x.size()))
def size(d: Drawer) -> Call:
    x = d.array(d.shape())
    return Call([x], d([(), (d.dim(x.ndim),)]))

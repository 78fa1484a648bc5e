"""Sorted order, and what is picked by it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.parity.driver import FAR, ORDINARY, Call, Drawer
from tests.parity.table import entry


@entry("Tensor.sort")
@entry("Tensor.argsort")
def ordered(d: Drawer) -> Call:
    x = d.array(d.shape())
    options = {"dim": d.dim(x.ndim), "descending": d([True, False]), "stable": True}
    return Call([x], options=options)


@entry("Tensor.topk")
def topk(d: Drawer) -> Call:
    """Of different elements: which of equal ones is taken is PyTorch's own affair."""
    d.kind, d.dtype = ORDINARY, d(["float32", "float64"])
    x = d.array(d.shape())
    dim = d.dim(x.ndim)
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    return Call([x], (d.integer(0, n + d.rarely()), dim, d([True, False])))


def different(d: Drawer) -> np.ndarray:
    """Floats of which no two are equal."""
    d.dtype, d.kind = d(["float32", "float64"]), d([ORDINARY, FAR])
    x = d.array(d.shape())
    return np.unique(x) if d.kind == FAR else x


@entry("Tensor.kthvalue")
def kth(d: Drawer) -> Call:
    x = different(d)
    dim = d.dim(x.ndim)
    n = x.shape[dim] if -x.ndim <= dim < x.ndim else 1
    return Call([x], (d.integer(1, max(n, 1) + d.rarely()), dim, d([True, False])))


@entry("Tensor.median")
def median(d: Drawer) -> Call:
    x = different(d)
    return Call([x], d([(), (d.dim(x.ndim),), (d.dim(x.ndim), d([True, False]))]))


@entry("Tensor.bincount")
def bincount(d: Drawer) -> Call:
    d.kind = ORDINARY
    numbers = d.integers(0, 5, 6)
    x = np.array(numbers, d(["int64", "int32", "uint8"]))
    x = x - 1 if d.rarely() else x
    options: dict[str, Any] = {"minlength": d([0, 3, 9])}
    if d.integer(0, 1):
        return Call([x], options=options)
    more = d.rarely() and len(x) > 0  # beside none PyTorch takes any
    weights = d.array((len(x) + more,), dtype=d(["float32", "float64", "int64"]))
    return Call([x, weights], options=options, fixed=(1,))


@entry("Tensor.unique")
def unique(d: Drawer) -> Call:
    d.kind = ORDINARY if d.kind == FAR else d.kind
    x = d.array(d.shape(), -1, 1)
    options = {"return_inverse": d([True, False]), "return_counts": d([True, False])}
    return Call([x], options=options, fixed=(0,))

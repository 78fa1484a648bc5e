"""Order, places, turns, and running sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import Graph, Operand, Value, rule
from ..trace import varies
from .reduce import reduce

LAST = np.iinfo(np.int64).max


@rule
def _place(g: Graph, y: Value, x: Any, *, name: str, axis: int | None, keepdim: bool) -> str:
    kind = {"argmax": "ArgMax", "argmin": "ArgMin"}[name]
    if axis is None:
        flat = g("Reshape", x, np.array([-1], np.int64))
        return g(kind, flat, axis=0, keepdims=0)
    return g(kind, x, axis=axis, keepdims=int(keepdim))


@rule
def _extreme_over(
    g: Graph, y: Value, x: Any, *, name: str, axes: tuple[int, ...], keepdim: bool, nan: bool
) -> str:
    return reduce(g, f"Reduce{name.capitalize()}", x, axes, keepdim)


@rule
def _argsort(g: Graph, y: Value, x: Any, *, axis: int, descending: bool, part: slice) -> str:
    if not isinstance(x.shape[axis], int):
        raise varies("argsort's size")
    start, stop, _ = part.indices(x.shape[axis])
    k = np.array([stop], np.int64)
    values = g("TopK", x, k, axis=axis, largest=int(descending), sorted=1)
    g.nodes[-1].output.append(indices := f"{values}_indices")
    return g("Slice", indices, *np.array([[start], [LAST], [axis]])) if start else indices


@rule
def _take_along(g: Graph, y: Value, x: Any, index: Any, *, axis: int) -> str:
    return g("GatherElements", x, index, axis=axis)


@rule
def _gather(g: Graph, y: Value, x: Any, index: Any, *, axis: int) -> str:
    return g("GatherElements", x, g.cast(index, np.int64), axis=axis)


@rule
def _scatter(g: Graph, y: Value, x: Any, index: Any, source: Any, *, axis: int, add: bool) -> str:
    index = g.cast(index, np.int64)
    if not hasattr(source, "dtype"):
        source = g("Expand", np.asarray(source, y.dtype), g("Shape", index))
    reduction = "add" if add else "none"
    return g("ScatterElements", x, index, source, axis=axis, reduction=reduction)


@rule
def _tril(g: Graph, y: Value, x: Any, *, diagonal: int) -> str:
    return g("Trilu", x, np.asarray(diagonal, np.int64), upper=0)


@rule
def _triu(g: Graph, y: Value, x: Any, *, diagonal: int) -> str:
    return g("Trilu", x, np.asarray(diagonal, np.int64), upper=1)


@rule
def _diagonal(g: Graph, y: Value, x: Any, *, offset: int, axes: tuple[int, int]) -> str:
    columns, count = x.shape[axes[1]], y.shape[-1]
    if not (isinstance(columns, int) and isinstance(count, int)):
        raise varies("a size of a diagonal")
    rest = [i for i in range(len(x.shape)) if i not in axes]
    turned = g("Transpose", x, perm=(*rest, *axes))
    numbers = g("Reshape", turned, np.array([*(0 for _ in rest), -1], np.int64))
    first = offset if offset >= 0 else -offset * columns
    places = first + np.arange(count, dtype=np.int64) * (columns + 1)
    return g("Gather", numbers, places, axis=len(rest))


@rule
def _flip(g: Graph, y: Value, x: Any, *, axes: tuple[int, ...]) -> str:
    count = len(axes)
    return g("Slice", x, *np.array([[-1] * count, [-LAST] * count, axes, [-1] * count], np.int64))


@rule
def _roll(g: Graph, y: Value, x: Any, *, shifts: tuple[int, ...], axes: tuple[int, ...]) -> str:
    result: Operand = x
    for shift, axis in zip(shifts, axes, strict=True):
        n = x.shape[axis]
        if not isinstance(n, int):
            raise varies("a size of a roll")
        cut = (n - shift) % max(n, 1)
        parts = [
            g("Slice", result, *np.array([[start], [stop], [axis]], np.int64))
            for start, stop in ((cut, LAST), (0, cut))
        ]
        result = g("Concat", *parts, axis=axis)
    return g.name(result)


@rule
def _einsum(g: Graph, y: Value, *xs: Any, terms: tuple[str, ...], result: str) -> str:
    return g("Einsum", *xs, equation=f"{','.join(terms)}->{result}")


@rule
def _prod(g: Graph, y: Value, x: Any, *, axis: int | None, keepdim: bool) -> str:
    axes = tuple(range(len(x.shape))) if axis is None else (axis,)
    return reduce(g, "ReduceProd", g.cast(x, y.dtype), axes, keepdim)


@rule
def _cumsum(g: Graph, y: Value, x: Any, *, axis: int) -> str:
    return g("CumSum", g.cast(x, y.dtype), np.asarray(axis, np.int64))


@rule
def _logsumexp(g: Graph, y: Value, x: Any, *, axes: tuple[int, ...], keepdim: bool) -> str:
    return reduce(g, "ReduceLogSumExp", x, axes, keepdim)


@rule
def _norm(g: Graph, y: Value, x: Any, *, p: float, axes: tuple[int, ...], keepdim: bool) -> str:
    if p in (1, 2):
        return reduce(g, f"ReduceL{p:g}", x, axes, keepdim)
    if math.isinf(p):
        return reduce(g, "ReduceMax" if p > 0 else "ReduceMin", g("Abs", x), axes, keepdim)
    if p == 0:
        other = Value(g("Not", g("Equal", x, np.asarray(0, y.dtype))), x.shape, np.dtype(bool))
        return reduce(g, "ReduceSum", g.cast(other, y.dtype), axes, keepdim)
    terms = reduce(g, "ReduceSum", g("Pow", g("Abs", x), np.asarray(p, y.dtype)), axes, keepdim)
    return g("Pow", terms, np.asarray(1 / p, y.dtype))

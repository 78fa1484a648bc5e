"""Reductions, softmax and attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import Graph, Operand, Value, rule
from ..trace import varies


def reduce(g: Graph, kind: str, x: Operand, axes: tuple[int, ...], keepdim: bool) -> str:
    return g(kind, x, np.array(axes, np.int64), keepdims=int(keepdim), noop_with_empty_axes=1)


@rule
def _sum(g: Graph, y: Value, x: Any, *, axes: tuple[int, ...], keepdim: bool) -> str:
    return reduce(g, "ReduceSum", g.cast(x, y.dtype), axes, keepdim)


@rule
def _mean(g: Graph, y: Value, x: Any, *, axes: tuple[int, ...], keepdim: bool) -> str:
    return reduce(g, "ReduceMean", x, axes, keepdim)


@rule
def _var(
    g: Graph, y: Value, x: Any, *, axes: tuple[int, ...], correction: float, keepdim: bool
) -> str:
    sizes = [x.shape[i] for i in axes]
    if not all(isinstance(n, int) for n in sizes):
        raise varies("var's divisor")
    centred = g("Sub", x, reduce(g, "ReduceMean", x, axes, True))
    total = reduce(g, "ReduceSum", g("Mul", centred, centred), axes, keepdim)
    return g("Div", total, np.asarray(max(math.prod(sizes) - correction, 0), y.dtype))


@rule
def _std(g: Graph, y: Value, x: Any, **options: Any) -> str:
    return g("Sqrt", _var(g, y, x, **options))


@rule
def _softmax(g: Graph, y: Value, x: Any, *, axis: int) -> str:
    return g("Softmax", x, axis=axis)


@rule
def _attention(
    g: Graph, y: Value, q: Any, k: Any, v: Any, bias: Any, _: None, *, scale: float, causal: bool
) -> str:
    """Without dropout, for which there is no rule."""
    axes = range(len(k.shape))
    turned = g("Transpose", k, perm=(*axes[:-2], axes[-1], axes[-2]))
    scores = g("Mul", g("MatMul", q, turned), np.asarray(scale, y.dtype))
    if bias is not None:
        scores = g("Add", scores, bias)
    lowest = np.asarray(-math.inf, y.dtype)
    if causal:
        sizes = q.shape[-2], k.shape[-2]
        if not all(isinstance(n, int) for n in sizes):
            raise varies("the mask of causal attention")
        scores = g("Where", np.tri(*sizes, dtype=np.bool_), scores, lowest)
    empty = g("Equal", reduce(g, "ReduceMax", scores, (-1,), True), lowest)
    weights = g("Where", empty, np.asarray(0, y.dtype), g("Softmax", scores, axis=-1))
    return g("MatMul", weights, v)


@rule
def _log_softmax(g: Graph, y: Value, x: Any, *, axis: int) -> str:
    return g("LogSoftmax", x, axis=axis)


@rule
def _normalize(g: Graph, y: Value, x: Any, *, p: float, axes: tuple[int, ...], eps: float) -> str:
    power = np.asarray(p, y.dtype)
    if p in (1, 2):
        length = reduce(g, f"ReduceL{p:g}", x, axes, True)
    elif p == math.inf:
        length = reduce(g, "ReduceMax", g("Abs", x), axes, True)
    else:
        terms = reduce(g, "ReduceSum", g("Pow", g("Abs", x), power), axes, True)
        length = g("Pow", terms, 1 / power)
    return g("Div", x, g("Max", length, np.asarray(eps, y.dtype)))

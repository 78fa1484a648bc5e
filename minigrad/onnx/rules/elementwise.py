"""Operations on each element, and activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import RULES, Graph, Operand, Rule, Value, rule


def one_node(kind: str, **attributes: Any) -> Rule:
    """The rule of an operation that is a single node, with operands in the result's dtype."""
    return lambda g, y, *xs: g(kind, *(g.cast(x, y.dtype) for x in xs), **attributes)


def _comparison(kind: str) -> Rule:
    def compare(g: Graph, y: Value, *xs: Any) -> str:
        dtype = np.result_type(*(x.dtype if hasattr(x, "dtype") else x for x in xs))
        return g(kind, *(g.cast(x, dtype) for x in xs))

    return compare


RULES |= {
    "abs": one_node("Abs"),
    "add": one_node("Add"),
    "div": one_node("Div"),
    "exp": one_node("Exp"),
    "gelu": one_node("Gelu"),
    "gelu_tanh": one_node("Gelu", approximate="tanh"),
    "log": one_node("Log"),
    "matmul": one_node("MatMul"),
    "mul": one_node("Mul"),
    "neg": one_node("Neg"),
    "relu": one_node("Relu"),
    "sigmoid": one_node("Sigmoid"),
    "sqrt": one_node("Sqrt"),
    "sub": one_node("Sub"),
    "tanh": one_node("Tanh"),
    "equal": _comparison("Equal"),
    "greater": _comparison("Greater"),
    "greater_equal": _comparison("GreaterOrEqual"),
    "less": _comparison("Less"),
    "less_equal": _comparison("LessOrEqual"),
}


@rule
def not_equal(g: Graph, y: Value, a: Any, b: Any) -> str:
    return g("Not", RULES["equal"](g, y, a, b))


@rule
def to_dtype(g: Graph, y: Value, x: Any, *, dtype: Any) -> str:
    return g.name(g.cast(x, dtype))


@rule
def to_device(g: Graph, y: Value, x: Any, *, where: Any) -> str:
    return g.name(x)


@rule
def _pow(g: Graph, y: Value, x: Any, *, exponent: Any) -> str:
    return g("Pow", g.cast(x, y.dtype), g.cast(exponent, y.dtype))


@rule
def _clamp(g: Graph, y: Value, x: Any, low: Any, high: Any) -> str:
    result = g.cast(x, y.dtype)
    for kind, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            result = g(kind, result, g.cast(bound, y.dtype))
    return g.name(result)


@rule
def _where(g: Graph, y: Value, condition: Any, a: Any, b: Any) -> str:
    return g("Where", condition, g.cast(a, y.dtype), g.cast(b, y.dtype))


@rule
def _lerp(g: Graph, y: Value, a: Any, b: Any, w: Any) -> str:
    a, b = g.cast(a, y.dtype), g.cast(b, y.dtype)
    gap = g("Sub", b, a)

    def from_start(w: Operand) -> str:
        return g("Add", a, g("Mul", gap, w))

    def from_end(rest: Operand) -> str:  # b itself at weight 1
        return g("Sub", b, g("Mul", gap, rest))

    if not hasattr(w, "dtype"):
        is_near = -0.5 < w < 0.5
        return from_start(g.cast(w, y.dtype)) if is_near else from_end(g.cast(1 - w, y.dtype))
    w = g.cast(w, y.dtype)
    near = g("Less", g("Abs", w), np.asarray(0.5, y.dtype))
    return g("Where", near, from_start(w), from_end(g("Sub", np.ones((), y.dtype), w)))


@rule
def _addcmul(g: Graph, y: Value, a: Any, b: Any, c: Any, *, value: Any) -> str:
    return _add_scaled(g, y, "Mul", a, b, c, value)


@rule
def _addcdiv(g: Graph, y: Value, a: Any, b: Any, c: Any, *, value: Any) -> str:
    return _add_scaled(g, y, "Div", a, b, c, value)


def _add_scaled(g: Graph, y: Value, kind: str, a: Any, b: Any, c: Any, value: Any) -> str:
    """The factor comes first, as in the operation: it may keep the term from overflow."""
    a, b, c, value = (g.cast(x, y.dtype) for x in (a, b, c, value))
    return g("Add", a, g(kind, g("Mul", b, value), c))


@rule
def _leaky_relu(g: Graph, y: Value, x: Any, *, slope: float) -> str:
    return g("LeakyRelu", x, alpha=slope)

"""Smooth functions, rounding, and logic, element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..graph import RULES, Graph, Operand, Rule, Value, rule
from .elementwise import one_node
from .reduce import reduce

SAME = "Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Erf Floor Reciprocal Round Sign Sin Sinh Tan"
RULES |= {kind.lower(): one_node(kind) for kind in SAME.split()}
RULES |= {"power": one_node("Pow"), "maximum": one_node("Max"), "minimum": one_node("Min")}


@rule
def _round(g: Graph, y: Value, x: Any, *, decimals: int) -> str:
    if not decimals:
        return g("Round", x)
    scale = np.asarray(10.0 ** abs(decimals), y.dtype)  # whole, thus exact, unlike its reciprocal
    there, back = ("Mul", "Div") if decimals > 0 else ("Div", "Mul")
    return g(back, g("Round", g(there, x, scale)), scale)


@rule
def _rsqrt(g: Graph, y: Value, x: Any) -> str:
    return g("Reciprocal", g("Sqrt", g.cast(x, y.dtype)))


@rule
def _square(g: Graph, y: Value, x: Any) -> str:
    return g("Mul", *[g.cast(x, y.dtype)] * 2)


@rule
def _exp2(g: Graph, y: Value, x: Any) -> str:
    return g("Pow", np.asarray(2, y.dtype), g.cast(x, y.dtype))


def _logarithm(base: float) -> Rule:
    return lambda g, y, x: g(
        "Div", g("Log", g.cast(x, y.dtype)), np.asarray(math.log(base), y.dtype)
    )


RULES |= {"log2": _logarithm(2), "log10": _logarithm(10)}


@rule
def _clone(g: Graph, y: Value, x: Any) -> str:
    return g.name(x)


@rule
def _trunc(g: Graph, y: Value, x: Any) -> str:
    return _towards_zero(g, x) if y.dtype.kind == "f" else g.name(x)


def _towards_zero(g: Graph, x: Operand) -> str:
    return g("Mul", g("Sign", x), g("Floor", g("Abs", x)))


@rule
def _frac(g: Graph, y: Value, x: Any) -> str:
    return g("Sub", x, _towards_zero(g, x))


# ---------------------------------------------------------------------------- whole quotients


def _divided(g: Graph, y: Value, a: Operand, b: Operand) -> tuple[str, str]:
    """The remainder of a / b, of a's sign, and whether it is of the sign that b has not. Computed
    from a quotient that was rounded, it could be off by all of b."""
    rest = g("Mod", a, b, fmod=1)
    product = g("Mul", g("Sign", rest), g("Sign", b))
    return rest, g("Less", product, np.zeros((), y.dtype))


@rule
def _remainder(g: Graph, y: Value, a: Any, b: Any) -> str:
    a, b = g.cast(a, y.dtype), g.cast(b, y.dtype)
    if y.dtype.kind != "f":
        return g("Mod", a, b)
    rest, other_side = _divided(g, y, a, b)
    return g("Where", other_side, g("Add", rest, b), rest)


@rule
def _floor_divide(g: Graph, y: Value, a: Any, b: Any) -> str:
    a, b = g.cast(a, y.dtype), g.cast(b, y.dtype)
    if y.dtype.kind != "f":
        return g("Div", g("Sub", a, g("Mod", a, b)), b)
    rest, other_side = _divided(g, y, a, b)
    whole = g("Round", g("Div", g("Sub", a, rest), b))
    whole = g("Where", other_side, g("Sub", whole, np.ones((), y.dtype)), whole)
    return g("Where", g("Equal", b, np.zeros((), y.dtype)), g("Div", a, b), whole)


RULES["div_floor"] = _floor_divide


@rule
def _div_trunc(g: Graph, y: Value, a: Any, b: Any) -> str:
    quotient = g("Div", g.cast(a, y.dtype), g.cast(b, y.dtype))
    return _towards_zero(g, quotient) if y.dtype.kind == "f" else quotient


@rule
def _fmod(g: Graph, y: Value, a: Any, b: Any) -> str:
    return g("Mod", g.cast(a, y.dtype), g.cast(b, y.dtype), fmod=1)


# ---------------------------------------------------------------------------- logic

RULES |= {
    f"logical_{name.lower()}": lambda g, y, *xs, kind=name: g(kind, *(g.cast(x, bool) for x in xs))
    for name in ("And", "Or", "Xor", "Not")
}


def _bits(name: str) -> Rule:
    def combine(g: Graph, y: Value, *xs: Any) -> str:
        kind = name if y.dtype == np.bool_ else f"Bitwise{name}"
        return g(kind, *(g.cast(x, y.dtype) for x in xs))

    return combine


RULES |= {f"bitwise_{name.lower()}": _bits(name) for name in ("And", "Or", "Xor", "Not")}


@rule
def isnan(g: Graph, y: Value, x: Any) -> str:
    return g("IsNaN", _floating(g, x))


@rule
def isinf(g: Graph, y: Value, x: Any) -> str:
    return g("IsInf", _floating(g, x))


@rule
def isfinite(g: Graph, y: Value, x: Any) -> str:
    return g("Not", g("Or", isnan(g, y, x), isinf(g, y, x)))


def _floating(g: Graph, x: Any) -> Operand:
    return x if x.dtype.kind == "f" else g.cast(x, np.float32)


def _every(kind: str) -> Rule:
    def ask(g: Graph, y: Value, x: Any, *, axes: tuple[int, ...], keepdim: bool) -> str:
        whole = Value(g.name(g.cast(x, np.bool_)), x.shape, np.dtype(np.bool_))
        result = reduce(g, kind, g.cast(whole, np.int32), axes, keepdim)
        return g.name(g.cast(Value(result, y.shape, np.dtype(np.int32)), y.dtype))

    return ask


RULES |= {"any": _every("ReduceMax"), "all": _every("ReduceMin")}

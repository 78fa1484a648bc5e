"""Elementwise functions of one or two operands, with derivatives of one line.

They include the operations of :mod:`minigrad.ops.arithmetic`, with checks of the operands.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..options import lacks
from ..special import erf as erf_array
from ..sums import in_float32
from ..tape import Backward, Diagonal, Operation, Rerun, op
from ..tensor import Number, Tensor
from . import arithmetic
from .arithmetic import as_float, check_broadcast, meet

Pair = tuple[Array, Backward]


def named(name: str, summary: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Set the name and docstring of a function that another function has made."""

    def give(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__name__ = function.__qualname__ = name
        function.__doc__ = summary
        return function

    return give


def of_one(name: str, operation: Operation, summary: str) -> Callable[..., Tensor]:
    """A function that applies ``operation`` to a Tensor."""

    @lacks(out=None)
    @named(name, summary)
    def function(input: Tensor) -> Tensor:
        return operation(check.tensor("input", input))

    return function


def of_two(name: str, operation: Operation, summary: str) -> Callable[..., Tensor]:
    """A function that applies ``operation`` to a Tensor and a Tensor or number."""

    @lacks(out=None)
    @named(name, summary)
    def function(input: Tensor, other: Tensor | Number) -> Tensor:
        return operation(check.tensor("input", input), check.operand("other", other))

    return function


def smooth(
    name: str, formula: str, gradient: Callable[[ModuleType, Array, Array], Array], at: str = "x"
) -> Operation:
    """NumPy's function ``name`` as an operation.

    Integers become float32.

    Args:
        formula: the docstring of its definition.
        gradient: dL/dx, a function of ``xp``, g and the array that the derivative keeps. It divides
            g where the formula does: a reciprocal may overflow.
        at: "x" to keep the operand, "y" to keep the result.
    """

    def definition(x: Array) -> Pair:
        xp, x = get_xp(x), as_float(x)
        y = xp.asarray(getattr(xp, name)(x))
        kept = x if at == "x" else y
        return y, lambda g, needs: (gradient(xp, g, kept),)

    operation = op(named(name.replace("arc", "a"), formula)(definition), twice=Rerun(at))
    SMOOTH[operation] = name, gradient, at
    return operation


SMOOTH: dict[Operation, tuple[str, Callable[..., Array], str]] = {}  # what each was made of

exp = of_one("exp", arithmetic.exp, "eˣ; integers become float32.")
log = of_one("log", arithmetic.log, "The natural logarithm; −inf at 0 and NaN below.")
sqrt = of_one("sqrt", arithmetic.sqrt, "The square root; NaN below 0.")
abs = of_one("abs", arithmetic.abs, "The absolute value; its gradient at 0 is 0.")
neg = of_one("neg", arithmetic.neg, "−input.")
mul = of_two("mul", arithmetic.mul, "input · other; they broadcast.")

_log2, _log10 = math.log(2), math.log(10)
_exp2 = smooth(
    "exp2", "y = 2ˣ,  dL/dx = g y ln 2.", lambda xp, g, y: g * (y * y.dtype.type(_log2)), "y"
)
_expm1 = smooth("expm1", "y = eˣ − 1,  dL/dx = g (y + 1).", lambda xp, g, y: g * (y + 1), "y")
_log2_op = smooth(
    "log2", "y = log₂ x,  dL/dx = g / (x ln 2).", lambda xp, g, x: g / (x * x.dtype.type(_log2))
)
_log10_op = smooth(
    "log10",
    "y = log₁₀ x,  dL/dx = g / (x ln 10).",
    lambda xp, g, x: g / (x * x.dtype.type(_log10)),
)
_log1p = smooth("log1p", "y = ln(1 + x),  dL/dx = g / (1 + x).", lambda xp, g, x: g / (x + 1))
_sin = smooth("sin", "y = sin x,  dL/dx = g cos x.", lambda xp, g, x: g * xp.cos(x))
_cos = smooth("cos", "y = cos x,  dL/dx = −g sin x.", lambda xp, g, x: -g * xp.sin(x))
_tan = smooth("tan", "y = tan x,  dL/dx = g (1 + y²).", lambda xp, g, y: g * (1 + y * y), "y")
_asin = smooth(
    "arcsin", "y = arcsin x,  dL/dx = g / √(1 − x²).", lambda xp, g, x: g / xp.sqrt(1 - x * x)
)
_acos = smooth(
    "arccos", "y = arccos x,  dL/dx = −g / √(1 − x²).", lambda xp, g, x: -g / xp.sqrt(1 - x * x)
)
_atan = smooth("arctan", "y = arctan x,  dL/dx = g / (1 + x²).", lambda xp, g, x: g / (x * x + 1))
_sinh = smooth("sinh", "y = sinh x,  dL/dx = g cosh x.", lambda xp, g, x: g * xp.cosh(x))
_cosh = smooth("cosh", "y = cosh x,  dL/dx = g sinh x.", lambda xp, g, x: g * xp.sinh(x))
_asinh = smooth(
    "arcsinh", "y = arsinh x,  dL/dx = g / √(x² + 1).", lambda xp, g, x: g / xp.sqrt(x * x + 1)
)
_acosh = smooth(
    "arccosh", "y = arcosh x,  dL/dx = g / √(x² − 1).", lambda xp, g, x: g / xp.sqrt(x * x - 1)
)
_atanh = smooth("arctanh", "y = artanh x,  dL/dx = g / (1 − x²).", lambda xp, g, x: g / (1 - x * x))

exp2 = of_one("exp2", _exp2, "2ˣ; integers become float32.")
expm1 = of_one("expm1", _expm1, "eˣ − 1, exact also where x is small.")
log2 = of_one("log2", _log2_op, "The logarithm to base 2; −inf at 0 and NaN below.")
log10 = of_one("log10", _log10_op, "The logarithm to base 10; −inf at 0 and NaN below.")
log1p = of_one("log1p", _log1p, "ln(1 + x), exact also where x is small.")
sin = of_one("sin", _sin, "The sine of an angle in radians.")
cos = of_one("cos", _cos, "The cosine of an angle in radians.")
tan = of_one("tan", _tan, "The tangent of an angle in radians.")
asin = of_one("asin", _asin, "The angle in [−π/2, π/2] whose sine is x; NaN outside [−1, 1].")
acos = of_one("acos", _acos, "The angle in [0, π] whose cosine is x; NaN outside [−1, 1].")
atan = of_one("atan", _atan, "The angle in (−π/2, π/2) whose tangent is x.")
sinh = of_one("sinh", _sinh, "The hyperbolic sine.")
cosh = of_one("cosh", _cosh, "The hyperbolic cosine.")
asinh = of_one("asinh", _asinh, "The inverse of the hyperbolic sine.")
acosh = of_one("acosh", _acosh, "The inverse of the hyperbolic cosine; NaN below 1.")
atanh = of_one("atanh", _atanh, "The inverse of the hyperbolic tangent; NaN outside [−1, 1].")


@op(twice=Rerun("y"))
def _reciprocal(x: Array) -> Pair:
    """y = 1 / x,  dL/dx = −g y²."""
    y = 1 / as_float(x)
    return y, lambda g, needs: (-g * y * y,)


@op(twice=Rerun("y"))
def _rsqrt(x: Array) -> Pair:
    """y = 1 / √x,  dL/dx = −g y³ / 2."""
    y = 1 / get_xp(x).sqrt(as_float(x))
    return y, lambda g, needs: (g * -0.5 * y * y * y,)


@op(twice=Rerun("x"))
def _square(x: Array) -> Pair:
    """y = x²,  dL/dx = 2 g x."""
    x = x.astype(np.int64) if x.dtype.kind == "b" else x
    return x * x, lambda g, needs: (g * (2 * x),)


@op(twice=Rerun("x"))
def _erf(x: Array) -> Pair:
    """y = 2/√π ∫₀ˣ e^(−t²) dt,  dL/dx = g 2/√π e^(−x²)."""
    x = as_float(x)
    slope = 2 / math.sqrt(math.pi)
    return erf_array(x), lambda g, needs: (g * (slope * get_xp(x).exp(-x * x)),)


erf = of_one("erf", _erf, "The error function 2/√π ∫₀ˣ exp(−t²) dt.")
reciprocal = of_one("reciprocal", _reciprocal, "1 / input; integers become float32.")
rsqrt = of_one("rsqrt", _rsqrt, "1 / √input; integers become float32.")
square = of_one("square", _square, "input².")


@op(twice=Rerun("a b y"))
def _power(a: Any, b: Any) -> Pair:
    """y = aᵇ,  dL/da = g b aᵇ⁻¹,  dL/db = g y ln a.

    The first is 0 where b = 0 and aᵇ⁻¹ is not finite, the second where a = 0 ≤ b.
    """
    a, b = meet("pow", a, b)
    xp = get_xp(a if hasattr(a, "dtype") else b)
    if all(getattr(x, "dtype", np.dtype(type(x))).kind == "b" for x in (a, b)):
        raise TypeError("pow: expected floats or integers, got bools")
    if "b" in {x.dtype.kind for x in (a, b) if hasattr(x, "dtype")}:  # NumPy would give int8
        a, b = (x.astype(np.int64) if getattr(x, "dtype", None) == np.bool_ else x for x in (a, b))
    y = xp.asarray(a**b)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        none, flat = g.dtype.type(0), (a == 0) & (b >= 0)
        ga = None
        if needs[0]:
            power = a ** (b - 1)
            undefined = (b == 0) & ~xp.isfinite(power)
            ga = xp.where(undefined, none, g * (b * power))
        if not needs[1]:
            return ga, None
        if hasattr(a, "dtype"):
            ln_a = xp.log(xp.where(flat, a.dtype.type(1), a))
        else:
            ln_a = float(np.log(a))
        return ga, xp.where(flat, none, g * (y * ln_a))

    return y, backward


@lacks(out=None)
def pow(input: Tensor | Number, exponent: Tensor | Number) -> Tensor:
    """input ** exponent: Tensors that broadcast, one of which may be a number.

    Raises:
        ValueError: an integer to a negative power.
    """
    check.operand("input", input)
    check.operand("exponent", exponent)
    if not isinstance(exponent, Tensor):
        return arithmetic.pow(check.tensor("input", input), exponent)
    integers = all(getattr(x, "dtype", np.dtype(type(x))).kind in "biu" for x in (input, exponent))
    if integers and exponent.numel() and bool((exponent.data < 0).any()):
        raise ValueError("exponent: integers to negative powers are not supported")
    return _power(input, exponent)


@lacks(out=None)
def add(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """input + alpha · other; they broadcast."""
    check.tensor("input", input)
    return arithmetic.add(input, scaled_by("alpha", alpha, other, input))


@lacks(out=None)
def sub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1) -> Tensor:
    """input − alpha · other; they broadcast."""
    check.tensor("input", input)
    return arithmetic.sub(input, scaled_by("alpha", alpha, other, input))


def scaled_by(name: str, factor: Number, other: Any, *beside: Tensor) -> Any:
    """``factor · other``. The factor, an argument ``name``, is whole if ``other`` and the tensors
    ``beside`` it are integers, which stay integers."""
    check.operand("other", other)
    check.number(name, factor, -math.inf)
    if factor == 1:
        return other
    floats = any(getattr(x, "dtype", np.dtype(type(x))).kind == "f" for x in (other, *beside))
    if isinstance(factor, float) and not floats:
        raise TypeError(f"{name}: expected a whole number for integers, got {factor}")
    return arithmetic.mul(other, factor) if isinstance(other, Tensor) else other * factor


@op(twice=Rerun("a b"))
def _logaddexp(a: Array, b: Array) -> Pair:
    """y = ln(eᵃ + eᵇ),  dL/da = g / (1 + eᵇ⁻ᵃ), likewise dL/db."""
    a, b = meet("logaddexp", a, b)
    xp = get_xp(a)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            g / (1 + xp.exp(b - a)) if needs[0] else None,
            g / (1 + xp.exp(a - b)) if needs[1] else None,
        )

    return xp.logaddexp(a, b), backward


@lacks(out=None)
def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """ln(exp(input) + exp(other)) of floating tensors, without overflow."""
    for name, t in (("input", input), ("other", other)):
        check.floating(name, check.tensor(name, t))
    return _logaddexp(input, other)


@op(twice=Diagonal())
def _nan_to_num(x: Array, *, nan: float, high: float, low: float) -> Pair:
    """y = x with numbers in place of NaN, ∞ and −∞,  dL/dx = g where x is finite, else 0."""
    xp = get_xp(x)
    y = xp.nan_to_num(x, nan=nan, posinf=high, neginf=low)
    return y, lambda g, needs: (xp.where(xp.isfinite(x), g, g.dtype.type(0)),)


@lacks(out=None)
def nan_to_num(
    input: Tensor,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Tensor:
    """``input`` with ``nan`` (0), ``posinf`` and ``neginf`` (the limits of the dtype) in place of
    NaN, ∞ and −∞."""
    kind = check.tensor("input", input).dtype
    floating = kind if kind.kind == "f" else np.dtype(np.float64)
    limits = np.finfo(floating)
    numbers = {"nan": (nan, 0), "posinf": (posinf, limits.max), "neginf": (neginf, limits.min)}
    given = {}
    for name, (number, otherwise) in numbers.items():
        given[name] = float(otherwise) if number is None else number
        check.fits(name, given[name], floating)
    if kind.kind != "f":
        return input.clone()
    return _nan_to_num(input, nan=given["nan"], high=given["posinf"], low=given["neginf"])


@op(twice=Rerun("a b"))
def _atan2(a: Array, b: Array) -> Pair:
    """y = the angle of the point (b, a),  dL/da = g b / r²,  dL/db = −g a / r²,  r² = a² + b²."""
    a, b = meet("atan2", a, b, floating=True)
    xp = get_xp(a)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        squares = a * a + b * b
        share = xp.where(squares == 0, g.dtype.type(0), 1 / squares)
        return g * (b * share) if needs[0] else None, -g * (a * share) if needs[1] else None

    return xp.arctan2(a, b), backward


@lacks(out=None)
def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle of the point (other, input) in (−π, π]."""
    return _atan2(check.tensor("input", input), check.tensor("other", other))


def _check_broadcast(name: str, *operands: Any) -> None:
    """Raise ValueError unless the shapes of ``operands`` broadcast."""
    for a, b in itertools.combinations(operands, 2):
        check_broadcast(name, a, b)


@op(twice=Rerun("a b w"))
@in_float32
def _lerp(a: Array, b: Array, w: Any) -> Pair:
    """y = a + w (b − a) where |w| < 1/2, else b − (1 − w) (b − a), which is b at w = 1;
    dL/da = g (1 − w),  dL/db = g w,  dL/dw = g (b − a)."""
    _check_broadcast("lerp", a, b, w)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            g * (1 - w) if needs[0] else None,
            g * w if needs[1] else None,
            g * (b - a) if needs[2] else None,
        )

    gap = b - a
    if hasattr(w, "dtype"):
        near = (w < 0.5) & (w > -0.5)
        return get_xp(a).where(near, a + w * gap, b - gap * (1 - w)), backward
    return a + w * gap if -0.5 < w < 0.5 else b - gap * (1 - w), backward


@op(twice=Rerun("b c"))
@in_float32
def _addcmul(a: Array, b: Array, c: Array, *, value: Number) -> Pair:
    """y = a + (v b) c,  dL/da = g,  dL/db = g (v c),  dL/dc = g (v b).

    v comes first: it may keep a product from overflow.
    """
    _check_broadcast("addcmul", a, b, c)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return g, g * (value * c) if needs[1] else None, g * (value * b) if needs[2] else None

    return a + value * b * c, backward


@op(twice=Rerun("b c"))
@in_float32
def _addcdiv(a: Array, b: Array, c: Array, *, value: Number) -> Pair:
    """y = a + (v b) / c,  dL/da = g,  dL/db = g (v / c),  dL/dc = −g (v b / c / c).

    v comes first: it may keep a quotient from overflow.
    """
    _check_broadcast("addcdiv", a, b, c)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            g,
            g * (value / c) if needs[1] else None,
            -g * (value * b / c / c) if needs[2] else None,
        )

    return a + value * b / c, backward


@lacks(out=None)
def lerp(input: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    """input + weight · (end − input): from ``input`` at 0 to ``end`` at 1."""
    check.floating("input", check.tensor("input", input))
    check.floating("end", check.tensor("end", end))
    if isinstance(weight, Tensor):
        check.floating("weight", weight)
    else:
        check.number("weight", weight, -math.inf)
    return _lerp(input, end, weight)


@lacks(out=None)
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """input + value · tensor1 · tensor2."""
    for name, t in (("input", input), ("tensor1", tensor1), ("tensor2", tensor2)):
        check.no_bools(name, check.tensor(name, t))
    if input.dtype.kind == tensor1.dtype.kind == tensor2.dtype.kind == "f":
        check.number("value", value, -math.inf)
        return _addcmul(input, tensor1, tensor2, value=value)
    return arithmetic.add(input, scaled_by("value", value, mul(tensor1, tensor2), input))


@lacks(out=None)
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1) -> Tensor:
    """input + value · tensor1 / tensor2, of floating tensors."""
    for name, t in (("input", input), ("tensor1", tensor1), ("tensor2", tensor2)):
        check.floating(name, check.tensor(name, t))
    check.number("value", value, -math.inf)
    return _addcdiv(input, tensor1, tensor2, value=value)

"""Elementwise operations: arithmetic, powers, exp, log and selection.

Operands broadcast as in NumPy, and the engine sums their gradients back. A Python number is
converted to the Tensor's dtype. An integer Tensor with a floating Tensor or number gives the
floating dtype (float32 for a number), as in PyTorch. Two different floating dtypes are an error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..layout import broadcast_shapes
from ..options import lacks
from ..tape import Backward, Diagonal, Multilinear, Rerun, keeping, op
from ..tensor import Number, Tensor

Pair = tuple[Array, Backward]
FLOAT = np.dtype(np.float32)  # of a number, which fits into any floating dtype


def meet(name: str, a: Any, b: Any, floating: bool = False) -> tuple[Any, Any]:
    """The operands in the dtype of the result. Numbers stay numbers, and must fit into it."""
    check_broadcast(name, a, b)
    if getattr(a, "dtype", FLOAT).kind == getattr(b, "dtype", FLOAT).kind == "f":
        return a, b  # nearly always
    a, b = alike(a, b, floating)
    for x, other in ((a, b), (b, a)):
        if isinstance(x, int) and getattr(other, "dtype", FLOAT).kind in "biu":
            check.fits("number", x, other.dtype)
    return a, b


def check_broadcast(name: str, a: Any, b: Any) -> None:
    """Raise ValueError if a and b are arrays whose shapes do not broadcast."""
    first, second = getattr(a, "shape", ()), getattr(b, "shape", ())
    if first == second:
        return
    try:
        broadcast_shapes(first, second)
    except ValueError:
        raise ValueError(f"{name}: shapes {first} and {second} do not broadcast") from None


def are_floats(a: Any, b: Any) -> bool:
    """Whether both operands are arrays of one floating dtype."""
    if not (hasattr(a, "dtype") and hasattr(b, "dtype")):
        return False
    return a.dtype.kind == "f" and a.dtype == b.dtype


def alike(a: Any, b: Any, floating: bool = False) -> tuple[Any, Any]:
    """The operands, with arrays converted to the floating dtype if either operand is floating."""
    arrays = [x for x in (a, b) if hasattr(x, "dtype")]
    kinds = {x.dtype.kind for x in arrays}
    is_float = floating or "f" in kinds or any(isinstance(x, float) for x in (a, b))
    if not is_float or kinds == {"f"}:
        return a, b
    to = next((x.dtype for x in arrays if x.dtype.kind == "f"), np.dtype(np.float32))
    return tuple(x.astype(to) if hasattr(x, "dtype") else x for x in (a, b))


@op(twice=Diagonal())
def add(a: Any, b: Any) -> Pair:
    """y = a + b,  dL/da = dL/db = g."""
    a, b = meet("add", a, b)
    return a + b, lambda g, needs: (g, g)


@op(twice=Diagonal())
def sub(a: Any, b: Any) -> Pair:
    """y = a − b,  dL/da = g,  dL/db = −g."""
    if any(isinstance(x, bool) or getattr(x, "dtype", None) == np.bool_ for x in (a, b)):
        raise TypeError("sub: bools cannot be subtracted; convert them with .to(dtype)")
    a, b = meet("sub", a, b)
    return a - b, lambda g, needs: (g, -g if needs[1] else None)


@op(twice=Multilinear("a b"))
def mul(a: Any, b: Any) -> Pair:
    """y = a b,  dL/da = g b,  dL/db = g a."""
    a, b = meet("mul", a, b)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return g * b if needs[0] else None, g * a if needs[1] else None

    return a * b, keeping(backward, a, b)


@op(twice=Rerun("b y"))
def div(a: Any, b: Any) -> Pair:
    """y = a / b,  dL/da = g / b,  dL/db = −g (y / b)."""
    a, b = meet("div", a, b, floating=True)
    y = a / b

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return g / b if needs[0] else None, -g * (y / b) if needs[1] else None

    return y, keeping(backward, a, b)


@op(twice=Diagonal())
def neg(x: Array) -> Pair:
    """y = −x,  dL/dx = −g."""
    return -x, lambda g, needs: (-g,)


@op(twice=Rerun("x"))
def _pow(x: Array, *, exponent: Number) -> Pair:
    """y = xᵖ,  dL/dx = g p xᵖ⁻¹ (0 where p = 0, also at x = 0)."""
    x, _ = meet("pow", x.astype(np.int64) if x.dtype.kind == "b" else x, exponent)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        if exponent == 0:
            return (get_xp(x).zeros_like(x),)
        return (g * (exponent * x ** (exponent - 1)),)

    return x**exponent, backward


def pow(input: Tensor, exponent: Number) -> Tensor:
    """``input ** exponent`` for a number ``exponent``."""
    if isinstance(exponent, np.generic):
        exponent = exponent.item()
    if not isinstance(exponent, (int, float)):
        raise TypeError(f"exponent: expected a number, got {type(exponent).__name__}")
    if input.dtype.kind in "biu" and isinstance(exponent, int) and exponent < 0:
        raise ValueError(f"exponent: integers to negative powers are not supported, got {exponent}")
    return _pow(input, exponent=exponent)


def as_float(x: Array) -> Array:
    """Integers as float32, floats unchanged, as in PyTorch's transcendental functions."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)


@op(twice=Rerun("y"))
def exp(x: Array) -> Pair:
    """y = eˣ,  dL/dx = g y."""
    y = get_xp(x).exp(as_float(x))
    return y, lambda g, needs: (g * y,)


@op(twice=Rerun("x"))
def log(x: Array) -> Pair:
    """y = ln x,  dL/dx = g / x; −inf at 0 and NaN below."""
    x = as_float(x)
    return get_xp(x).log(x), lambda g, needs: (g / x,)


@op(twice=Rerun("y"))
def sqrt(x: Array) -> Pair:
    """y = √x,  dL/dx = g / 2y."""
    y = get_xp(x).sqrt(as_float(x))
    return y, lambda g, needs: (g / (2 * y),)


@op(twice=Diagonal())
def abs(x: Array) -> Pair:
    """y = \\|x\\|,  dL/dx = g sign(x): 0 at 0 and at NaN."""
    xp = get_xp(x)
    if x.dtype.kind == "b":
        raise TypeError("abs: expected floats or integers, got bool")
    return xp.abs(x), lambda g, needs: (g * xp.where(xp.isnan(x), x.dtype.type(0), xp.sign(x)),)


@op(twice=Diagonal())
def _clamp(x: Array, low: Any, high: Any) -> Pair:
    """y = min(max(x, low), high), where None is no bound;  dL/dx = g where low ≤ x ≤ high,
    dL/dlow = g where x < low < high,  dL/dhigh = g where x > high or low > high, else 0."""
    xp, y = get_xp(x), x
    if low is not None:
        y, low = meet("clamp", y, low)
        y = xp.maximum(y, low)
    if high is not None:
        y, high = meet("clamp", y, high)
        y = xp.minimum(y, high)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        least, most = -math.inf if low is None else low, math.inf if high is None else high
        both = low is not None and high is not None
        passes = (
            lambda: (x >= least) & (x <= most),
            lambda: (x < least) & (least < most) if both else x < least,
            lambda: (x > most) | (least > most) if both else x > most,
        )
        none = g.dtype.type(0)
        return tuple(
            xp.where(passed(), g, none) if need else None
            for need, passed in zip(needs, passes, strict=True)
        )

    return y, backward


def _bound(name: str, value: Any) -> Any:
    if value is not None and not isinstance(value, (int, float, np.generic, Tensor)):
        raise TypeError(f"{name}: expected a number or a Tensor, got {type(value).__name__}")
    return value.item() if isinstance(value, np.generic) else value


@lacks(out=None)
def clamp(
    input: Tensor, min: Number | Tensor | None = None, max: Number | Tensor | None = None
) -> Tensor:
    """``input`` limited to [min, max]; at least one bound is required. Tensors broadcast.

    An integer tensor with a fractional bound becomes float32.
    """
    check.tensor("input", input)
    if min is None and max is None:
        raise ValueError("clamp: expected min or max, got neither")
    low, high = _bound("min", min), _bound("max", max)
    if input.dtype.kind != "f" and any(isinstance(b, float) for b in (low, high)):
        input = to_dtype(input, dtype=np.dtype(np.float32))
    bounds = [b for b in (low, high) if b is not None]
    if input.dtype.kind == "b":
        others = {getattr(b, "dtype", np.dtype(type(b))) for b in bounds} - {input.dtype}
        one_tensor = len(bounds) == 1 and isinstance(bounds[0], Tensor)  # a maximum or a minimum
        if not others and not one_tensor:
            raise TypeError("clamp: bools cannot be clamped; convert them with .to(dtype)")
    shapes = [input.shape]
    for name, bound in (("min", low), ("max", high)):
        if isinstance(bound, Tensor):
            shapes.append(bound.shape)
        elif bound is not None:
            check.fits(name, bound, input.dtype)
    try:
        if len(shapes) > 1:
            broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"clamp: shapes {shapes} do not broadcast") from None
    return _clamp(input, low, high)


@op(twice=Diagonal())
def _where(condition: Array, a: Any, b: Any) -> Pair:
    """y = a where condition, else b;  dL/da = g where condition, dL/db = g elsewhere, else 0."""
    xp = get_xp(condition)
    a, b = meet("where", a, b)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        none = g.dtype.type(0)
        return (
            None,
            xp.where(condition, g, none) if needs[1] else None,
            xp.where(condition, none, g) if needs[2] else None,
        )

    for name, x, other in (("input", a, b), ("other", b, a)):
        if isinstance(x, (int, float)) and hasattr(other, "dtype"):
            check.fits(name, x, other.dtype)
    y = xp.where(condition, a, b)
    if not any(hasattr(x, "dtype") for x in (a, b)) and y.dtype == np.float64:
        y = y.astype(np.float32)
    return y, backward


@lacks(out=None)
def where(condition: Tensor, input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """``input`` where the bool tensor ``condition`` is True, else ``other``. All three
    broadcast."""
    if not isinstance(condition, Tensor) or condition.dtype != np.bool_:
        got = condition.dtype if isinstance(condition, Tensor) else type(condition).__name__
        raise TypeError(f"condition: expected a bool Tensor, got {got}")
    return _where(condition, input, other)


@op(twice=Multilinear("x"))
def to_dtype(x: Array, *, dtype: Any) -> Pair:
    """y = x in another dtype,  dL/dx = g in the dtype of x."""
    before = x.dtype
    return x.astype(dtype), lambda g, needs: (g.astype(before),)


def cast(input: Tensor, dtype: Any) -> Tensor:
    """``input`` in ``dtype``, or as it is for None."""
    check.tensor("input", input)
    if dtype is None:
        return input
    wanted = check.dtype("dtype", dtype)
    if wanted == input.dtype:
        return input
    if input.requires_grad and wanted.kind != "f":
        raise TypeError(
            f"dtype: expected a floating dtype, through which gradients pass, got {wanted}"
        )
    return to_dtype(input, dtype=wanted)

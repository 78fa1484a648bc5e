"""Rounding, and division with an integer quotient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..options import lacks
from ..sums import in_float32
from ..tape import Backward, Diagonal, Operation, op
from ..tensor import Number, Tensor
from . import arithmetic
from .arithmetic import meet
from .elementwise import named, of_one, of_two

Pair = tuple[Array, Backward]


def step(name: str, formula: str, of: str = "") -> Operation:
    """NumPy's function ``of`` as an operation whose derivative is 0; integers are not changed.
    ``formula`` is the docstring of its definition."""

    def definition(x: Array) -> Pair:
        xp = get_xp(x)
        if x.dtype.kind == "b":
            raise TypeError(f"{name}: expected floats or integers, got bool")
        y = xp.asarray(getattr(xp, of or name)(x)) if x.dtype.kind == "f" else x.copy()
        return y, lambda g, needs: (xp.zeros_like(g),)

    return op(named(name, formula)(definition), twice=Diagonal())


_floor = step("floor", "y = ⌊x⌋,  dL/dx = 0.")
_ceil = step("ceil", "y = ⌈x⌉,  dL/dx = 0.")
_trunc = step("trunc", "y = trunc x,  dL/dx = 0.")
floor = of_one("floor", _floor, "The largest whole number up to each element.")
ceil = of_one("ceil", _ceil, "The smallest whole number from each element on.")
trunc = of_one("trunc", _trunc, "The whole number next to each element on the side of 0.")


@op(twice=Diagonal())
@in_float32
def _round(x: Array, *, decimals: int) -> Pair:
    """y = the nearest multiple of 10⁻ᵈ, of two the even one,  dL/dx = 0."""
    xp = get_xp(x)
    if x.dtype.kind != "f":
        return x.copy(), lambda g, needs: (None,)
    scale = x.dtype.type(10.0 ** abs(decimals))
    if decimals > 0:
        y = xp.rint(x * scale) / scale
    else:
        y = xp.rint(x / scale) * scale if decimals else xp.rint(x)
    return xp.asarray(y), lambda g, needs: (xp.zeros_like(g),)


@lacks(out=None)
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest integer, or multiple of 10^−decimals; ties are rounded to even."""
    check.no_bools("input", check.tensor("input", input))
    decimals = check.integer("decimals", decimals, -300, 300)
    if decimals and input.dtype.kind != "f":
        raise NotImplementedError(f"decimals={decimals} is not supported (only 0 for integers)")
    return _round(input, decimals=decimals)


@op(twice=Diagonal())
def _sign(x: Array) -> Pair:
    """y = 1 above 0, −1 below, else 0 (at NaN too),  dL/dx = 0."""
    xp = get_xp(x)
    if x.dtype.kind == "b":
        return x.copy(), lambda g, needs: (None,)
    return ((x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)), lambda g, n: (xp.zeros_like(g),)


sign = of_one("sign", _sign, "1 above 0, −1 below, else 0.")


@op(twice=Diagonal())
def _frac(x: Array) -> Pair:
    """y = x − trunc x,  dL/dx = g."""
    return x - get_xp(x).trunc(x), lambda g, needs: (g,)


@lacks(out=None)
def frac(input: Tensor) -> Tensor:
    """input − trunc(input) of a floating tensor."""
    return _frac(check.floating("input", check.tensor("input", input)))


def _divisors(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """The operands in one dtype; no integer is divided by 0."""
    a, b = meet(name, a, b)
    kinds = {x.dtype.kind if hasattr(x, "dtype") else np.dtype(type(x)).kind for x in (a, b)}
    if kinds == {"b"}:
        raise TypeError(f"{name}: expected floats or integers, got bool")
    zero = b == 0
    is_any_zero = bool(zero.any() if hasattr(zero, "any") else zero)
    is_empty = getattr(a, "size", 1) == 0  # and divided by nothing
    if "f" not in kinds and is_any_zero and not is_empty:
        raise ValueError(f"{name}: an integer is divided by 0")
    return a, b


@op
def _floor_divide(a: Any, b: Any) -> Pair:
    """y = ⌊a / b⌋; it has no derivative."""
    a, b = _divisors("floor_divide", a, b)
    y = get_xp(a if hasattr(a, "dtype") else b).floor_divide(a, b)
    return y, underivable("floor_divide", "div")


def underivable(name: str, instead: str) -> Backward:
    """A backward that raises an error."""

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        raise NotImplementedError(f"{name}: it has no derivative; use {instead} or detach()")

    return backward


@op(twice=Diagonal())
def _div_trunc(a: Any, b: Any) -> Pair:
    """y = a / b, rounded towards 0,  dL/da = dL/db = 0."""
    a, b = _divisors("div", a, b)
    xp = get_xp(a if hasattr(a, "dtype") else b)
    if "f" in {getattr(x, "dtype", np.dtype(type(x))).kind for x in (a, b)}:
        y = xp.trunc(a / b)
    else:
        y = xp.floor_divide(a, b)
        y = y + ((y < 0) & (y * b != a))
    return xp.asarray(y), lambda g, needs: (xp.zeros_like(g), xp.zeros_like(g))


@op(twice=Diagonal())
def _div_floor(a: Any, b: Any) -> Pair:
    """y = ⌊a / b⌋,  dL/da = dL/db = 0."""
    y, _ = _floor_divide.definition(a, b)
    return y, lambda g, needs: (get_xp(g).zeros_like(g), get_xp(g).zeros_like(g))


@op(twice=Diagonal())
def _remainder(a: Any, b: Any) -> Pair:
    """y = a − b ⌊a / b⌋, of b's sign,  dL/da = g,  dL/db = −g ⌊a / b⌋.

    As in PyTorch, there is no derivative where a is a number.
    """
    a, b = _divisors("remainder", a, b)
    if not hasattr(a, "dtype"):
        return get_xp(b).remainder(a, b), underivable("remainder of a number", "a tensor")
    xp = get_xp(a)
    return xp.remainder(a, b), lambda g, needs: (
        g,
        -g * xp.floor_divide(a, b) if needs[1] else None,
    )


@op(twice=Diagonal())
def _fmod(a: Any, b: Any) -> Pair:
    """y = a − b trunc(a / b), of a's sign,  dL/da = g,  dL/db = −g trunc(a / b)."""
    a, b = _divisors("fmod", a, b)
    xp = get_xp(a)
    return xp.fmod(a, b), lambda g, needs: (g, -g * xp.trunc(a / b) if needs[1] else None)


def _of_either(name: str, operation: Operation, summary: str) -> Callable[..., Tensor]:
    """The function of two operands, one of which may be a number."""

    @lacks(out=None)
    @named(name, summary)
    def function(input: Tensor | Number, other: Tensor | Number) -> Tensor:
        check.operand("input", input)
        if not isinstance(check.operand("other", other), Tensor):
            check.tensor("input", input)
        return operation(input, other)

    return function


floor_divide = _of_either("floor_divide", _floor_divide, "⌊input / other⌋, without derivative.")
remainder = _of_either("remainder", _remainder, "input − other ⌊input / other⌋, of other's sign.")
fmod = of_two("fmod", _fmod, "input − other trunc(input / other), of input's sign.")


@lacks(out=None)
def div(input: Tensor, other: Tensor | Number, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; they broadcast.

    Args:
        rounding_mode: None, "floor", or "trunc" for the side of 0; then the derivative is 0 and
            integers stay integers.

    Raises:
        ValueError: an integer is divided by 0 with a rounding mode.
    """
    check.operand("other", other)
    operation = arithmetic.div
    if rounding_mode is not None:
        mode = check.choice("rounding_mode", rounding_mode, ("floor", "trunc"))
        operation = {"floor": _div_floor, "trunc": _div_trunc}[mode]
    return operation(check.tensor("input", input), other)

"""Selection on the CPU: one pass over memory, shared among the cores."""

from __future__ import annotations

import math
from typing import Any

from .. import check
from ..device import Array
from ..ops import arithmetic
from ..ops.arithmetic import Pair
from .compiled import kernels
from .elementwise import elementwise

NUMBERS = int, float, type(None)


def _limits(x: Array, low: Any, high: Any) -> bool:
    """Whether the limits are numbers, and not NaN."""
    numbers = type(low) in NUMBERS and type(high) in NUMBERS and low == low and high == high
    return numbers and kernels("activation", x.dtype) is not None


@arithmetic._clamp.on("cpu", when=_limits)
def clamp(x: Array, low: float | None, high: float | None) -> Pair:
    """A kernel, for limits that are numbers."""
    fast = kernels("activation", x.dtype)
    assert fast is not None  # see `_limits`
    passes = fast.passes("clamp", x.dtype)
    limits = -math.inf if low is None else low, math.inf if high is None else high
    real = x.dtype.type
    numbers = real(limits[0]), real(limits[1])

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return elementwise(passes.gradient, x, g, options=(numbers,)), None, None

    return elementwise(passes.value, x, options=(numbers,)), backward


def _served(condition: Array, a: Any, b: Any) -> bool:
    """Whether arrays have one shape and one dtype that kernels have; one may be a number."""
    dtype = getattr(a, "dtype", getattr(b, "dtype", None))
    if dtype is None or kernels("activation", dtype) is None:
        return False
    arrays = [x for x in (a, b) if type(x) not in (int, float)]
    kinds = {(getattr(x, "dtype", None), getattr(x, "shape", None)) for x in arrays}
    return kinds == {(dtype, condition.shape)}


@arithmetic._where.on("cpu", when=_served)
def where(condition: Array, a: Any, b: Any) -> Pair:
    """A kernel, for two arrays of one shape, or an array and a number."""
    x, wanted = (a, True) if hasattr(a, "dtype") else (b, False)
    fast = kernels("activation", x.dtype)
    assert fast is not None  # see `_served`

    def kept(x: Array, wanted: bool, otherwise: Any) -> Array:
        """``x`` where the condition is ``wanted``."""
        number = x.dtype.type(otherwise)
        return elementwise(fast.where_or, x, condition, options=(wanted, number))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return None, kept(g, True, 0) if needs[1] else None, kept(g, False, 0) if needs[2] else None

    if hasattr(a, "dtype") and hasattr(b, "dtype"):
        return elementwise(fast.where, a, b, condition), backward
    name, number = ("other", b) if wanted else ("input", a)
    check.fits(name, number, x.dtype)
    return kept(x, wanted, number), backward

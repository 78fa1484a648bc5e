"""Remainders and whole quotients on the CPU, by kernels that find out whether they may serve."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array
from ..ops import rounding
from ..ops.arithmetic import Pair, are_floats
from .compiled import kernels
from .elementwise import elementwise
from .threads import workspace


def _is_number(x: Any) -> bool:
    return type(x) in (int, float)


def _served(a: Any, b: Any) -> bool:
    """Whether a and b are arrays of one shape and one dtype that kernels have, or b is a number."""
    if kernels("quotient", getattr(a, "dtype", np.dtype(bool))) is None:
        return False
    return _is_number(b) or (are_floats(a, b) and b.shape == a.shape)


def _whole(name: str, a: Array, b: Any) -> Array:
    """NumPy's function ``name``, by the kernel of that name where that may serve."""
    kernel, plain = getattr(kernels("quotient", a.dtype), name), getattr(np, name)
    far = a.dtype.type(2.0 ** (np.finfo(a.dtype).nmant - 1))

    def blocks(out: Array, a: Array, b: Array) -> None:
        if not kernel(out, a, b, far):
            plain(a, b, out=out)

    def by_number(out: Array, a: Array) -> None:
        divisor = workspace("divisor", a.shape, a.dtype)
        divisor.fill(b)
        blocks(out, a, divisor)

    if _is_number(b):
        return elementwise(by_number, a, once=False)
    return elementwise(blocks, a, b, once=False)


@rounding._floor_divide.on("cpu", when=_served)
def floor_divide(a: Array, b: Any) -> Pair:
    return _whole("floor_divide", a, b), rounding.underivable("floor_divide", "div")


@rounding._remainder.on("cpu", when=_served)
def remainder(a: Array, b: Any) -> Pair:
    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return g, -g * _whole("floor_divide", a, b) if needs[1] else None

    return _whole("remainder", a, b), backward


@rounding._fmod.on("cpu", when=_served)
def fmod(a: Array, b: Any) -> Pair:
    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return g, -g * np.trunc(a / b) if needs[1] else None

    return _whole("fmod", a, b), backward

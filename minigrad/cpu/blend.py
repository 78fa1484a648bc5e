"""Blends of three operands on the CPU: one pass over memory, shared among the cores."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..device import Array
from ..ops import elementwise as functions
from ..ops.arithmetic import Pair
from ..tape import Gone, keeping
from .compiled import kernels
from .elementwise import elementwise


def _alike(*arrays: Any) -> bool:
    """Whether these are arrays of one shape, of a dtype that kernels have."""
    first = arrays[0]
    for a in arrays:
        if not isinstance(a, np.ndarray) or a.shape != first.shape:
            return False
    return kernels("activation", first.dtype) is not None


def _blended(name: str, *arrays: Array, numbers: tuple[Any, ...] = ()) -> Array:
    dtype = arrays[0].dtype
    fast, given = kernels("activation", dtype), tuple(map(dtype.type, numbers))
    assert fast is not None  # see `_alike`
    kernel = fast.blend(name, len(arrays), dtype)
    return elementwise(kernel, *arrays, options=(given,))


@functions._lerp.on("cpu", when=lambda a, b, w: type(w) in (int, float) and _alike(a, b))
def lerp_by_number(a: Array, b: Array, w: float) -> Pair:
    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        def times(factor: float) -> Array:
            return elementwise(lambda out, g: np.multiply(g, factor, out=out), g)

        return times(1 - w) if needs[0] else None, times(w) if needs[1] else None, None

    gone = Gone(a.shape, a.dtype), Gone(b.shape, b.dtype)
    return _blended("lerp", a, b, numbers=(w,)), keeping(backward, *gone, w)


@functions._lerp.on("cpu", when=_alike)
def lerp(a: Array, b: Array, w: Array) -> Pair:
    def of_start(out: Array, g: Array, w: Array) -> None:
        np.subtract(1, w, out=out)
        out *= g

    def of_weight(out: Array, g: Array, a: Array, b: Array) -> None:
        np.subtract(b, a, out=out)
        out *= g

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            elementwise(of_start, g, w) if needs[0] else None,
            elementwise(lambda out, g, w: np.multiply(g, w, out=out), g, w) if needs[1] else None,
            elementwise(of_weight, g, a, b) if needs[2] else None,
        )

    return _blended("lerp", a, b, w), backward


def _times(g: Array, *arrays: Array, by: Callable[..., Any]) -> Array:
    """``g · by(*arrays)``, block by block; ``by`` fills ``out``."""

    def passes(out: Array, g: Array, *parts: Array) -> None:
        by(*parts, out=out)
        out *= g

    return elementwise(passes, g, *arrays)


def _scaled(value: float, g: Array, x: Array) -> Array:
    """g (v x)"""
    if value == 1:
        return elementwise(lambda out, g, x: np.multiply(g, x, out=out), g, x)
    return _times(g, x, by=lambda x, out: np.multiply(x, value, out=out))


def _over_square(value: float, b: Array, c: Array, out: Array) -> None:
    """out = −v b / c / c"""
    np.multiply(b, -value, out=out)
    out /= c
    out /= c


@functions._addcmul.on("cpu", when=lambda a, b, c, *, value: _alike(a, b, c))
def addcmul(a: Array, b: Array, c: Array, *, value: float) -> Pair:
    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            g,
            _scaled(value, g, c) if needs[1] else None,
            _scaled(value, g, b) if needs[2] else None,
        )

    return _blended("addcmul", a, b, c, numbers=(value,)), backward


@functions._addcdiv.on("cpu", when=lambda a, b, c, *, value: _alike(a, b, c))
def addcdiv(a: Array, b: Array, c: Array, *, value: float) -> Pair:
    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            g,
            _times(g, c, by=partial(np.divide, value)) if needs[1] else None,
            _times(g, b, c, by=partial(_over_square, value)) if needs[2] else None,
        )

    return _blended("addcdiv", a, b, c, numbers=(value,)), backward

"""Blends of three operands on the CPU: one pass over memory, shared among the cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import Array
from ..ops import elementwise as functions
from ..ops.arithmetic import Pair
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

    return _blended("lerp", a, b, numbers=(w,)), backward


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


def _scaled(value: float, g: Array, *arrays: Array, by: Callable[..., Any]) -> Array:
    """``value · by(g, *arrays)``, block by block; ``by`` has the argument ``out``."""

    def passes(out: Array, *parts: Array) -> None:
        by(*parts, out=out)
        if value != 1:
            out *= value

    return elementwise(passes, g, *arrays)


def _by_square(g: Array, b: Array, c: Array, out: Array) -> None:
    """out = −g (b / c) / c"""
    np.divide(b, c, out=out)
    out *= g
    out /= c
    np.negative(out, out=out)


@functions._addcmul.on("cpu", when=lambda a, b, c, *, value: _alike(a, b, c))
def addcmul(a: Array, b: Array, c: Array, *, value: float) -> Pair:
    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            g,
            _scaled(value, g, c, by=np.multiply) if needs[1] else None,
            _scaled(value, g, b, by=np.multiply) if needs[2] else None,
        )

    return _blended("addcmul", a, b, c, numbers=(value,)), backward


@functions._addcdiv.on("cpu", when=lambda a, b, c, *, value: _alike(a, b, c))
def addcdiv(a: Array, b: Array, c: Array, *, value: float) -> Pair:
    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            g,
            _scaled(value, g, c, by=np.divide) if needs[1] else None,
            _scaled(value, g, b, c, by=_by_square) if needs[2] else None,
        )

    return _blended("addcdiv", a, b, c, numbers=(value,)), backward

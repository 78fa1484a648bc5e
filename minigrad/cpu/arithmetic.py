"""Arithmetic on the CPU: large arrays in blocks that the cores share."""

from __future__ import annotations

import numpy as np

from .. import tape
from ..device import Array
from ..layout import memory_order
from ..ops import arithmetic
from ..ops.arithmetic import Pair, are_floats, check_broadcast
from . import elementwise
from .threads import MIN_PARALLEL_SIZE, parallel, split_range

LARGE = MIN_PARALLEL_SIZE


def _apply(ufunc: np.ufunc, a: Array, b: Array) -> Array:
    if b.size == 1 and b.ndim <= a.ndim:
        number = b.reshape(())  # so that the blocks of a are flat
        return elementwise.elementwise(lambda out, a: ufunc(a, number, out=out), a)
    return elementwise.elementwise(lambda out, a, b: ufunc(a, b, out=out), a, b)


def _large_floats(a: Array, b: Array) -> bool:
    """Whether threads help: NumPy's own loop is faster for fewer."""
    return are_floats(a, b) and max(a.size, b.size) >= LARGE


@arithmetic.add.on("cpu", when=are_floats)
def add(a: Array, b: Array) -> Pair:
    check_broadcast("add", a, b)
    return _apply(np.add, a, b), lambda g, needs: (g, g)


@arithmetic.sub.on("cpu", when=are_floats)
def sub(a: Array, b: Array) -> Pair:
    check_broadcast("sub", a, b)
    return _apply(np.subtract, a, b), lambda g, needs: (g, -g if needs[1] else None)


@arithmetic.mul.on("cpu", when=are_floats)
def mul(a: Array, b: Array) -> Pair:
    check_broadcast("mul", a, b)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            _apply(np.multiply, g, b) if needs[0] else None,
            _apply(np.multiply, g, a) if needs[1] else None,
        )

    return _apply(np.multiply, a, b), backward


@arithmetic.div.on("cpu", when=_large_floats)
def div(a: Array, b: Array) -> Pair:
    check_broadcast("div", a, b)
    y = _apply(np.divide, a, b)

    def of_divisor(out: Array, g: Array, y: Array, b: Array) -> None:
        np.divide(y, b, out=out)
        np.multiply(out, g, out=out)
        np.negative(out, out=out)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            _apply(np.divide, g, b) if needs[0] else None,
            elementwise.elementwise(of_divisor, g, y, b) if needs[1] else None,
        )

    return y, backward


def _large(a: Array, b: Array) -> bool:
    return a.size > elementwise.BLOCK


@tape.add.on("cpu", when=_large)
def add_gradients(a: Array, b: Array) -> Array:
    """The result has the memory order of ``a``."""
    return _apply(np.add, a, b)


@tape.add_into.on("cpu", when=_large)
def add_into(a: Array, b: Array) -> None:
    """``a`` may be a view of any strides."""
    order = memory_order(a)
    a, b = a.transpose(order), b.transpose(order)
    parts = split_range(len(a), -(-a.size // elementwise.BLOCK))
    parallel(lambda i: np.add(a[parts[i]], b[parts[i]], out=a[parts[i]]), len(parts), a.size)

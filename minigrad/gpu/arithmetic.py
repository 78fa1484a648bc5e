"""Sums, differences and products on a GPU, which keep the memory order of their arguments."""

from __future__ import annotations

from .. import tape
from ..device import Array, get_xp
from ..ops import arithmetic
from ..ops.arithmetic import Pair, are_floats, check_broadcast
from .elementwise import elementwise


def _apply(name: str, a: Array, b: Array) -> Array:
    """CuPy's function ``name`` of a and b."""
    ufunc = getattr(get_xp(a), name)
    return elementwise(lambda out, a, b: ufunc(a, b, out=out), a, b)


@arithmetic.add.on("gpu", when=are_floats)
def add(a: Array, b: Array) -> Pair:
    check_broadcast("add", a, b)
    return _apply("add", a, b), lambda g, needs: (g, g)


@arithmetic.sub.on("gpu", when=are_floats)
def sub(a: Array, b: Array) -> Pair:
    check_broadcast("sub", a, b)
    return _apply("subtract", a, b), lambda g, needs: (g, -g if needs[1] else None)


@arithmetic.mul.on("gpu", when=are_floats)
def mul(a: Array, b: Array) -> Pair:
    check_broadcast("mul", a, b)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            _apply("multiply", g, b) if needs[0] else None,
            _apply("multiply", g, a) if needs[1] else None,
        )

    return _apply("multiply", a, b), backward


@tape.add.on("gpu")
def add_gradients(a: Array, b: Array) -> Array:
    """The result has the memory order of ``a``."""
    return _apply("add", a, b)

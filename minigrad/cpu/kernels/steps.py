"""Functions of one element or two that no gradient passes, or that take an operand: one loop of
each. Arrays may have any dtype; logic takes bools as bytes of 0 and 1."""

from __future__ import annotations

from functools import cache
from types import FunctionType
from typing import Any

from numba.extending import intrinsic

from . import inline
from .team import Kernel, parallel_for_each

function: Any = None  # what a loop applies


@cache
def loop(name: str, operands: str) -> Kernel:
    """The kernel ``(out, *operands, first, last)`` of the function ``name``, whose ``operands`` are
    "one", "two" or "one and a number"."""
    names = {**globals(), "function": inline(globals()[name])}
    made = FunctionType(LOOPS[operands].__code__, names, name)
    made.__qualname__ = f"{name}{LOOPS[operands].__name__}"  # names its file in the cache
    return parallel_for_each(made)


def _of_one(out, x, first, last):
    out, x = out[first:last], x[first:last]
    for k in range(len(out)):
        out[k] = function(x[k])


def _of_two(out, a, b, first, last):
    out, a, b = out[first:last], a[first:last], b[first:last]
    for k in range(len(out)):
        out[k] = function(a[k], b[k])


def _of_one_and_a_number(out, x, number, first, last):
    out, x = out[first:last], x[first:last]
    for k in range(len(out)):
        out[k] = function(x[k], number)


LOOPS = {"one": _of_one, "two": _of_two, "one and a number": _of_one_and_a_number}


def _rounding(name: str) -> Any:
    """LLVM's function ``name`` of a float, which has an instruction for vectors."""

    @intrinsic
    def rounding(context, x):
        def code(context, builder, signature, args):
            return builder.call(builder.module.declare_intrinsic(name, [args[0].type]), args)

        return x(x), code

    return rounding


_floor, _ceil, _trunc = (_rounding(f"llvm.{name}") for name in ("floor", "ceil", "trunc"))
_round = _rounding("llvm.rint")  # of two equally near the even one


def floor(x):
    return _floor(x)


def ceil(x):
    return _ceil(x)


def trunc(x):
    return _trunc(x)


def round(x):
    return _round(x)


def less(a, b):
    return a < b


def less_equal(a, b):
    return a <= b


def greater(a, b):
    return a > b


def greater_equal(a, b):
    return a >= b


def equal(a, b):
    return a == b


def not_equal(a, b):
    return a != b


def maximum(a, b):
    return a if (a > b) | (a != a) else b


def minimum(a, b):
    return a if (a < b) | (a != a) else b


def bitwise_and(a, b):
    return a & b


def bitwise_or(a, b):
    return a | b


def bitwise_xor(a, b):
    return a ^ b


def bitwise_not(a):
    return ~a


logical_and, logical_or, logical_xor = bitwise_and, bitwise_or, bitwise_xor


def logical_not(a):
    return a ^ 1

"""Waiting for another thread without sleep: a number in memory is read again and again.

To wake a thread that sleeps takes some 30 µs, in which a core could add a hundred thousand numbers.
A thread that reads the number sees its change at once. Meanwhile it does not hold the interpreter
lock.
"""

from __future__ import annotations

import platform

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import jit

WORD = ir.IntType(64)
HAS_PAUSE = platform.machine().lower() in ("x86_64", "amd64")


@jit
def wait(address, seen, looks, after, arrivals):
    """Wait until the number at ``address`` differs from ``seen``, for so many looks at most, and
    for the time of ``after`` more. Returns whether it differs.

    Before, add 1 to the number at ``arrivals``, unless that is 0.
    """
    if arrivals != 0:
        increase(arrivals)
    while load(address) == seen:
        if looks == 0:
            return False
        pause()
        looks -= 1
    for _ in range(after):
        pause()
    return True


@intrinsic
def load(context, address):
    """The number, read anew."""

    def code(context, builder, signature, args):
        return builder.load_atomic(builder.inttoptr(args[0], WORD.as_pointer()), "seq_cst", 8)

    return types.int64(types.int64), code


@intrinsic
def increase(context, address):
    """Add 1, after all that this thread wrote before."""

    def code(context, builder, signature, args):
        at = builder.inttoptr(args[0], WORD.as_pointer())
        return builder.atomic_rmw("add", at, ir.Constant(WORD, 1), "seq_cst")

    return types.int64(types.int64), code


@intrinsic
def pause(context):
    """Leave the core to its other thread for a moment."""

    def code(context, builder, signature, args):
        if HAS_PAUSE:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return context.get_dummy_value()

    return types.void(), code

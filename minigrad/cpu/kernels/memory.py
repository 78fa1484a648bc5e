"""Memory that a kernel needs for itself.

Numba's arrays count who refers to them, and each slice of an array changes its count. Threads that
share a kernel would change the same counts, one after another: rows of a hundred numbers took five
times as long as on one thread. So kernels are compiled without counts, and cannot call
``np.empty``.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

SIZE, BYTES = ir.IntType(64), ir.IntType(8).as_pointer()


def array_of(context: Any, builder: Any, array: Any, memory: Any, length: Any) -> Any:
    """The value of type ``array`` with so many numbers that begin at the pointer ``memory``."""
    number = context.get_data_type(array.dtype)
    itemsize = SIZE(context.get_abi_sizeof(number))
    made = context.make_array(array)(context, builder)
    context.populate_array(
        made,
        data=builder.bitcast(memory, number.as_pointer()),
        shape=[length],
        strides=[itemsize],
        itemsize=itemsize,
        meminfo=None,
    )
    return made._getvalue()


@intrinsic
def allocate(typing, count, like):
    """A new, uninitialised array of ``count`` numbers of the dtype of ``like``, an array or a
    number. It has to be given to :func:`free`."""
    like = types.unliteral(like)
    array = types.Array(like.dtype if isinstance(like, types.Array) else like, 1, "C")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        length = context.cast(builder, args[0], signature.args[0], types.intp)
        kind = ir.FunctionType(BYTES, [SIZE])
        malloc = cgutils.get_or_insert_function(builder.module, kind, "malloc")
        size = context.get_abi_sizeof(context.get_data_type(array.dtype))
        memory = builder.call(malloc, [builder.mul(length, SIZE(size))])
        return array_of(context, builder, array, memory, length)

    return array(count, like), code


@intrinsic
def free(typing, array):
    """Give back the memory of an array that :func:`allocate` made."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [BYTES])
        function = cgutils.get_or_insert_function(builder.module, kind, "free")
        memory = context.make_array(array)(context, builder, args[0]).data
        builder.call(function, [builder.bitcast(memory, BYTES)])
        return context.get_dummy_value()

    return types.void(array), code

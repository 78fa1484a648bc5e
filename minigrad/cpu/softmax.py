"""Softmax and its logarithm on the CPU: strips of columns that stay in a core's cache."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..memory import empty
from ..ops.activation import Pair, _log_softmax, _softmax
from ..tape import Operation
from .compiled import kernels
from .threads import parallel, split_range

STRIP = 1 << 15  # elements of a strip
PIECE = 1 << 17  # elements of a task


def _serves(x: Array, *, axis: int) -> bool:
    """Rows that are contiguous along ``axis`` are left to NumPy, whose sums along them are fast."""
    columns = x.strides[axis] != x.itemsize and x.shape[axis] > 1
    return columns and x.size > 0 and kernels("softmax", x.dtype) is not None


def register(operation: Operation, logarithm: bool) -> None:
    """Let the kernels of :mod:`minigrad.cpu.kernels.softmax` run ``operation``."""

    def compiled(x: Array, *, axis: int) -> Pair:
        fast = kernels("softmax", x.dtype)
        assert fast is not None  # see `when`
        order = memory_order(x)
        back = [order.index(i) for i in range(x.ndim)]
        memory = np.ascontiguousarray(x.transpose(order))
        shape, at = memory.shape, back[axis]
        n, inner = shape[at], math.prod(shape[at + 1 :])
        width = max(16, min(inner, STRIP // n))
        strips = math.prod(shape[:at]) * -(-inner // width)

        def run(name: str, *arrays: Array) -> Array:
            """The kernel's result, as an array of x's shape and memory order."""
            kernel: Callable[..., Any] = fast.kernel(name, x.dtype)
            out = empty(shape, x.dtype)
            flat = [a.reshape(-1) for a in (out, *arrays)]
            parts = split_range(strips, -(-x.size // PIECE))

            def task(i: int) -> None:
                kernel(*flat, n, inner, width, parts[i].start, parts[i].stop, logarithm)

            parallel(task, len(parts), x.size)
            return out.transpose(back)

        y = run("value_in_strips", memory)

        def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
            arrays = (np.ascontiguousarray(a.transpose(order)) for a in (y, g))
            return (run("gradient_in_strips", *arrays),)

        return y, backward

    compiled.__name__ = f"compiled_{operation.name}"
    operation.on("cpu", when=_serves)(compiled)


register(_softmax, False)
register(_log_softmax, True)

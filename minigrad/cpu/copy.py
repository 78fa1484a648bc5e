"""Copies between memory orders on the CPU, in parts that the cores share."""

from __future__ import annotations

from typing import Any

from ..device import Array
from ..layout import memory_order
from ..memory import empty
from .threads import MIN_PARALLEL_SIZE, parallel, split_range

FEW = MIN_PARALLEL_SIZE  # elements; below, one core copies
PIECE = 1 << 17  # elements of a task


def cut(x: Array) -> tuple[int, tuple[slice, ...]]:
    """An axis of x, and its parts, one for each task: the outermost axis in memory that can be cut
    so often, or the longest."""
    pieces = -(-x.size // PIECE)
    longest = max(range(x.ndim), key=x.shape.__getitem__)
    axis = next((i for i in memory_order(x) if x.shape[i] >= pieces), longest)
    return axis, split_range(x.shape[axis], pieces)


def copy_into(to: Array, x: Array) -> None:
    """Write x into ``to``, an array of x's shape that may be a view; their memory is not shared."""
    if to.size < FEW:
        to[...] = x
        return
    axis, parts = cut(to)
    to, x = to.swapaxes(0, axis), x.swapaxes(0, axis)

    def task(i: int) -> None:
        to[parts[i]] = x[parts[i]]

    parallel(task, len(parts), to.size)


def copied(x: Array, order: Any = None) -> Array:
    """A copy of x with its axes in ``order`` in memory, from outermost to innermost; C order by
    default."""
    if order is None and x.size < FEW:
        return x.copy()
    to = empty(x.shape, x.dtype, order=order)
    copy_into(to, x)
    return to


def dense(x: Array) -> Array:
    """x, or a copy where its memory has gaps or repeats elements."""
    order = memory_order(x)
    return x if x.transpose(order).flags.c_contiguous else copied(x, order)

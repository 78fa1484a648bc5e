"""Memory layout: the batch is the innermost axis.

An image batch is (N, C, H, W) to everyone who uses minigrad, but its memory runs (C, H, W, N), and
a vector batch (N, F) runs (F, N): the arrays are transposed views. With N innermost every slice
that im2col, padding and pooling copy is a long contiguous run, a convolution's matrix product lands
in place without a transpose, and batch norm is a sum along rows. ``python -m benchmarks.layout``
measures the choice.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray: the latter cannot be named without CuPy


def to_batch_last(x: Array) -> Array:
    """(N, ...) as a contiguous (..., N) array: a view where memory already runs that way."""
    memory = x.transpose(*range(1, x.ndim), 0)
    return memory if memory.flags.c_contiguous else memory.copy()


def from_batch_last(x: Array) -> Array:
    """The inverse view of :func:`to_batch_last`: (..., N) memory seen as (N, ...)."""
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


def memory_order(x: Array) -> list[int]:
    """Axes of ``x`` from the outermost to the innermost in memory."""
    return sorted(range(x.ndim), key=lambda axis: (-x.strides[axis], axis))

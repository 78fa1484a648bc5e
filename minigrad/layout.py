"""Memory layout: the batch is the innermost axis.

A batch of images has shape (N, C, H, W) everywhere in minigrad's interface, but its memory has the
order (C, H, W, N), and that of a batch of vectors (N, F) the order (F, N): the arrays are
transposed views. With N innermost, im2col, padding and pooling copy long contiguous runs, the
matrix product of a convolution needs no transpose, and batch norm sums along rows.
``python -m benchmarks.layout`` measures the effect.
"""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray: the latter cannot be named without CuPy


def to_batch_last(x: Array) -> Array:
    """(N, ...) as a contiguous (..., N) array: a view if memory already has that order."""
    memory = x.transpose(*range(1, x.ndim), 0)
    return memory if memory.flags.c_contiguous else memory.copy()


def from_batch_last(x: Array) -> Array:
    """The inverse of :func:`to_batch_last`: a view of (..., N) memory as (N, ...)."""
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


def memory_order(x: Array) -> list[int]:
    """Axes of ``x`` from outermost to innermost in memory."""
    return list(_orders(x.strides)[0])


def memory_order_and_back(x: Array) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """:func:`memory_order`, and the order that undoes it."""
    return _orders(x.strides)


@functools.lru_cache(maxsize=4096)  # the same few in each step of a training
def _orders(strides: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    order = sorted(range(len(strides)), key=lambda axis: (-strides[axis], axis))
    return tuple(order), tuple(map(order.index, range(len(order))))


@functools.lru_cache(maxsize=1024)  # the same few in each step of a training
def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """``np.broadcast_shapes``, which takes as long as the sum of two small arrays."""
    return np.broadcast_shapes(*shapes)

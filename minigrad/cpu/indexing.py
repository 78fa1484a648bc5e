"""Picking by integer arrays on the CPU: compiled loops add gradients where indices repeat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..memory import empty
from ..ops import indexing
from ..ops.indexing import Pair
from ..ops.shape import _getitem
from .compiled import kernels
from .elementwise import elementwise
from .threads import parallel, split_range

FEW = 1 << 13  # numbers; below, NumPy is fast enough, and nothing has to be compiled
STRIP = 1 << 15  # sums that stay in a core's cache
PIECE = 1 << 16  # numbers of a task
LONGEST = 1 << 16  # indices from which sums of single numbers no longer fit the cache


class _Middle:
    """The memory of an array of ``shape`` and memory order ``order`` as (outer, n, inner), where
    n is the size of ``axis``."""

    def __init__(self, shape: tuple[int, ...], order: list[int], axis: int, dtype: Any) -> None:
        self.order, self.dtype = order, dtype
        self.shape = tuple(shape[i] for i in order)
        at = order.index(axis)
        self.at, self.n = at, shape[axis]
        self.outer, self.inner = math.prod(self.shape[:at]), math.prod(self.shape[at + 1 :])
        self.fast: Any = kernels("indexing", dtype)

    def flat(self, a: Array) -> Array:
        """The memory of ``a``, whose size along the axis may be another."""
        return np.ascontiguousarray(a.transpose(self.order)).reshape(-1)

    def filled(self, n: int, count: int, fill: Any) -> Array:
        """A new array of n numbers along the axis, by ``fill(flat, first, last)`` of ``count``
        parts."""
        memory = empty((*self.shape[: self.at], n, *self.shape[self.at + 1 :]), self.dtype)
        flat = memory.reshape(-1)
        parts = split_range(count, -(-flat.size // PIECE))
        parallel(lambda i: fill(flat, parts[i].start, parts[i].stop), len(parts), flat.size)
        return memory.transpose([self.order.index(i) for i in range(len(self.shape))])

    def add_rows(self, g: Array, index: Array) -> Array:
        """Zeros with the slices of g added at ``index``, a vector."""
        starts, places = np.empty(self.n + 1, np.int64), np.empty(len(index), np.int64)
        self.fast.sort(np.ascontiguousarray(index, np.int64), starts, places)
        rows, add = self.flat(g), self.fast.add_rows
        return self.filled(
            self.n,
            self.outer * self.n,
            lambda out, *part: add(out, rows, starts, places, self.inner, *part),
        )

    def add_each(self, g: Array, index: Array, axis: int) -> Array:
        """Zeros with the numbers of g added at ``index`` of the same shape."""
        many, width = index.shape[axis], max(8, min(self.inner, STRIP // max(1, self.n)))
        numbers, at = self.flat(g), self.flat(index).astype(np.int64, copy=False)
        sizes, add = (self.n, many, self.inner, width), self.fast.add_each
        return self.filled(
            self.n,
            self.outer * -(-self.inner // width),
            lambda out, *part: add(out, numbers, at, *sizes, *part),
        )

    def pick_each(self, x: Array, index: Array, axis: int) -> Array:
        """The numbers of x at ``index``."""
        many, pick = index.shape[axis], self.fast.pick_each
        numbers, at = self.flat(x), self.flat(index).astype(np.int64, copy=False)
        sizes = (self.n, many, self.inner)
        return self.filled(
            many, self.outer * many, lambda out, *part: pick(out, numbers, at, *sizes, *part)
        )


def _picked(x: Array, index: tuple[Any, ...]) -> tuple[int, Array] | None:
    """(axis, part) of the only part of an index that is not a whole slice, if that is an array of
    integers."""
    arrays = [i for i, part in enumerate(index) if not isinstance(part, slice)]
    if len(arrays) == 2 and index[0] is Ellipsis and arrays[1] == len(index) - 1:
        axis, arrays = x.ndim - 1, arrays[1:]
    elif len(arrays) == 1:
        axis = arrays[0]
    else:
        return None
    part = index[arrays[0]]
    whole = all(p == slice(None) for p in index if isinstance(p, slice))
    fits = whole and isinstance(part, np.ndarray) and part.dtype.kind == "i"
    return (axis, part) if fits else None


def _adds_rows(x: Array, *, index: tuple[Any, ...], unique: bool) -> bool:
    found = None if unique or x.size == 0 else _picked(x, index)
    if found is None:
        return False
    axis, at = found
    return at.size * x.size >= FEW * x.shape[axis] and kernels("indexing", x.dtype) is not None


@_getitem.on("cpu", when=_adds_rows)
def rows(x: Array, *, index: tuple[Any, ...], unique: bool) -> Pair:
    """Slices of x at integers along one axis."""
    found = _picked(x, index)
    assert found is not None  # see `when`
    axis, at = found
    middle = _Middle(x.shape, memory_order(x), axis, x.dtype)
    beside = x.shape[:axis], x.shape[axis + 1 :]

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (middle.add_rows(g.reshape(*beside[0], at.size, *beside[1]), at.reshape(-1)),)

    return x[index], backward


def _vector(index: Array, axis: int) -> Array | None:
    """``index`` as a vector along ``axis``, if it is one that is expanded."""
    if any(index.strides[i] and index.shape[i] != 1 for i in range(index.ndim) if i != axis):
        return None
    vector: Array = index[tuple(slice(None) if i == axis else 0 for i in range(index.ndim))]
    return vector


def _is_alike(x: Array, index: Array, axis: int) -> bool:
    """Whether ``index`` has the shape of x but along ``axis``, and the kernels serve both."""
    rest = [i for i in range(x.ndim) if i != axis]
    return (
        x.size > 0
        and index.size >= FEW
        and x.shape[axis] <= LONGEST
        and all(x.shape[i] == index.shape[i] for i in rest)
        and kernels("indexing", x.dtype) is not None
    )


@indexing._gather.on("cpu", when=lambda x, index, *, axis: _is_alike(x, index, axis))
def gather(x: Array, index: Array, *, axis: int) -> Pair:
    middle = _Middle(x.shape, memory_order(x), axis, x.dtype)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array, None]:
        return middle.add_each(g, index, axis), None

    return middle.pick_each(x, index, axis), backward


def _adds(x: Array, index: Array, source: Any, *, axis: int, add: bool) -> bool:
    alike = isinstance(source, np.ndarray) and source.shape == index.shape
    return add and alike and _is_alike(x, index, axis)


@indexing._scatter.on("cpu", when=_adds)
def scatter_add(x: Array, index: Array, source: Array, *, axis: int, add: bool) -> Pair:
    middle, vector = _Middle(x.shape, memory_order(x), axis, x.dtype), _vector(index, axis)
    if vector is None:
        added = middle.add_each(source, index, axis)
    else:
        added = middle.add_rows(source, vector)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        if not needs[2]:
            return g, None, None
        if vector is None:
            return g, None, middle.pick_each(g, index, axis)
        return g, None, g.take(vector, axis)

    return elementwise(lambda out, x, a: np.add(x, a, out=out), x, added), backward

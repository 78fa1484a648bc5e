"""Picking by integer arrays on the CPU: compiled loops add gradients where indices repeat."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops import indexing
from ..ops.indexing import Pair
from ..ops.shape import _getitem
from ..sums import MAX_RUN
from .along import COST, along
from .compiled import kernels
from .elementwise import contiguous
from .threads import parallel, split_range

FEW = 1 << 13  # numbers; below, NumPy is fast enough, and nothing has to be compiled
STRIP = 1 << 15  # sums that stay in a core's cache
LARGE, PIECE = 1 << 17, 1 << 16  # elements under a mask that cores share, and of a task
LONGEST = 1 << 16  # indices from which sums of single numbers no longer fit the cache


class _Picking:
    """Picks along ``axis`` of arrays like ``x``, and adds there.

    An index is a vector, or an array of the shape of what is picked, which may be one expanded.
    """

    def __init__(self, x: Array, axis: int) -> None:
        self.view, self.axis, self.dtype = along(x, axis), axis, x.dtype
        self.outer, self.n, self.inner = self.view.outer, self.view.n, self.view.inner
        self.filled, self.flat = functools.partial(self.view.filled, x.dtype), self.view.flat
        self.fast: Any = kernels("indexing", x.dtype)

    def pick(self, x: Array, index: Array) -> Array:
        """The numbers of x at ``index``."""
        vector = _vector(index, self.axis)
        if vector is not None:
            return self._take(self.flat(x), vector)
        many, pick = index.shape[self.axis], self.fast.pick
        arrays = self.flat(x), self.flat(index).astype(np.int64, copy=False)
        sizes, count = (self.n, many, self.inner), self.outer * (many if self.inner > 1 else 1)
        return self.filled(count, lambda out, *part: pick(out, *arrays, *sizes, *part), many)

    def _take(self, x: Array, index: Array) -> Array:
        rows, many = x.reshape(self.outer, self.n, self.inner), len(index)

        def take(out: Array, first: int, last: int) -> None:
            part, to = slice(first, last), out.reshape(self.outer, many, self.inner)
            if self.outer == 1:
                rows.take(index[part], 1, to[:, part], "clip")
            else:
                rows[part].take(index, 1, to[part], "clip")

        return self.filled(many if self.outer == 1 else self.outer, take, many)

    def add(self, x: Array | None, g: Array, index: Array, once: bool = False) -> Array:
        """x, or zeros, with the numbers of g added at ``index``, which comes at most ``once``."""
        start, numbers = None if x is None else self.flat(x), self.flat(g)
        vector = _vector(index, self.axis)
        if vector is not None:
            return self._add_rows(start, numbers, np.ascontiguousarray(vector, np.int64))
        at = self.flat(index).astype(np.int64, copy=False)
        many = index.shape[self.axis]
        if once and self.inner == 1:
            return self._add_few(start, numbers, at, many, many)
        (width, strips), add = self.view.strips(8, STRIP), self.fast.add_each
        start = np.empty(0, self.dtype) if start is None else start
        arrays, sizes = (start, numbers, at), (self.n, many, self.inner, width)
        return self.filled(strips, lambda out, *part: add(out, *arrays, *sizes, *part), self.n)

    def put(self, x: Array, index: Array, source: Array) -> Array:
        """x with the numbers of ``source``, or its only one, at ``index``."""
        numbers = source if source.size == 1 else self.flat(source)
        at = self.flat(index).astype(np.int64, copy=False)
        arrays, (width, strips) = (self.flat(x), numbers, at), self.view.strips(8, STRIP)
        sizes, put = (self.n, index.shape[self.axis], self.inner, width), self.fast.put_each
        return self.filled(strips, lambda out, *part: put(out, *arrays, *sizes, *part), self.n)

    def _added(self, start: Array | None, count: int, add: Callable[..., object]) -> Array:
        """``add(flat, first, last)`` of ``count`` parts, one behind the other, that hold ``start``
        before, or zeros."""

        def fill(flat: Array, first: int, last: int) -> None:
            here = slice(first * flat.size // count, last * flat.size // count)
            flat[here] = 0 if start is None else start[here]
            add(flat, first, last)

        return self.filled(count, fill, self.n)

    def _add_rows(self, start: Array | None, g: Array, index: Array) -> Array:
        begins, places = np.empty(self.n + 1, np.int64), np.empty(len(index), np.int64)
        self.fast.sort(index, begins, places)
        if self.inner == 1 and self.outer > 1 and np.diff(begins).max() <= MAX_RUN:
            return self._add_few(start, g, index, len(index), 0)
        arrays, add, inner = (g, begins, places), self.fast.add_rows, self.inner
        return self._added(
            start, self.outer * self.n, lambda out, *part: add(out, *arrays, inner, *part)
        )

    def _add_few(self, start: Array | None, g: Array, index: Array, many: int, step: int) -> Array:
        add, n = self.fast.add_few, self.n
        return self._added(
            start, self.outer, lambda out, *part: add(out, g, index, step, n, many, *part)
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
    return at.size * x.size > FEW * x.shape[axis] and kernels("indexing", x.dtype) is not None


@_getitem.on("cpu", when=_adds_rows)
def rows(x: Array, *, index: tuple[Any, ...], unique: bool) -> Pair:
    """Slices of x at integers along one axis."""
    found = _picked(x, index)
    assert found is not None  # see `when`
    (axis, at), n = found, x.shape[found[0]]
    if not -n <= at.min() <= at.max() < n:
        return _getitem.definition(x, index=index, unique=unique)
    at, picking = at % n, _Picking(x, axis)
    vector, sizes = at.reshape(-1), (*x.shape[:axis], at.size, *x.shape[axis + 1 :])
    shape = (*x.shape[:axis], *at.shape, *x.shape[axis + 1 :])

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (picking.add(None, g.reshape(sizes), vector),)

    return picking.pick(x, vector).reshape(shape), backward


def _by_mask(x: Array, *, index: tuple[Any, ...], unique: bool) -> bool:
    """Whether the index is a mask of all elements, which lie in C order."""
    mask = index[0] if len(index) == 1 else None
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != x.shape:
        return False
    return x.size >= LARGE and x.flags.c_contiguous and mask.flags.c_contiguous


@_getitem.on("cpu", when=_by_mask)
def masked(x: Array, *, index: tuple[Any, ...], unique: bool) -> Pair:
    """In parts, each of which knows where its elements begin."""
    mask, shape = index[0].reshape(-1), x.shape
    parts = split_range(x.size, -(-x.size // PIECE))
    ends = [0, *itertools.accumulate(int(np.count_nonzero(mask[part])) for part in parts)]

    def both(i: int) -> tuple[slice, slice]:
        return parts[i], slice(ends[i], ends[i + 1])

    def pick(i: int) -> None:
        part, to = both(i)
        y[to] = flat[part][mask[part]]

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        def put(i: int) -> None:
            part, from_ = both(i)
            gx[part] = 0
            gx[part][mask[part]] = g[from_]

        gx = empty((mask.size,), g.dtype)
        parallel(put, len(parts), COST * mask.size)
        return (gx.reshape(shape),)

    flat, y = x.reshape(-1), empty((ends[-1],), x.dtype)
    parallel(pick, len(parts), COST * x.size)
    return y, backward


@indexing._nonzero.on("cpu", when=lambda x: x.size >= LARGE)
def nonzero(x: Array) -> Array:
    """In parts, as above: flat places, and the rest of dividing them by each size."""
    flat, sizes = contiguous(x).reshape(-1), x.shape
    parts = split_range(x.size, -(-x.size // PIECE))
    ends = [0, *itertools.accumulate(int(np.count_nonzero(flat[part])) for part in parts)]
    y = empty((ends[-1], x.ndim), np.int64)

    def find(i: int) -> None:
        to = y[ends[i] : ends[i + 1]]
        places = np.flatnonzero(flat[parts[i]])
        places += parts[i].start
        for axis in range(x.ndim - 1, 0, -1):
            whole = places // sizes[axis]
            np.subtract(places, whole * sizes[axis], out=to[:, axis])
            places = whole
        to[:, 0] = places

    parallel(find, len(parts), COST * x.size)
    return y


def _vector(index: Array, axis: int) -> Array | None:
    """``index`` as a vector along ``axis``, if it is one, perhaps expanded."""
    if index.ndim == 1:
        return index
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


def _gathered(x: Array, index: Array, axis: int, once: bool) -> Pair:
    picking = _Picking(x, axis)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array, None]:
        return picking.add(None, g, index, once), None

    return picking.pick(x, index), backward


@indexing._gather.on("cpu", when=lambda x, index, *, axis: _is_alike(x, index, axis))
def gather(x: Array, index: Array, *, axis: int) -> Pair:
    return _gathered(x, index, axis, once=False)


def _are_many(x: Array, index: Array, *, axis: int) -> bool:
    """Whether the gradient is not nearly all zeros, which cost nothing."""
    return 4 * index.size >= x.size and _is_alike(x, index, axis)


@indexing.take_along.on("cpu", when=_are_many)
def take_along(x: Array, index: Array, *, axis: int) -> Pair:
    return _gathered(x, index, axis, once=True)


def _puts(x: Array, index: Array, source: Any, *, axis: int, add: bool) -> bool:
    alike = type(source) in (int, float) or getattr(source, "shape", None) == index.shape
    return not add and alike and _is_alike(x, index, axis)


@indexing._scatter.on("cpu", when=_puts)
def scatter(x: Array, index: Array, source: Any, *, axis: int, add: bool) -> Pair:
    picking = _Picking(x, axis)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            picking.put(g, index, np.zeros(1, g.dtype)) if needs[0] else None,
            None,
            picking.pick(g, index) if needs[2] else None,
        )

    numbers = source if isinstance(source, np.ndarray) else np.full(1, source, x.dtype)
    return picking.put(x, index, numbers), backward


def _adds(x: Array, index: Array, source: Any, *, axis: int, add: bool) -> bool:
    alike = isinstance(source, np.ndarray) and source.shape == index.shape
    return add and alike and _is_alike(x, index, axis)


@indexing._scatter.on("cpu", when=_adds)
def scatter_add(x: Array, index: Array, source: Array, *, axis: int, add: bool) -> Pair:
    picking = _Picking(x, axis)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return g, None, picking.pick(g, index) if needs[2] else None

    return picking.add(x, source, index), backward

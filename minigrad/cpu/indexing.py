"""Picking by integer arrays on the CPU: compiled loops add gradients where indices repeat."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..memory import empty, zeros
from ..ops import indexing
from ..ops.indexing import Pair
from ..ops.shape import SIMPLE, _getitem
from ..sums import MAX_RUN
from . import copy
from .along import COST, along
from .compiled import kernels
from .elementwise import contiguous
from .threads import launch, parallel, parts_of, split_range

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
        self.flat = self.view.flat
        self.fast: Any = kernels("indexing", x.dtype)

    def _filled(self, kernel: Any, count: int, size: int, *args: Any) -> Array:
        """A new array of ``size`` along the axis, by a kernel for ``count`` parts."""
        flat = empty((self.outer * size * self.inner,), self.dtype)
        launch(kernel, count, 2 * flat.size, flat, *args)
        return self.view.array(flat, size)

    def pick(self, x: Array, index: Array) -> Array:
        """The numbers of x at ``index``."""
        vector = _vector(index, self.axis)
        if vector is not None:
            at = np.ascontiguousarray(vector, np.int64)
            count = self.outer * (len(at) if self.inner > 1 else 1)
            return self._filled(
                self.fast.take, count, len(at), self.flat(x), at, self.n, self.inner
            )
        many, at = index.shape[self.axis], self.flat(index).astype(np.int64, copy=False)
        count, sizes = self.outer * (many if self.inner > 1 else 1), (self.n, many, self.inner)
        return self._filled(self.fast.pick, count, many, self.flat(x), at, *sizes)

    def add(self, x: Array | None, g: Array, index: Array, once: bool = False) -> Array:
        """x, or zeros, with the numbers of g added at ``index``, which comes at most ``once``."""
        start = np.empty(0, self.dtype) if x is None else self.flat(x)
        numbers, vector = self.flat(g), _vector(index, self.axis)
        if vector is not None:
            return self._add_rows(start, numbers, np.ascontiguousarray(vector, np.int64))
        at = self.flat(index).astype(np.int64, copy=False)
        many = index.shape[self.axis]
        if once and many == self.n and x is None:
            width, strips = self.view.strips(64, STRIP)
            sizes = many, self.inner, width
            return self._filled(self.fast.place, strips, many, numbers, at, *sizes)
        if once and self.inner == 1:
            return self._add_few(start, numbers, at, many, many)
        width, strips = self.view.strips(8, STRIP)
        args = start, numbers, at, self.n, many, self.inner, width
        return self._filled(self.fast.add_each, strips, self.n, *args)

    def put(self, x: Array, index: Array, source: Array) -> Array:
        """x with the numbers of ``source``, or its only one, at ``index``."""
        numbers = source.reshape(-1) if source.size == 1 else self.flat(source)
        at = self.flat(index).astype(np.int64, copy=False)
        width, strips = self.view.strips(8, STRIP)
        arrays, sizes = (self.flat(x), numbers, at), (index.shape[self.axis], self.inner, width)
        return self._filled(self.fast.put_each, strips, self.n, *arrays, self.n, *sizes)

    def _add_rows(self, start: Array, g: Array, index: Array) -> Array:
        begins, places = np.empty(self.n + 1, np.int64), np.empty(len(index), np.int64)
        self.fast.sort(index, begins, places)
        if self.inner == 1 and self.outer > 1 and np.diff(begins).max() <= MAX_RUN:
            return self._add_few(start, g, index, len(index), 0)
        rows, arrays = self.outer * self.n, (start, g, begins, places)
        return self._filled(self.fast.add_rows, rows, self.n, *arrays, self.inner)

    def _add_few(self, start: Array, g: Array, index: Array, many: int, step: int) -> Array:
        sizes = step, self.n, many
        return self._filled(self.fast.add_few, self.outer, self.n, start, g, index, *sizes)


def _many(index: Array) -> bool:
    kernel = kernels("indexing", np.dtype(np.float32))
    return index.size >= LARGE and index.dtype == np.int64 and kernel is not None


@indexing.extent.on("cpu", when=_many)
def extent(index: Array) -> tuple[int, int]:
    """In parts, of which each is read once."""
    flat, fast = contiguous(index).reshape(-1), kernels("indexing", np.dtype(np.float32))
    assert fast is not None  # see `when`
    found = np.full((parts_of(flat.size, flat.size), 2), flat[0])
    launch(fast.extent, flat.size, flat.size, found, flat, parts=len(found))
    return int(found[:, 0].min()), int(found[:, 1].max())


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
    low, high = indexing.extent.run(at)
    if not -n <= low <= high < n:
        return _getitem.definition(x, index=index, unique=unique)
    at, picking = at if low >= 0 else at % n, _Picking(x, axis)
    vector, sizes = at.reshape(-1), (*x.shape[:axis], at.size, *x.shape[axis + 1 :])
    shape = (*x.shape[:axis], *at.shape, *x.shape[axis + 1 :])

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (picking.add(None, g.reshape(sizes), vector),)

    return picking.pick(x, vector).reshape(shape), backward


def _by_slices(x: Array, *, index: tuple[Any, ...], unique: bool) -> bool:
    if not unique or x.size < copy.TURNED:
        return False
    return not [part for part in index if type(part) not in SIMPLE]


@_getitem.on("cpu", when=_by_slices)
def sliced(x: Array, *, index: tuple[Any, ...], unique: bool) -> Pair:
    """A view. Its gradient is copied by all cores."""
    sizes, dtype, order = x.shape, x.dtype, memory_order(x)

    def place(a: Array) -> Array:
        y = a[index]
        return a[(*index, ...)] if isinstance(y, np.generic) else y  # an element's copy, not a view

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        gx = zeros(sizes, dtype, order=order)
        copy.copy_into(place(gx), g)
        return (gx,)

    return place(x), backward


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


@indexing._diagonal.on("cpu")
def diagonal(x: Array, *, offset: int, axes: tuple[int, int]) -> Pair:
    """By NumPy's method, in a third of the time of ``einsum``. It protects its view from writes."""
    sizes, dtype, order = x.shape, x.dtype, memory_order(x)

    def place(a: Array) -> Array:
        y = a.diagonal(offset, *axes)
        y.flags.writeable = a.flags.writeable
        return y

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        gx = zeros(sizes, dtype, order=order)
        place(gx)[...] = g
        return (gx,)

    return place(x), backward


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

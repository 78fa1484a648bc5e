"""Joins, padding, reversal, indexing and writes on the CPU: the cores share large copies."""

from __future__ import annotations

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..memory import empty
from ..ops import arithmetic, indexing, inplace, methods, pad, rearrange, shape
from ..ops.shape import Pair, check_within
from . import copy
from .compiled import kernels
from .copy import alike, copied, copy_all, copy_into, cut, dense
from .elementwise import contiguous
from .threads import launch, parallel


@check_within.on("cpu")
def check_nothing(x: Array, index: tuple[Any, ...]) -> None:
    """NumPy has checked the index itself."""


def _large(x: Array, **_: Any) -> bool:
    return x.size >= copy.FEW


Widths = tuple[tuple[int, int], ...]


class _Frame(NamedTuple):
    """Images in a frame, as they lie in memory: see :func:`minigrad.cpu.kernels.copy.frame`."""

    sizes: tuple[int, ...]  # with the frame
    rows: Array
    columns: Array
    left: int
    h: int
    w: int


@functools.lru_cache(maxsize=256)  # the same few in each step of a training
def _frame_of(
    shape: tuple[int, ...], order: tuple[int, ...], widths: Widths, mode: str | None
) -> _Frame | None:
    """The frame of arrays whose axes lie in ``order``; None unless its axes are the two innermost,
    or the two around the innermost one."""
    if len(order) < 2:
        return None
    inner = 1 if any(widths[order[-1]]) or len(order) == 2 else shape[order[-1]]
    *rest, row, column = order[:-1] if inner > 1 else order
    if any(any(widths[i]) for i in rest):
        return None
    tables = []
    for n, (low, high) in ((shape[i], widths[i]) for i in (row, column)):
        places = np.arange(-low, n + high)
        inside = np.where((places >= 0) & (places < n), places, -1)
        tables.append(inside if mode is None else pad.sources(n, low, high, mode))
    rows, columns = tables
    if inner > 1:
        columns = np.where(columns < 0, -1, columns * inner + np.arange(inner)[:, None]).T.ravel()
    sizes = tuple(low + n + high for (low, high), n in zip(widths, shape, strict=True))
    left = widths[column][0] * inner
    return _Frame(
        sizes, rows, np.ascontiguousarray(columns), left, shape[row], shape[column] * inner
    )


def _frame(x: Array, widths: Widths, mode: str | None = None) -> _Frame | None:
    """The frame of x by kernels, if they serve."""
    if x.size < FRAMED or kernels("copy", x.dtype) is None:
        return None
    return _frame_of(x.shape, tuple(memory_order(x)), widths, mode)


FRAMED = 1 << 10  # elements; NumPy is as fast with fewer


def _framed(x: Array, frame: _Frame, value: float) -> Array:
    """x in a frame of ``value``, or of copies, made in one pass."""
    order, fast = memory_order(x), kernels("copy", x.dtype)
    assert fast is not None  # see `_frame`
    y = empty(frame.sizes, x.dtype, order=order)
    memory, out = contiguous(x.transpose(order)).reshape(-1), y.transpose(order).reshape(-1)
    numbers = *frame[1:], x.dtype.type(value)
    launch(fast.frame, x.size // (frame.h * frame.w), y.size, out, memory, *numbers)
    return y


def _unframed(g: Array, shape: tuple[int, ...], order: list[int], frame: _Frame) -> Array:
    """The gradient of an array of ``shape`` in that memory order, for that of :func:`_framed`."""
    fast = kernels("copy", g.dtype)
    assert fast is not None  # see `_frame`
    gx = empty(shape, g.dtype, order=order)
    memory, out = contiguous(g.transpose(order)).reshape(-1), gx.transpose(order).reshape(-1)
    launch(fast.unframe, gx.size // (frame.h * frame.w), g.size, out, memory, *frame[1:])
    return gx


@pad._pad_by_copies.on("cpu", when=lambda x, *, widths, mode: _frame(x, widths, mode) is not None)
def padded_by_copies(x: Array, *, widths: Widths, mode: str) -> Pair:
    frame, order = _frame(x, widths, mode), memory_order(x)
    assert frame is not None  # see `when`
    before = x.shape
    return _framed(x, frame, 0), lambda g, needs: (_unframed(g, before, order, frame),)


def _pads(x: Array, *, widths: Widths, **_: Any) -> bool:
    return _large(x) or _frame(x, widths) is not None


@pad._pad.on("cpu", when=_pads)
def padded(x: Array, *, widths: Widths, value: float) -> Pair:
    """By a kernel, or each part of the result is filled, and gets its part of x while it is in the
    cache."""
    if (frame := _frame(x, widths)) is not None:
        shape_of_x, order = x.shape, memory_order(x)
        return _framed(x, frame, value), lambda g, needs: (_unframed(g, shape_of_x, order, frame),)
    inside = tuple(slice(low, low + n) for (low, _), n in zip(widths, x.shape, strict=True))
    sizes = tuple(low + n + high for (low, high), n in zip(widths, x.shape, strict=True))
    y = empty(sizes, x.dtype, order=memory_order(x))
    axis, parts = cut(y)
    before, (low, behind) = (slice(None),) * axis, (inside[axis].start, inside[axis].stop)

    def task(i: int) -> None:
        y[(*before, parts[i])] = value
        first, last = max(parts[i].start, low), min(parts[i].stop, behind)
        if first < last:
            place = *inside[:axis], slice(first, last), *inside[axis + 1 :]
            y[place] = x[(*before, slice(first - low, last - low))]

    parallel(task, len(parts), y.size)
    return y, lambda g, needs: (dense(g[inside]),)


@shape._reshape.on("cpu", when=lambda x, **_: x.size >= copy.TURNED)
def reshaped(x: Array, *, shape: tuple[int, ...]) -> Pair:
    """A view where memory allows."""
    before = x.shape
    return _reshaped(x, shape), lambda g, needs: (_reshaped(g, before),)


def _reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    if x.size >= copy.TURNED and not x.flags.c_contiguous:
        order = _order(x.shape, x.strides, shape)
        x = x if order is None else copied(x, order)
    return x.reshape(shape)


@functools.lru_cache(maxsize=1024)  # the same few in each step of a training
def _order(
    sizes: tuple[int, ...], strides: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The memory order for a copy of axes of ``sizes`` that has a view of another ``shape``; None
    if they have such a view as they lie.

    Axes that become one, or several, are side by side in the copy. The innermost axis in memory,
    such as that of a batch, remains so if it becomes an axis by itself.
    """
    groups: list[list[int]] = [[]]
    before = after = 1
    left = list(shape)
    for axis, n in enumerate(sizes):
        groups[-1].append(axis)
        before *= n
        while left and after < before:
            after *= left.pop(0)
        if before == after:
            groups.append([])
    long = [[i for i in axes if sizes[i] > 1] for axes in groups]
    pairs = (pair for axes in long for pair in itertools.pairwise(axes))
    if all(strides[a] == strides[b] * sizes[b] for a, b in pairs):
        return None
    moving = (i for i, n in enumerate(sizes) if n > 1 and strides[i])
    inner = min(moving, key=strides.__getitem__, default=-1)
    groups.sort(key=lambda axes: [i for i in axes if sizes[i] > 1] == [inner])  # which moves one
    return tuple(axis for axes in groups for axis in axes)


@shape._cat.on("cpu", when=lambda *xs, dim: sum(x.size for x in xs) >= copy.FEW)
def joined(*xs: Array, dim: int) -> Pair:
    ends = list(itertools.accumulate((x.shape[dim] for x in xs), initial=0))
    places = [(slice(None),) * dim + (slice(*ends),) for ends in itertools.pairwise(ends)]
    orders = [sorted(memory_order(x), key=lambda i: x.shape[i] > 1) for x in xs]
    order = orders[0] if all(o == orders[0] for o in orders) else None
    sizes = (*xs[0].shape[:dim], ends[-1], *xs[0].shape[dim + 1 :])
    y = empty(sizes, xs[0].dtype, order=order)
    copy_all([(y[place], x) for x, place in zip(xs, places, strict=True)])

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return tuple(
            dense(g[place]) if need else None for place, need in zip(places, needs, strict=True)
        )

    return y, backward


@rearrange._flip.on("cpu", when=_large)
def flipped(x: Array, *, axes: tuple[int, ...]) -> Pair:
    return _flipped(x, axes), lambda g, needs: (_flipped(g, axes),)


def _flipped(x: Array, axes: tuple[int, ...]) -> Array:
    """A copy in the memory order of x. A kernel reverses the innermost axis in memory alone."""
    order, fast = memory_order(x), kernels("copy", x.dtype)
    if axes != (order[-1],) or fast is None:
        return copied(np.flip(x, axes), order)
    y = empty(x.shape, x.dtype, order=order)
    memory = np.ascontiguousarray(x.transpose(order)).reshape(-1)
    out, n = y.transpose(order).reshape(-1), x.shape[axes[0]]
    launch(fast.reversed_rows, x.size // n, x.size, out, memory, n)
    return y


@rearrange._roll.on("cpu", when=lambda x, *, axes, **_: len(axes) == 1 and _large(x))
def rolled(x: Array, *, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Pair:
    (shift,), (axis,) = shifts, axes
    return _rolled(x, shift, axis), lambda g, needs: (_rolled(g, -shift, axis),)


def _rolled(x: Array, shift: int, axis: int) -> Array:
    """What leaves at the end, and what moves on, copied in the memory order of x."""
    y, n = empty(x.shape, x.dtype, order=memory_order(x)), x.shape[axis]
    cut, before = shift % n, (slice(None),) * axis
    moves_on = y[(*before, slice(cut, n))], x[(*before, slice(n - cut))]
    copy_all([moves_on, (y[(*before, slice(cut))], x[(*before, slice(n - cut, n))])])
    return y


@methods._clone.on("cpu", when=_large)
def cloned(x: Array) -> Pair:
    return alike(x), lambda g, needs: (g,)


@arithmetic.to_dtype.on("cpu", when=_large)
def converted(x: Array, *, dtype: Any) -> Pair:
    before = x.dtype
    return alike(x, dtype), lambda g, needs: (alike(g, before),)


def _triangle(lower: bool) -> Any:
    """An implementation of ``tril`` or ``triu`` by a kernel, in the memory order of x."""

    def part(x: Array, diagonal: int) -> Array:
        turned = x.strides[-2] < x.strides[-1]  # then rows are columns in memory
        x = x.swapaxes(-1, -2) if turned else x
        rows, columns = x.shape[-2:]
        memory = np.ascontiguousarray(x).reshape(-1)
        y, fast = empty(x.shape, x.dtype), kernels("copy", x.dtype)
        assert fast is not None  # see `when`
        at = max(-rows, min(columns, -diagonal if turned else diagonal))
        options = rows, columns, at, lower != turned
        launch(fast.triangles, x.size // columns, x.size, y.reshape(-1), memory, *options)
        return y.swapaxes(-1, -2) if turned else y

    def triangle(x: Array, *, diagonal: int) -> Pair:
        return part(x, diagonal), lambda g, needs: (part(g, diagonal),)

    return triangle


def _has_numbers(x: Array, **_: Any) -> bool:
    return x.size > 0 and kernels("copy", x.dtype) is not None


for _operation, _lower in ((indexing._tril, True), (indexing._triu, False)):
    _operation.on("cpu", when=_has_numbers)(_triangle(_lower))


def _writes_slices(x: Array, value: Any, *, index: Any) -> bool:
    if x.size < copy.TURNED or index is ...:
        return x.size >= copy.TURNED
    return all(type(p) in shape.SIMPLE for p in index)


@inplace._in_place.on("cpu", when=_writes_slices)
def written(x: Array, value: Any, *, index: Any) -> Pair:
    place = x if index is ... else x[index]
    if isinstance(place, np.generic):  # an element's copy, not a view
        x[index] = value
    elif not isinstance(value, np.ndarray) or not value.ndim:
        copy.fill(place, value)
    else:
        apart = copied(value) if np.may_share_memory(value, place) else value
        whole = apart if apart.shape == place.shape else np.broadcast_to(apart, place.shape)
        copy_into(place, whole)
    return x, lambda g, needs: (None, None)

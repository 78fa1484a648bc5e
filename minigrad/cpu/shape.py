"""Joins, padding, reversal, indexing and writes on the CPU: the cores share large copies."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..memory import empty
from ..ops import arithmetic, indexing, inplace, methods, pad, rearrange, shape
from ..ops.shape import Pair, check_within
from . import copy
from .along import share
from .compiled import kernels
from .copy import alike, copied, copy_into, cut, dense
from .threads import parallel


@check_within.on("cpu")
def check_nothing(x: Array, index: tuple[Any, ...]) -> None:
    """NumPy has checked the index itself."""


def _large(x: Array, **_: Any) -> bool:
    return x.size >= copy.FEW


Widths = tuple[tuple[int, int], ...]


def _frames_rows(x: Array, *, widths: Widths, **_: Any) -> bool:
    """Whether kernels serve: the two innermost axes in memory are padded, or one of them."""
    if x.ndim < 2 or not _large(x) or kernels("copy", x.dtype) is None:
        return False
    return not any(any(widths[i]) for i in memory_order(x)[:-2])


def _inside(x: Array, widths: Widths) -> tuple[slice, ...]:
    """Where x lies in its frame."""
    return tuple(slice(low, low + n) for (low, _), n in zip(widths, x.shape, strict=True))


def _room(x: Array, widths: Widths) -> Array:
    """An uninitialised array for x in its frame, in the memory order of x."""
    sizes = tuple(low + n + high for (low, high), n in zip(widths, x.shape, strict=True))
    return empty(sizes, x.dtype, order=memory_order(x))


def _framed(x: Array, widths: Widths, mode: str | None, value: float) -> Array:
    """x in a frame of ``value``, or of what ``mode`` copies, made in one pass."""
    order, fast = memory_order(x), kernels("copy", x.dtype)
    assert fast is not None  # see `when`
    y = _room(x, widths)
    tables = []
    for n, (low, high) in ((x.shape[i], widths[i]) for i in order[-2:]):
        places = np.arange(-low, n + high)
        inside = np.where((places >= 0) & (places < n), places, -1)
        tables.append(inside if mode is None else pad.sources(n, low, high, mode))
    h, w = (x.shape[i] for i in order[-2:])
    memory = np.ascontiguousarray(x.transpose(order)).reshape(-1)
    numbers = *tables, widths[order[-1]][0], h, w, x.dtype.type(value)
    out = y.transpose(order).reshape(-1)
    share(lambda _, *part: fast.frame(out, memory, *numbers, *part), x.size // (h * w), y.size)
    return y


@pad._pad_by_copies.on("cpu", when=_frames_rows)
def padded_by_copies(x: Array, *, widths: Widths, mode: str) -> Pair:
    inside = _inside(x, widths)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (dense(pad.sum_of_copies(g, pad.copies_of(x.shape, widths, mode))[inside]),)

    return _framed(x, widths, mode, 0), backward


@pad._pad.on("cpu", when=_large)
def padded(x: Array, *, widths: Widths, value: float) -> Pair:
    """By a kernel, or each part of the result is filled, and gets its part of x while it is in the
    cache."""
    inside = _inside(x, widths)
    if _frames_rows(x, widths=widths):
        return _framed(x, widths, None, value), lambda g, needs: (dense(g[inside]),)
    y = _room(x, widths)
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


@shape._reshape.on("cpu", when=lambda x, **_: not x.flags.c_contiguous and x.size >= copy.TURNED)
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

    Axes that become one, or several, are side by side in the copy. Of these groups, that which is
    innermost in memory remains so.
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
    inner = [min((strides[i] for i in axes if strides[i]), default=math.inf) for axes in long]
    ranks = sorted(range(len(groups)), key=lambda k: -inner[k])
    return tuple(axis for k in ranks for axis in groups[k])


@shape._cat.on("cpu", when=lambda *xs, dim: sum(x.size for x in xs) >= copy.FEW)
def joined(*xs: Array, dim: int) -> Pair:
    ends = list(itertools.accumulate((x.shape[dim] for x in xs), initial=0))
    places = [(slice(None),) * dim + (slice(*ends),) for ends in itertools.pairwise(ends)]
    orders = [sorted(memory_order(x), key=lambda i: x.shape[i] > 1) for x in xs]
    order = orders[0] if all(o == orders[0] for o in orders) else None
    sizes = (*xs[0].shape[:dim], ends[-1], *xs[0].shape[dim + 1 :])
    y = empty(sizes, xs[0].dtype, order=order)
    for x, place in zip(xs, places, strict=True):
        copy_into(y[place], x)

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
    share(
        lambda _, first, last: fast.reversed_rows(out, memory, n, first, last), x.size // n, x.size
    )
    return y


@rearrange._roll.on("cpu", when=lambda x, *, axes, **_: len(axes) == 1 and _large(x))
def rolled(x: Array, *, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Pair:
    (shift,), (axis,) = shifts, axes
    return _rolled(x, shift, axis), lambda g, needs: (_rolled(g, -shift, axis),)


def _rolled(x: Array, shift: int, axis: int) -> Array:
    """What leaves at the end, and what moves on, copied in the memory order of x."""
    y, n = empty(x.shape, x.dtype, order=memory_order(x)), x.shape[axis]
    cut, before = shift % n, (slice(None),) * axis
    copy_into(y[(*before, slice(cut, n))], x[(*before, slice(n - cut))])
    copy_into(y[(*before, slice(cut))], x[(*before, slice(n - cut, n))])
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
        out = y.reshape(-1)

        def task(_: int, first: int, last: int) -> None:
            fast.triangles(out, memory, rows, columns, at, lower != turned, first, last)

        share(task, x.size // columns, x.size)
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
    if not isinstance(value, np.ndarray) or not value.ndim:
        copy.fill(place, value)
    else:
        apart = copied(value) if np.may_share_memory(value, place) else value
        whole = apart if apart.shape == place.shape else np.broadcast_to(apart, place.shape)
        copy_into(place, whole)
    return x, lambda g, needs: (None, None)

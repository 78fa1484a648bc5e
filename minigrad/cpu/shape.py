"""Joins, padding, reversal, indexing and writes on the CPU: the cores share large copies."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..memory import empty
from ..ops import inplace, pad, rearrange, shape
from ..ops.shape import Pair, check_within
from . import copy
from .compiled import kernels
from .copy import copied, copy_into, cut, dense
from .threads import parallel, split_range


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
    parts = split_range(x.size // (h * w), -(-y.size // copy.PIECE))

    def task(i: int) -> None:
        fast.frame(out, memory, *numbers, parts[i].start, parts[i].stop)

    parallel(task, len(parts), y.size)
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


@shape._reshape.on("cpu", when=lambda x, **_: not x.flags.c_contiguous and _large(x))
def reshaped(x: Array, *, shape: tuple[int, ...]) -> Pair:
    """A view where memory allows."""
    before = x.shape
    return _reshaped(x, shape), lambda g, needs: (_reshaped(g, before),)


def _reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    if x.flags.c_contiguous or x.size < copy.FEW:
        return x.reshape(shape)
    try:
        return np.reshape(x, shape, copy=False)
    except ValueError:  # it must be copied
        return copied(x).reshape(shape)


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


def _reverses_rows(x: Array, *, axes: tuple[int, ...]) -> bool:
    """Whether only the innermost axis in memory is reversed."""
    return _large(x) and axes == (memory_order(x)[-1],) and kernels("copy", x.dtype) is not None


@rearrange._flip.on("cpu", when=_reverses_rows)
def flipped(x: Array, *, axes: tuple[int, ...]) -> Pair:
    (axis,) = axes

    def flip(x: Array) -> Array:
        order = [*(i for i in memory_order(x) if i != axis), axis]
        y = empty(x.shape, x.dtype, order=order)
        memory = np.ascontiguousarray(x.transpose(order)).reshape(-1)
        out, n, fast = y.transpose(order).reshape(-1), x.shape[axis], kernels("copy", x.dtype)
        assert fast is not None  # see `when`
        parts = split_range(x.size // n, -(-x.size // copy.PIECE))

        def task(i: int) -> None:
            fast.reversed_rows(out, memory, n, parts[i].start, parts[i].stop)

        parallel(task, len(parts), x.size)
        return y

    return flip(x), lambda g, needs: (flip(g),)


def _writes_slices(x: Array, value: Any, *, index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return _large(x) and all(type(p) in shape.SIMPLE for p in parts)


@inplace._in_place.on("cpu", when=_writes_slices)
def written(x: Array, value: Any, *, index: Any) -> Pair:
    place = x[index]
    if place.size < copy.FEW:
        x[index] = value
        return x, lambda g, needs: (None, None)
    if isinstance(value, np.ndarray) and np.may_share_memory(value, place):
        value = copied(value)
    copy_into(place, np.broadcast_to(value, place.shape))
    return x, lambda g, needs: (None, None)

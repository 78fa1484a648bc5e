"""Copies between memory orders on the CPU, in parts that the cores share."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .. import memory
from ..device import Array
from ..layout import memory_order
from ..memory import empty
from .compiled import kernels
from .threads import MIN_PARALLEL_SIZE, launch, parallel, split_range

FEW = MIN_PARALLEL_SIZE  # elements; below, one core copies
PIECE = 1 << 18  # elements of a task
SHORT = 1 << 13  # elements; NumPy is as fast with fewer, whatever the strides
LONG = 1 << 21  # elements of two stretches of memory, for which NumPy is faster than a kernel
TURNED = 1 << 16  # elements; NumPy is as fast with fewer between two memory orders
TILE = 256, 64  # rows and columns of a matrix that NumPy turns


def cut(x: Array, pieces: int = 0) -> tuple[int, tuple[slice, ...]]:
    """An axis of x, and its parts, one for each task (default: of PIECE elements): the outermost
    axis in memory that can be cut so often, or the longest."""
    pieces = pieces or -(-x.size // PIECE)
    longest = max(range(x.ndim), key=x.shape.__getitem__)
    axis = next((i for i in memory_order(x) if x.shape[i] >= pieces), longest)
    return axis, split_range(x.shape[axis], pieces)


def copy_into(to: Array, x: Array) -> None:
    """Write x into ``to``, an array of x's shape that may be a view; their memory is not shared.
    The dtype of ``to`` may be another."""
    copy_all([(to, x)])


def copy_all(pairs: Iterable[tuple[Array, Array]]) -> None:
    """:func:`copy_into` for each (to, x) of some arrays that lie side by side in memory.

    A core copies what lies together in one go, while the pages and caches are at hand.
    """
    pairs = [(to, x) for to, x in pairs if not _by_kernel(to, x)]
    size = sum([to.size for to, _ in pairs])
    if size < FEW:
        for to, x in pairs:
            to[...] = x
        return
    lists = [_parts(to, x, -(-size // PIECE)) for to, x in pairs if to.size]
    work = [part for parts in itertools.zip_longest(*lists) for part in parts if part is not None]

    def task(i: int) -> None:
        to, x = work[i]
        to[...] = x

    parallel(task, len(work), size)


def _parts(to: Array, x: Array, pieces: int) -> list[tuple[Array, Array]]:
    """``to`` and x in so many parts, if possible."""
    if to.flags.c_contiguous and x.flags.c_contiguous:  # a shortcut
        to, x = to.reshape(-1), x.reshape(-1)
        parts = split_range(to.size, pieces, 16)
    else:
        axis, parts = cut(to, pieces)
        to, x = to.swapaxes(0, axis), x.swapaxes(0, axis)
    return [(to[part], x[part]) for part in parts]


def fill(to: Array, number: Any) -> None:
    """Write ``number`` into all elements of ``to``, which may be a view."""
    whole = to.transpose(memory_order(to))
    if whole.flags.c_contiguous:
        memory.fill(whole, number)
    else:
        copy_into(to, np.broadcast_to(np.asarray(number, to.dtype), to.shape))


def copied(x: Array, order: Any = None, dtype: Any = None) -> Array:
    """A copy of x with its axes in ``order`` in memory, from outermost to innermost, and in
    ``dtype``. Default: C order, and the dtype of x."""
    if order is None and x.size < TURNED:
        return x.astype(x.dtype if dtype is None else dtype, "C")
    to = empty(x.shape, x.dtype if dtype is None else dtype, order=order)
    copy_into(to, x)
    return to


def alike(x: Array, dtype: Any = None) -> Array:
    """A copy in the memory order of x, or in C order if x repeats numbers."""
    return copied(x, None if 0 in x.strides else memory_order(x), dtype)


def dense(x: Array) -> Array:
    """x, or a copy where its memory has gaps or repeats elements."""
    order = memory_order(x)
    return x if x.transpose(order).flags.c_contiguous else copied(x, order)


def _by_kernel(to: Array, x: Array) -> bool:
    """Whether a kernel has copied x, as NumPy would copy it more slowly."""
    if to.size < SHORT:
        return False
    if to.size >= TURNED and _turned(to, x):
        return True
    plan = _lines(x.shape, to.strides, x.strides, x.itemsize) if x.dtype == to.dtype else None
    if plan is None or (to.size > LONG and plan.wide >= PIECE):
        return False
    kind = np.dtype("f4" if x.itemsize == 4 else "f8")
    fast = kernels("copy", kind)
    if fast is None:
        return False
    out, memory = _memory(to).view(kind), _memory(x).view(kind)
    launch(fast.lines, to.size, to.size, out, memory, *plan, align=16)
    return True


class _Lines(NamedTuple):
    """A copy as lines of ``wide`` numbers: see :func:`minigrad.cpu.kernels.copy.lines`."""

    sizes: Array
    to: Array
    from_: Array
    start: int
    wide: int
    step: int


@functools.lru_cache(maxsize=1024)  # the same few in each step of a training
def _lines(
    shape: tuple[int, ...], to: tuple[int, ...], from_: tuple[int, ...], size: int
) -> _Lines | None:
    """A copy of numbers of ``size`` bytes between arrays with these strides, if those of each line
    lie side by side where they are written."""
    if size not in (4, 8) or min(to) < 0 or any(n % size for n in (*to, *from_)):
        return None
    start = sum((n - 1) * -step for n, step in zip(shape, from_, strict=True) if step < 0)
    axes = _axes(shape, to, from_, size)
    if not axes or axes[-1][1] != 1:
        return None
    wide, _, step = axes.pop()
    sizes, ours, theirs = np.array(axes or [(1, 0, 0)], np.int64).T.copy()
    return _Lines(sizes, ours, theirs, start // size, wide, step)


def _axes(
    shape: tuple[int, ...], to: tuple[int, ...], from_: tuple[int, ...], size: int
) -> list[tuple[int, int, int]]:
    """The axes, as few as possible, of arrays with these strides: the size of each and its two
    strides, in numbers of ``size`` bytes. They are in the order of the first."""
    axes: list[tuple[int, int, int]] = []
    for i in sorted(range(len(shape)), key=lambda i: -to[i]):
        n, a, b = shape[i], to[i] // size, from_[i] // size
        if n == 1:
            continue
        if axes and axes[-1][1:] == (n * a, n * b):
            n *= axes.pop()[0]
        axes.append((n, a, b))
    return axes


# ---------------------------------------------------------------------------- turned


class _Turn(NamedTuple):
    """A copy as blocks of (high, wide) numbers along axes of ``sizes``: see
    :func:`minigrad.cpu.kernels.turn.turn`."""

    sizes: Array
    to: Array
    from_: Array
    high: int
    lift: int
    wide: int
    step: int


@functools.lru_cache(maxsize=1024)  # the same few in each step of a training
def _turn(
    shape: tuple[int, ...], to: tuple[int, ...], from_: tuple[int, ...], size: int
) -> _Turn | None:
    """A copy of numbers of ``size`` bytes between arrays with these strides, if the innermost axis
    of each is another axis of the other."""
    if min(*to, *from_) < 0 or any(n % size for n in (*to, *from_)):
        return None
    axes = _axes(shape, to, from_, size)
    inner = [axis for axis in axes[:-1] if axis[2] == 1]
    if not inner or axes[-1][1] != 1 or axes[-1][2] < 2:
        return None
    (high, lift, _), (wide, _, step) = inner[0], axes.pop()
    axes.remove(inner[0])
    if high < 8 or (wide < 8 and wide != lift):  # short lines, for which NumPy is as fast
        return None
    sizes, ours, theirs = (np.array([axis[k] for axis in axes], np.int64) for k in range(3))
    return _Turn(sizes, ours, theirs, high, lift, wide, step)


class _Span:
    """All memory from the first to the last element of an array."""

    def __init__(self, x: Array) -> None:
        self.x = x  # which keeps it
        steps = [(n - 1) * stride for n, stride in zip(x.shape, x.strides, strict=True)]
        self.__array_interface__ = info = x.__array_interface__
        info["shape"], info["strides"] = (sum(map(abs, steps)) // x.itemsize + 1,), None
        info["data"] = info["data"][0] + sum(step for step in steps if step < 0), False


def _memory(x: Array) -> Array:
    """The memory that x spans, as a vector that counts as writable: kernels are compiled for such
    alone."""
    dense = x if x.flags.c_contiguous else x.transpose(memory_order(x))
    if dense.flags.c_contiguous and dense.flags.writeable:
        return dense.reshape(-1)
    return np.asarray(_Span(x))


def _turned(to: Array, x: Array) -> bool:
    """Whether ``to`` has got x by lines of both memories, which NumPy would copy line by line of
    one over distant parts of the other."""
    plan = None if x.dtype != to.dtype else _turn(x.shape, to.strides, x.strides, x.itemsize)
    if plan is None:
        return False
    out, memory, fast = _memory(to), _memory(x), kernels("turn", x.dtype)
    if fast is not None:
        bands = math.prod(plan.sizes) * -(-plan.high // fast.TILE)
        launch(fast.turn, bands, to.size, out, memory, *plan)
        return True
    if out.size != plan.high * plan.wide != memory.size:
        return False
    matrix, other = out.reshape(plan.high, plan.wide), memory.reshape(plan.wide, plan.high)
    rows, columns = (split_range(n, -(-n // t)) for n, t in zip(matrix.shape, TILE, strict=True))

    def task(i: int) -> None:
        for part in columns:
            matrix[rows[i], part] = other[part, rows[i]].copy().T

    parallel(task, len(rows), to.size)
    return True

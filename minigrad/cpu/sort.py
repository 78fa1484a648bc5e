"""Sorting on the CPU, in blocks of rows.

NumPy sorts, partitions and searches with vector instructions, but its stable argsort does not. Here
numbers become integers of the same order, and ties are told apart by the places behind them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import Array
from ..ops import sort
from ..ops.sort import Pair
from .along import along, share
from .threads import split_range

FEW = 1 << 10  # numbers; below, the definition is fast enough
PIECE = 1 << 15  # numbers of a task, whose integers stay in a core's cache
SEARCHED = 8  # places up to which each is searched by itself
COST = 8  # how much longer a number takes here than in a sum


def _serves(x: Array, **_: Any) -> bool:
    return x.dtype.char in "fdil" and x.size > FEW and x.shape[-1] < 1 << 31


@sort._argsort.on("cpu", when=lambda x, *, axis, **_: _serves(x.swapaxes(axis, -1)))
def by_blocks(x: Array, *, axis: int, descending: bool, part: slice) -> Pair:
    view = along(x, axis)
    rows = view.flat(x).reshape(view.outer, view.n, view.inner).swapaxes(1, 2).reshape(-1, view.n)
    begin, end, _ = part.indices(view.n)
    y = np.empty((len(rows), max(0, end - begin)), np.int64)
    piece = PIECE if end - begin > SEARCHED else 4 * PIECE

    def task(_: int, first: int, last: int) -> None:
        y[first:last] = _places(rows[first:last], descending, begin, end)

    if y.size:
        share(task, len(rows), COST * x.size, split_range(len(rows), -(-x.size // piece)))
    memory = np.ascontiguousarray(y.reshape(view.outer, view.inner, -1).swapaxes(1, 2))
    return view.array(memory, y.shape[1]), lambda g, needs: (None,)


def _integers(x: Array, descending: bool) -> Array:
    """Integers in the order of x: the same for equal numbers, and the largest for NaN."""
    if x.dtype.kind == "f":
        x = np.where(x == x, x, x.dtype.type(np.nan))  # NaN of any sign
        x += x.dtype.type(0)  # −0 is 0
        x = x.view(f"i{x.itemsize}")
        # Of negative numbers the larger has the smaller bits behind the sign.
        x = x ^ ((x >> (8 * x.itemsize - 1)) & np.iinfo(x.dtype).max)
    return ~x if descending else np.ascontiguousarray(x)


def _places(x: Array, descending: bool, begin: int, end: int) -> Array:
    """Those from ``begin`` to ``end`` of the places that sort each row of x."""
    n = x.shape[1]
    if begin == 0 and end <= SEARCHED and x.dtype.kind == "f":
        found = _searched(x, descending, end)
        if found is not None:
            return found
    keys = _integers(x, descending)
    if keys.itemsize == 4:
        packed = keys.astype(np.int64) << 32 | np.arange(n)
        if (begin, end) == (0, n):
            packed.sort()
        else:
            packed.partition(sorted({begin, end - 1}))
            packed = np.sort(packed[:, begin:end])
        return packed & 0xFFFFFFFF
    if end - begin == 1:
        return _numbered(keys, begin)
    return _sorted(keys)[:, begin:end]


def _searched(x: Array, descending: bool, count: int) -> Array | None:
    """The places of the first ``count`` of each row, one by one; None if the last is infinite or
    NaN, which stand for what has been found, and which argmin finds first."""
    found = np.empty((len(x), count), np.int64)
    left, rows, done = x.copy(), np.arange(len(x)), -math.inf if descending else math.inf
    for k in range(count):
        found[:, k] = left.argmax(1) if descending else left.argmin(1)
        last = left[rows, found[:, k]]
        left[rows, found[:, k]] = done
        if not descending and np.isnan(last).any():
            return None
    return None if count and (last == done).any() else found


def _numbered(keys: Array, number: int) -> Array:
    """The place of the number ``number`` of each row, counted from the smallest."""
    key = np.partition(keys, number)[:, number, None]
    before = (keys < key).sum(1, keepdims=True)
    return ((keys == key).cumsum(1) > number - before).argmax(1)[:, None]


def _sorted(keys: Array) -> Array:
    """The places that sort each row."""
    places = keys.argsort()
    keys = np.take_along_axis(keys, places, 1)
    differs = keys[:, 1:] != keys[:, :-1]
    rows = np.flatnonzero(~differs.all(1))
    if len(rows):  # of equal ones the first place comes first
        runs = np.zeros((len(rows), keys.shape[1]), np.int64)
        runs[:, 1:] = differs[rows].cumsum(1)
        places[rows] = np.sort(runs << 32 | places[rows]) & 0xFFFFFFFF
    return places


def _are_near(x: Array, **_: Any) -> bool:
    """Whether x holds many integers of no larger range than there are of them."""
    if x.size <= FEW or not (x.dtype.kind == "i" or x.dtype == np.uint8):
        return False
    return int(x.max()) - int(x.min()) <= x.size


@sort._unique.on("cpu", when=_are_near)
def unique(x: Array, *, inverse: bool, counts: bool) -> list[Array]:
    """By counting each number from the smallest on."""
    low = int(x.min())
    places = x.astype(np.int64) - low
    numbers = np.bincount(places.reshape(-1))
    found = np.flatnonzero(numbers)
    parts = [(found + low).astype(x.dtype)]
    if inverse:
        where = np.empty(len(numbers), np.int64)
        where[found] = np.arange(len(found))
        parts.append(where[places])
    if counts:
        parts.append(numbers[found])
    return parts

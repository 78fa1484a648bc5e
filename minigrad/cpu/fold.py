"""Windows as columns on the CPU: a part of the batch at a time, written once and without a padded
copy. Of batch-innermost memory it is a part of the channels."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from ..device import Array
from ..layout import from_batch_last, memory_order
from ..memory import empty
from ..ops.conv import Pair, Window
from ..ops.fold import _fold, _unfold
from ..tape import Backward
from .threads import parallel, split_range, threads_for

PART = 1 << 17  # numbers in the columns of a part, about, to fit a core's cache


class _Tap(NamedTuple):
    """The windows, as rows and columns, in which a kernel offset is inside the image; and the
    pixels there: indices of the last two axes."""

    windows: tuple[Any, ...]
    pixels: tuple[Any, ...]


@functools.lru_cache(maxsize=256)  # the same few in every step
def _taps(size: Pair, padding: Pair, window: Window, places: Pair) -> tuple[_Tap, ...]:
    """The kernel offsets, row by row."""
    axes = []
    for axis in (0, 1):
        step, found = window.stride[axis], []
        for k in range(window.kernel[axis]):
            offset = k * window.dilation[axis] - padding[axis]
            first = max(0, -(offset // step))
            last = max(first, min(places[axis], (size[axis] - 1 - offset) // step + 1))
            start = first * step + offset
            stop = max(start, (last - 1) * step + offset + 1)
            found.append((slice(first, last), slice(start, stop, step)))
        axes.append(found)
    return tuple(_Tap((..., i, j), (..., a, b)) for i, a in axes[0] for j, b in axes[1])


def _shares(images: Array, columns: Array) -> list[tuple[Array, Array]]:
    """The parts of images (N, C, H, W) and of their columns (N, C, KH·KW, OH, OW)."""
    axis = 1 if memory_order(columns)[-1] == 0 else 0
    count = max(threads_for(columns.size), columns.size // PART)
    parts = [(slice(None),) * axis + (part,) for part in split_range(columns.shape[axis], count)]
    return [(images[part], columns[part]) for part in parts]


def _new(shape: tuple[int, ...], like: Array) -> Array:
    """An array of which the batch is innermost in memory where it is in that of ``like``."""
    if len(like) > 1 and memory_order(like)[-1] == 0:
        return from_batch_last(empty((*shape[1:], shape[0]), like.dtype))
    return empty(shape, like.dtype)


def _columns_of(x: Array, padding: Pair, window: Window, places: Pair) -> Array:
    """(N, C, H, W) to (N, C · KH · KW, OH · OW)."""
    n, c, h, w = x.shape
    taps = _taps((h, w), padding, window, places)
    columns = _new((n, c, len(taps), *places), x)
    shares = _shares(x, columns)

    def task(i: int) -> None:
        images, to = shares[i]
        to[...] = 0
        for k, tap in enumerate(taps):
            to[:, :, k][tap.windows] = images[tap.pixels]

    parallel(task, len(shares), columns.size)
    return columns.reshape(n, c * len(taps), places[0] * places[1])


def _images_of(x: Array, size: Pair, padding: Pair, window: Window, places: Pair) -> Array:
    """The transpose of :func:`_columns_of`: each pixel is the sum of its copies."""
    taps = _taps(size, padding, window, places)
    columns = x.reshape(len(x), x.shape[1] // len(taps), len(taps), *places)
    y = _new((*columns.shape[:2], *size), x)
    shares = _shares(y, columns)

    def task(i: int) -> None:
        images, own = shares[i]
        images[...] = 0
        for k, tap in enumerate(taps):
            images[tap.pixels] += own[:, :, k][tap.windows]

    parallel(task, len(shares), columns.size)
    return y


@_unfold.on("cpu")
def unfold(x: Array, *, padding: Pair, window: Window, places: Pair) -> tuple[Array, Backward]:
    size, options = (x.shape[2], x.shape[3]), (padding, window, places)
    return _columns_of(x, *options), lambda g, needs: (_images_of(g, size, *options),)


@_fold.on("cpu")
def fold(
    x: Array, *, size: Pair, padding: Pair, window: Window, places: Pair
) -> tuple[Array, Backward]:
    options = padding, window, places
    return _images_of(x, size, *options), lambda g, needs: (_columns_of(g, *options),)

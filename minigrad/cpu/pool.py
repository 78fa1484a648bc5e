"""Pooling on the CPU, in batch-innermost memory (C, H, W, N), a block of channels per core."""

from __future__ import annotations

import functools
import math
from types import ModuleType
from typing import Any

import numpy as np

from ..device import Array
from ..layout import from_batch_last
from ..memory import empty, zeros
from ..ops.adaptive_pool import _adaptive_max_pool2d
from ..ops.conv import Pair, Window
from ..ops.pool import (
    _adaptive_avg_pool2d,
    _avg_pool2d,
    _max_pool2d,
    lowest,
    max_overlap,
    place_dtype,
)
from ..sums import adding_dtype, total
from ..tape import Backward
from .compiled import kernels
from .elementwise import scratch, to_batch_last
from .threads import parallel, split_range, threads_for, workspace


def _kernels(x: Array) -> ModuleType | None:
    return kernels("pool", x.dtype)


def _compiled(x: Array, **_: Any) -> bool:
    return _kernels(x) is not None


def _channels(x: Array, elements: int) -> tuple[slice, ...]:
    """Blocks of channels of x (N, C, H, W) that fit a core's cache, at least one for each thread
    that shares work on ``elements``."""
    return split_range(x.shape[1], max(threads_for(elements), x.nbytes // (1 << 19)))


def _padded(x: Array, window: Window, pads: Pair, out: Pair, fill: float) -> Array:
    """x padded with ``fill`` as far as the windows reach; x itself if that adds nothing."""
    need = tuple((o - 1) * s + r for o, s, r in zip(out, window.stride, window.reach, strict=True))
    c, h, w, n = x.shape
    if pads == (0, 0) and need[0] <= h and need[1] <= w:
        return x
    size = tuple(max(a, b + p) for a, b, p in zip(need, (h, w), pads, strict=True))
    y = empty((c, *size, n), x.dtype)
    y[...] = fill
    y[:, pads[0] : pads[0] + h, pads[1] : pads[1] + w] = x
    return y


def _pixels(x: Array, window: Window, out: Pair) -> list[Array]:
    """For each kernel offset, row by row, the pixels it reads: views (C, OH, OW, N)."""
    return [x[:, rows, columns] for rows, columns in window.offsets(out)]


@_max_pool2d.on("cpu", when=_compiled)
def compiled_max_pool2d(
    x: Array, *, window: Window, pads: Pair, out: Pair
) -> tuple[Array, Backward]:
    """Compiled kernels, without padding: one pass forward and one backward."""
    fast = _kernels(x)
    assert fast is not None  # see `when`
    n, c, h, w = x.shape
    y = empty((c, *out, n), x.dtype)
    place = empty(y.shape, place_dtype(window))
    shape, options = (h, w, n, *out), (window.kernel, window.stride, pads, window.dilation)
    seen = y.size * math.prod(window.kernel)
    pieces, memory = _channels(x, seen), to_batch_last(x)
    phases = window.stride[1] if n < fast.MIN_ROW_IMAGES else 1
    wide = -(-w // phases)

    def forward(i: int) -> None:
        part = pieces[i]
        count, pixels = len(y[part]), memory[part].reshape(-1)
        if phases > 1:
            rows = workspace("phases", (count * h * phases * wide * n,), x.dtype)
            fast.split(pixels, count * h, w, n, phases, rows)
            pixels = rows
        to = y[part].reshape(-1), place[part].reshape(-1)
        fast.largest(pixels, count, *shape, *options, phases, lowest(x.dtype), *to)

    parallel(forward, len(pieces), seen)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = to_batch_last(g)
        gx = empty((c, h, w, n), adding_dtype(g.dtype, max_overlap(window, out)))
        steps = _steps(window, w)

        def task(i: int) -> None:
            part = pieces[i]
            given = g[part].reshape(-1), place[part].reshape(-1), len(g[part])
            fast.spread(*given, *shape, *options, steps, gx[part].reshape(-1))

        parallel(task, len(pieces), seen)
        return (from_batch_last(gx.astype(g.dtype, copy=False)),)

    return from_batch_last(y), backward


@functools.lru_cache(maxsize=256)
def _steps(window: Window, width: int) -> Array:
    """How far behind a window's first pixel the others lie in an image of that width, the last one
    at index 1."""
    (kh, kw), (down, right) = window.kernel, window.dilation
    steps = np.arange(kh)[:, None] * (down * width) + np.arange(kw) * right
    return np.append(steps, 0)[::-1].astype(np.uint64)


@_max_pool2d.on("cpu")
def blocked_max_pool2d(
    x: Array, *, window: Window, pads: Pair, out: Pair
) -> tuple[Array, Backward]:
    """NumPy. The backward pass keeps one integer per output, of one byte where that is enough: the
    position of the largest element in its window, counted from the window's end."""
    n, c, h, w = x.shape
    padded = _padded(to_batch_last(x), window, pads, out, lowest(x.dtype))
    padded_shape = padded.shape
    y = empty((c, *out, n), x.dtype)
    place = empty(y.shape, place_dtype(window))
    seen = _pixels(padded, window, out)
    pieces = _channels(from_batch_last(y), y.size * len(seen))

    def forward(i: int) -> None:
        part = pieces[i]
        best, at = y[part], place[part]
        best[...], at[...] = seen[0][part], 0
        for pixels in seen[1:]:
            np.maximum(best, pixels[part], out=best)
        odd = x.dtype.kind == "f" and bool(np.isnan(best).any())
        equal, left = np.empty(at.shape, bool), scratch("left", at)
        # at = positions from the first largest element to the window's end
        for k, pixels in enumerate(seen):
            np.equal(pixels[part], best, out=equal)
            if odd:
                equal |= np.isnan(pixels[part])
            np.multiply(equal, at.dtype.type(len(seen) - k), out=left)
            np.maximum(at, left, out=at)

    parallel(forward, len(pieces))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = to_batch_last(g)
        gx = zeros(padded_shape, adding_dtype(g.dtype, max_overlap(window, out)))
        targets = _pixels(gx, window, out)

        def task(i: int) -> None:
            part = pieces[i]
            for k, target in enumerate(targets):
                target[part] += g[part] * (place[part] == len(targets) - k)

        parallel(task, len(pieces))
        gx = gx[:, pads[0] : pads[0] + h, pads[1] : pads[1] + w]
        return (from_batch_last(gx.astype(g.dtype, copy=False)),)

    return from_batch_last(y), backward


@_avg_pool2d.on("cpu", when=_compiled)
def compiled_avg_pool2d(
    x: Array, *, window: Window, pads: Pair, out: Pair, divisor: Array
) -> tuple[Array, Backward]:
    """Compiled kernels, without padding: one pass forward and one backward."""
    fast = _kernels(x)
    assert fast is not None  # see `when`
    n, c, h, w = x.shape
    y = empty((c, *out, n), x.dtype)
    scale = (1 / divisor).astype(x.dtype).reshape(-1)
    sizes = h, w, n, *out, window.kernel, window.stride, pads, scale
    pieces, memory = _channels(x, x.size), to_batch_last(x)
    adds = adding_dtype(x.dtype, math.prod(window.kernel))

    def forward(i: int) -> None:
        part = pieces[i]
        scratch = workspace("sums", ((w + 1) * n,), adds)
        fast.mean(memory[part].reshape(-1), len(y[part]), *sizes, y[part].reshape(-1), scratch)

    parallel(forward, len(pieces), x.size)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = to_batch_last(g)
        gx = empty((c, h, w, n), adding_dtype(g.dtype, max_overlap(window, out)))

        def task(i: int) -> None:
            part = pieces[i]
            fast.share(g[part].reshape(-1), len(g[part]), *sizes, gx[part].reshape(-1))

        parallel(task, len(pieces), x.size)
        return (from_batch_last(gx.astype(g.dtype, copy=False)),)

    return from_batch_last(y), backward


@_avg_pool2d.on("cpu")
def blocked_avg_pool2d(
    x: Array, *, window: Window, pads: Pair, out: Pair, divisor: Array
) -> tuple[Array, Backward]:
    """NumPy."""
    n, c, h, w = x.shape
    y = empty((c, *out, n), x.dtype)
    scale = (1 / divisor).astype(x.dtype)[..., None]  # (OH, OW, 1)
    padded = _padded(to_batch_last(x), window, pads, out, 0)
    padded_shape = padded.shape
    seen = _pixels(padded, window, out)
    pieces = _channels(from_batch_last(y), y.size * len(seen))

    def forward(i: int) -> None:
        part = pieces[i]
        sums = seen[0][part].astype(adding_dtype(x.dtype, len(seen)))
        for pixels in seen[1:]:
            sums += pixels[part]
        np.multiply(sums, scale, out=y[part], casting="same_kind")

    parallel(forward, len(pieces))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = to_batch_last(g)
        gx = zeros(padded_shape, adding_dtype(g.dtype, max_overlap(window, out)))
        targets = _pixels(gx, window, out)

        def task(i: int) -> None:
            part = pieces[i]
            share = g[part] * scale
            for target in targets:
                target[part] += share

        parallel(task, len(pieces))
        gx = gx[:, pads[0] : pads[0] + h, pads[1] : pads[1] + w]
        return (from_batch_last(gx.astype(g.dtype, copy=False)),)

    return from_batch_last(y), backward


def _even(x: Array, *, out: Pair) -> bool:
    """Whether the cells do not overlap, and kernels serve."""
    return _compiled(x) and all(n % o == 0 for n, o in zip(x.shape[2:], out, strict=True))


@_adaptive_avg_pool2d.on("cpu", when=_even)
def compiled_adaptive_avg_pool2d(x: Array, *, out: Pair) -> tuple[Array, Backward]:
    """Cells of an even grid are the windows of average pooling."""
    cell = x.shape[2] // out[0], x.shape[3] // out[1]
    window, divisor = Window(cell, cell), np.full(out, math.prod(cell))
    return compiled_avg_pool2d(x, window=window, pads=(0, 0), out=out, divisor=divisor)


@_adaptive_avg_pool2d.on("cpu")
def adaptive_avg_pool2d(x: Array, *, out: Pair) -> tuple[Array, Backward]:
    """NumPy."""
    x = to_batch_last(x)
    c, h, w, n = shape = x.shape
    y = empty((c, *out, n), x.dtype)
    # The largest number of cells that contain one pixel.
    overlap = math.prod(cells // size + 2 for size, cells in zip((h, w), out, strict=True))
    cells = [
        (
            i,
            j,
            slice(i * h // out[0], -(-(i + 1) * h // out[0])),
            slice(j * w // out[1], -(-(j + 1) * w // out[1])),
        )
        for i in range(out[0])
        for j in range(out[1])
    ]
    for i, j, rows, cols in cells:
        cell = x[:, rows, cols]
        y[:, i, j] = total(cell, (1, 2)) / (cell.shape[1] * cell.shape[2])

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = to_batch_last(g)
        gx = zeros(shape, adding_dtype(g.dtype, overlap))
        for i, j, rows, cols in cells:
            target = gx[:, rows, cols]
            target += (g[:, i, j] / (target.shape[1] * target.shape[2]))[:, None, None]
        return (from_batch_last(gx.astype(g.dtype, copy=False)),)

    return from_batch_last(y), backward


@_adaptive_max_pool2d.on("cpu", when=_compiled)
def compiled_adaptive_max_pool2d(x: Array, *, out: Pair) -> tuple[Array, Backward]:
    """Compiled kernels: one pass forward, and backward a sum at the place of each maximum."""
    fast = _kernels(x)
    assert fast is not None  # see `when`
    n, c, h, w = x.shape
    y, place = empty((c, *out, n), x.dtype), empty((c, *out, n), np.int32)
    pieces, memory = _channels(x, x.size), to_batch_last(x)

    def forward(i: int) -> None:
        part = pieces[i]
        to = y[part].reshape(-1), place[part].reshape(-1)
        fast.largest_of_cells(memory[part].reshape(-1), len(y[part]), h, w, n, *out, *to)

    parallel(forward, len(pieces), x.size)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g, cells = to_batch_last(g), math.prod(out)
        gx = empty((c, h, w, n), adding_dtype(g.dtype, cells))

        def task(i: int) -> None:
            part = pieces[i]
            given = g[part].reshape(-1), place[part].reshape(-1), len(g[part])
            fast.spread_from_cells(*given, h * w, n, cells, gx[part].reshape(-1))

        parallel(task, len(pieces), x.size)
        return (from_batch_last(gx.astype(g.dtype, copy=False)),)

    return from_batch_last(y), backward

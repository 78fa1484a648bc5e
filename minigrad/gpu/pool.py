"""Pooling on a GPU by the kernels of pool.cu, on batch-innermost arrays (C, H, W, N)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import Array, get_xp
from ..layout import from_batch_last, to_batch_last
from ..ops.conv import Pair, Window
from ..ops.pool import (
    _adaptive_avg_pool2d,
    _avg_pool2d,
    _max_pool2d,
    lowest,
    max_overlap,
    place_dtype,
)
from ..sums import adding_dtype
from ..tape import Backward
from . import launch as cuda
from .capture import constant

THREADS = 256  # per block of pool.cu


def _pool_by_kernel(
    name: str,
    y: Array,
    arrays: tuple[Array, ...],
    sizes: tuple[int, ...],
    *results: Any,
    terms: int,
    place: Any = np.uint8,
) -> None:
    """Run a kernel with a row of threads over the batch for each position of ``y`` (C, …, N). Each
    element of y is a sum of at most ``terms`` terms."""
    positions, n = math.prod(y.shape[:-1]), y.shape[-1]
    row = min(THREADS, 1 << max(n - 1, 0).bit_length())
    grid = cuda.blocks(positions, THREADS // row) if n else 0
    args = (*arrays, positions, *sizes, *results)
    adds = adding_dtype(y.dtype, terms)
    macros = {"REAL": y.dtype, "SUM": adds, "PLACE": np.dtype(place)}
    cuda.launch("pool", name, grid, (row, THREADS // row), args, **macros)


def _sizes(shape: tuple[int, ...], out: Pair, window: Window, pads: Pair) -> tuple[int, ...]:
    """Arguments of the kernels: H, W, N, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW."""
    return (*shape[1:], *out, *window.kernel, *window.stride, *pads, *window.dilation)


@_max_pool2d.on("gpu", when=cuda.serves)
def max_pool2d(x: Array, *, window: Window, pads: Pair, out: Pair) -> tuple[Array, Backward]:
    """One thread per output forward and one per pixel backward, so no sum is atomic."""
    x = to_batch_last(x)
    xp, shape = get_xp(x), x.shape
    y = xp.empty((shape[0], *out, shape[-1]), x.dtype)
    place = xp.empty(y.shape, place_dtype(window))
    sizes = _sizes(shape, out, window, pads)
    _pool_by_kernel(
        "max_pool", y, (x,), sizes, lowest(x.dtype), y, place, terms=1, place=place.dtype
    )

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        gx = xp.empty(shape, g.dtype)
        options = {"terms": max_overlap(window, out), "place": place.dtype}
        _pool_by_kernel("max_pool_gradient", gx, (to_batch_last(g), place), sizes, gx, **options)
        return (from_batch_last(gx),)

    return from_batch_last(y), backward


@_avg_pool2d.on("gpu", when=cuda.serves)
def avg_pool2d(
    x: Array, *, window: Window, pads: Pair, out: Pair, divisor: Array
) -> tuple[Array, Backward]:
    """Threads as in :func:`max_pool2d`."""
    xp, x = get_xp(x), to_batch_last(x)
    c, h, w, n = x.shape
    y = xp.empty((c, *out, n), x.dtype)
    scale = constant((1 / divisor).astype(x.dtype), xp)[..., None]  # (OH, OW, 1)
    overlap = max_overlap(window, out)
    sizes = _sizes(x.shape, out, window, pads)
    _pool_by_kernel("avg_pool", y, (x, scale), sizes, y, terms=math.prod(window.kernel))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        gx, arrays = xp.empty((c, h, w, n), g.dtype), (to_batch_last(g), scale)
        _pool_by_kernel("avg_pool_gradient", gx, arrays, sizes, gx, terms=overlap)
        return (from_batch_last(gx),)

    return from_batch_last(y), backward


@_adaptive_avg_pool2d.on("gpu", when=cuda.serves)
def adaptive_avg_pool2d(x: Array, *, out: Pair) -> tuple[Array, Backward]:
    """Threads as in :func:`max_pool2d`."""
    xp, x = get_xp(x), to_batch_last(x)
    c, h, w, n = shape = x.shape
    y = xp.empty((c, *out, n), x.dtype)
    # The largest number of pixels in a cell, and of cells that contain one pixel.
    pixels = math.prod(size // cells + 2 for size, cells in zip((h, w), out, strict=True))
    overlap = math.prod(cells // size + 2 for size, cells in zip((h, w), out, strict=True))
    sizes = (h, w, n, *out)
    _pool_by_kernel("adaptive_avg_pool", y, (x,), sizes, y, terms=pixels)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        gx, arrays = xp.empty(shape, g.dtype), (to_batch_last(g),)
        _pool_by_kernel("adaptive_avg_pool_gradient", gx, arrays, sizes, gx, terms=overlap)
        return (from_batch_last(gx),)

    return from_batch_last(y), backward

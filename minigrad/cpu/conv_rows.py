"""Convolution of few pixels, compiled: forward and its two gradients, at any stride.

With fewer pixels than filters, as one image has in the deep layers of a network, the filters are
most of the memory, and rearranging them for the kernels takes longer than multiplying. Here they
are read where they lie, and the pixels are rearranged instead (:mod:`minigrad.cpu.kernels.rows`).
"""

from __future__ import annotations

import functools
import math
from types import ModuleType

import numpy as np

from ..device import Array
from ..memory import empty, zeros
from ..ops.conv import Pair, Window
from .compiled import kernels
from .conv_direct import all_taps, packed_filters
from .threads import PRODUCTS, launch

_ONE_TAP = all_taps((0, 0), Window((1, 1)))


def is_supported(x: Array, w: Array, size: Pair, groups: int) -> bool:
    """True if this serves x (C, H, W, N), w (O, C, KH, KW) and outputs of ``size`` (OH, OW), and
    measured faster than the other modules."""
    if groups > 1 or size[0] * size[1] * x.shape[3] > len(w):
        return False
    compiled = kernels("rows", x.dtype)
    if compiled is None:
        return False
    depth = math.prod(w.shape[1:])
    return len(w) % compiled.ROWS == 0 and depth % (compiled.BLOCK_BYTES // x.itemsize) == 0


@functools.lru_cache(maxsize=256)  # the same few in every step
def _sources(size: Pair, n: int, padding: Pair, window: Window) -> Array:
    """Where planes (H, W, N) hold the pixel that each output (OH, OW, N) reads for each kernel
    offset; negative for padding. Flat (OH, OW, N, KH, KW)."""
    out = window.output(size, padding)
    options = zip(out, window.stride, window.kernel, window.dilation, padding, strict=True)
    rows, columns = (
        np.arange(count)[:, None] * stride + np.arange(kernel) * dilation - before
        for count, stride, kernel, dilation, before in options
    )
    rows, columns = rows[:, None, None, :, None], columns[:, None, None, :]
    places = (rows * size[1] + columns) * n + np.arange(n)[:, None, None]
    inside = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
    return np.where(inside, places, -1).reshape(-1)


class _Rows:
    """The rows of images (C, H, W, N): where their numbers come from, the number of rows, and the
    numbers in each."""

    def __init__(self, like: Array, size: Pair, padding: Pair, window: Window, channels: int):
        module = kernels("rows", like.dtype)
        assert module is not None  # see `is_supported`
        self.compiled: ModuleType = module
        n, taps = like.shape[3], math.prod(window.kernel)
        sources = _sources(size, n, padding, window)
        self.where = channels, math.prod(size) * n, sources, taps
        self.depth, self.count = channels * taps, len(sources) // taps

    def of(self, x: Array, count: int) -> Array:
        """The rows of x, flat, and zeros up to ``count`` rows."""
        rows, flat = empty((count * self.depth,), x.dtype), x.reshape(-1)
        rows[self.count * self.depth :] = 0
        launch(self.compiled.gather, self.count, rows.size, flat, *self.where, rows)
        return rows

    def work(self, outputs: int) -> int:
        """The products with so many filters, in elements of a plain pass."""
        return outputs * self.depth * self.count // PRODUCTS


def correlate(
    x: Array, w: Array, b: Array | None, padding: Pair, window: Window, groups: int
) -> Array:
    """:func:`minigrad.cpu.conv_direct.correlate`."""
    rows = _Rows(x, x.shape[1:3], padding, window, len(x))
    across = rows.compiled.lines(x.itemsize)
    pixels = -(-rows.count // across) * across
    gathered, filters = rows.of(x, pixels), np.ascontiguousarray(w).reshape(-1)
    y = np.zeros((len(w), pixels), x.dtype)
    if b is not None:
        y += b[:, None]
    sizes = rows.depth, pixels, y.reshape(-1)
    launch(
        rows.compiled.correlate, len(w), rows.work(len(w)), filters, gathered, *sizes,
        align=rows.compiled.LINES,
    )  # fmt: skip
    shape = len(w), *window.output(x.shape[1:3], padding), x.shape[3]
    return np.ascontiguousarray(y[:, : rows.count]).reshape(shape)


def input_gradient(
    g: Array,
    w: Array,
    size: Pair,
    padding: Pair,
    window: Window,
    groups: int,
    b: Array | None = None,
) -> Array:
    """:func:`minigrad.cpu.conv_direct.input_gradient`."""
    (o, c), filters = w.shape[:2], np.ascontiguousarray(w).reshape(-1)
    rows = _Rows(g, size, padding, window, c)
    align = rows.compiled.ROWS
    pixels = -(-rows.count // align) * align
    packed = packed_filters(g.reshape(o, -1).T[:, :, None], _ONE_TAP)
    gradient = empty((pixels * rows.depth,), g.dtype)
    none = np.zeros(align, g.dtype)
    block = rows.compiled.BLOCK_BYTES // g.itemsize
    sizes = rows.depth, pixels, none, gradient
    multiply = rows.compiled.input_gradient
    launch(multiply, rows.depth, rows.work(o), packed, o, filters, *sizes, align=block)
    gx = zeros((c, *size, g.shape[3]), g.dtype)
    if b is not None:
        gx += b[:, None, None, None]
    launch(rows.compiled.scatter, c, gradient.size, gradient, *rows.where, gx.reshape(-1))
    return gx


def weight_gradient(
    x: Array, g: Array, shape: tuple[int, ...], padding: Pair, window: Window, groups: int
) -> Array:
    """:func:`minigrad.cpu.conv_direct.weight_gradient`."""
    o = len(g)
    rows = _Rows(x, x.shape[1:3], padding, window, len(x))
    gathered = rows.of(x, rows.count)
    packed = packed_filters(g.reshape(o, -1, 1), _ONE_TAP)
    gw = empty(shape, x.dtype)
    none = np.zeros(rows.compiled.ROWS, x.dtype)
    sizes = rows.count, gathered, rows.depth, none, gw.reshape(-1)
    launch(rows.compiled.weight_gradient, o, rows.work(o), packed, *sizes, align=len(none))
    return gw

"""Convolution straight from the image, compiled: forward and its two gradients, for any options.

The columns of im2col are KH·KW times as large as the image; written to memory and read back, they
would cost more time than a product of few rows. The kernels (:mod:`minigrad.cpu.kernels.direct`)
gather them a few outputs at a time, into the core's first caches.

The input gradient only gathers, too. At stride s the pixels i = s k + a, for each a below s, are
read by the kernel offsets d with a + p − d divisible by s, and by output k + (a + p − d) / s: one
convolution at stride 1 of g for each such image of every s-th pixel.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops.conv import Pair, Window
from .compiled import kernels
from .threads import PRODUCTS, Scratch, get_num_threads, launch, parallel

TILES = 8  # that a thread works through at least, if there are enough
MAX_TILE_BYTES = 1 << 18  # of all columns, to fit a core's cache
FEW = 4  # products: of as many phases of the strides


def _compiled(x: Array) -> ModuleType:
    module = kernels("direct", x.dtype)
    assert module is not None  # see `minigrad.cpu.conv`
    return module


def _tile(x: Array, depth: int, least: int) -> int:
    """Elements of a tile of ``depth`` columns: the more the fewer, since cutting takes time."""
    size = _compiled(x).TILE_BYTES
    return size // x.itemsize * max(least, min(8, MAX_TILE_BYTES // (size * max(1, depth))))


class Taps(NamedTuple):
    """Kernel offsets: which (of a row-by-row count), and the pixels that they read for output
    (0, 0)."""

    places: Array
    down: Array
    right: Array


@functools.lru_cache(maxsize=1024)  # the same few in every step
def _taps(rows: tuple[Pair, ...], columns: tuple[Pair, ...], width: int) -> Taps:
    """All pairs of ``rows`` and ``columns``, each a list of (kernel offset, pixel)."""
    pairs = [(a * width + b, i, j) for a, i in rows for b, j in columns]
    places, down, right = np.array(pairs, np.int64).reshape(-1, 3).T
    return Taps(*map(np.ascontiguousarray, (places, down, right)))


@functools.lru_cache(maxsize=1024)
def all_taps(padding: Pair, window: Window) -> Taps:
    rows, columns = (
        tuple((k, k * d - p) for k in range(size))
        for size, d, p in zip(window.kernel, window.dilation, padding, strict=True)
    )
    return _taps(rows, columns, window.kernel[1])


def packed_filters(filters: Array, taps: Taps) -> Array:
    """``filters`` (O, C, KH·KW) as the kernel takes them."""
    compiled = _compiled(filters)
    o, c = filters.shape[:2]
    blocks = -(-o // compiled.ROWS)
    packed = empty((blocks * len(taps.places) * c * compiled.ROWS,), filters.dtype)
    launch(compiled.pack, blocks, packed.size, filters, taps.places, packed)
    return packed


class _Product(NamedTuple):
    """One product: columns of x (C, H, W, N), the filters' taps, the number of outputs per channel,
    and where they go; see the kernel."""

    x: Array
    image: tuple[int, ...]
    taps: Taps
    filters: Array
    bias: Array | None
    y: Array
    layout: tuple[int, ...]


def _multiply(products: list[_Product], outputs: int) -> None:
    """Run ``products``, which write to separate memory, on all cores."""
    x = products[0].x
    compiled = _compiled(x)
    most = max(len(one.taps.places) * one.image[0] for one in products)
    tile = _tile(x, most, 1)

    def run(one: _Product) -> None:
        packed, size = (
            packed_filters(one.filters, one.taps),
            math.prod(one.image[6:]) * one.image[3],
        )
        bias = np.zeros(outputs + -outputs % compiled.ROWS, x.dtype)
        if one.bias is not None:
            bias[:outputs] = one.bias
        threads = get_num_threads()
        launch(
            compiled.correlate, size, packed.size * size // PRODUCTS,
            one.x.reshape(-1), one.image, one.taps.down, one.taps.right, packed, bias, outputs,
            tile, one.y.reshape(-1), one.layout,
            Scratch("columns", (most + compiled.ROWS) * tile, x.dtype),
            align=tile, parts=max(threads, min(4 * threads, size // (TILES * tile))),
        )  # fmt: skip

    _each(run, products)


def _each(run: Callable[[Any], None], items: Sequence[Any]) -> None:
    """Run each of few items on all cores, or each of many on one."""
    if len(items) <= FEW:
        for item in items:
            run(item)
    else:
        parallel(lambda i: run(items[i]), len(items), calls_blas=False)


def _groups(count: int, *arrays: Array) -> list[tuple[Array, ...]]:
    """The parts of ``arrays`` along their first axis, group by group."""
    return list(zip(*(a.reshape(count, -1, *a.shape[1:]) for a in arrays), strict=True))


def _biases(b: Array | None, groups: int) -> Any:
    return [None] * groups if b is None else b.reshape(groups, -1)


def correlate(
    x: Array, w: Array, b: Array | None, padding: Pair, window: Window, groups: int
) -> Array:
    """The correlation of x (C, H, W, N), zero-padded, with w (O, C/G, KH, KW), plus b: (O, OH, OW,
    N)."""
    (_, h, wide, n), (o, cg, *_) = x.shape, w.shape
    oh, ow = window.output((h, wide), padding)
    y = empty((o, oh, ow, n), x.dtype)
    taps = all_taps(padding, window)
    image = (cg, h, wide, n, *window.stride, oh, ow)
    layout = (0, oh * ow * n, ow * n, n)
    products = [
        _Product(part, image, taps, filters, bias, target, layout)
        for (part, filters, target), bias in zip(
            _groups(groups, x, w.reshape(o, cg, -1), y), _biases(b, groups), strict=True
        )
    ]
    _multiply(products, o // groups)
    return y


def input_gradient(
    g: Array,
    w: Array,
    size: Pair,
    padding: Pair,
    window: Window,
    groups: int,
    b: Array | None = None,
) -> Array:
    """dL/dx of :func:`correlate` plus b, (C, H, W, N) for ``size`` (H, W)."""
    (_, oh, ow, n), (o, cg, kh, kw) = g.shape, w.shape
    (h, wide), (sh, sw) = size, window.stride
    gx = empty((groups * cg, h, wide, n), g.dtype)
    filters = w.reshape(groups, o // groups, cg, kh * kw).swapaxes(1, 2)
    biases = _biases(b, groups)
    products = []
    for i in range(min(sh, h)):
        for j in range(min(sw, wide)):
            rows, columns = (
                tuple(
                    (k, (start + p - k * d) // s)
                    for k in range(kernel)
                    if (start + p - k * d) % s == 0
                )
                for start, p, d, s, kernel in zip(
                    (i, j), padding, window.dilation, window.stride, window.kernel, strict=True
                )
            )
            image = (o // groups, oh, ow, n, 1, 1, -(-(h - i) // sh), -(-(wide - j) // sw))
            layout = ((i * wide + j) * n, h * wide * n, sh * wide * n, sw * n)
            taps = _taps(rows, columns, kw)
            products += [
                _Product(part, image, taps, own, bias, target, layout)
                for (part, target), own, bias in zip(
                    _groups(groups, g, gx), filters, biases, strict=True
                )
            ]
    _multiply(products, cg)
    return gx


def weight_gradient(
    x: Array, g: Array, shape: tuple[int, ...], padding: Pair, window: Window, groups: int
) -> Array:
    """dL/dw of :func:`correlate`, for g = dL/dy (O, OH, OW, N). Each thread sums a fixed share, so
    the rounding is the same from run to run."""
    compiled = _compiled(x)
    (o, cg, kh, kw), (h, wide, n), (oh, ow) = shape, x.shape[1:], g.shape[1:3]
    og, depth, size = o // groups, cg * kh * kw, oh * ow * n
    across = compiled.lines(x.itemsize)
    width, rows = -(-depth // across) * across, -(-og // compiled.LINES) * compiled.LINES
    tile = _tile(x, depth // 2, 2)
    threads = get_num_threads()
    sums = np.zeros((groups, threads, rows * width), x.dtype)
    taps = all_taps(padding, window)
    image = (cg, h, wide, n, *window.stride, oh, ow)

    def run(group: tuple[Array, ...]) -> None:
        images, gradient, found = group
        launch(
            compiled.weight_gradient, size, depth * og * size // PRODUCTS,
            images.reshape(-1), image, taps.down, taps.right, gradient.reshape(-1), og, tile,
            found, width, Scratch("columns", (width + compiled.LINES) * tile, x.dtype),
            align=tile, parts=threads,
        )  # fmt: skip

    _each(run, _groups(groups, x, g, sums.reshape(groups * threads, -1)))
    found = sums.reshape(groups, threads, rows, width).sum(axis=1)[:, :og, :depth]
    found = found.reshape(groups, og, kh, kw, cg)
    return np.ascontiguousarray(found.transpose(0, 1, 4, 2, 3)).reshape(shape)

"""1 x 1 convolution of images in C order on the CPU, compiled: each image is a matrix (C, H·W) that
filters multiply where it lies. The results are in C order, too.

Other code would first copy the images to batch-innermost memory, which takes as long as the
products if there are few channels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops.conv import Pair, Window
from ..tape import Backward
from .compiled import kernels
from .conv_direct import all_taps, packed_filters
from .elementwise import contiguous
from .planes import picked, put_back, serves
from .threads import Scratch, get_num_threads, launch, parallel, split_range

LEAST_PIXELS = 64  # of an image
LEAST_PRODUCTS = 1 << 20  # in all; below, other code is as fast
ONE_TAP = all_taps((0, 0), Window((1, 1)))
TILE_BYTES = 1 << 15  # of the pixels that are multiplied together, to fit a core's cache


def is_supported(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int
) -> bool:
    """True if this serves the arguments of a convolution, and is faster than other modules."""
    if window.kernel != (1, 1) or padding != (0, 0) or groups != 1:
        return False
    if len(x) < 2 or not x.flags.c_contiguous:  # a single image is batch-innermost, too
        return False
    (oh, ow), (o, c) = window.output(x.shape[2:]), w.shape[:2]
    enough = oh * ow >= LEAST_PIXELS and len(x) * o * c * oh * ow >= LEAST_PRODUCTS
    return enough and serves(x)


def conv2d(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int
) -> tuple[Array, Backward]:
    """Products of matrices, of every s-th pixel at stride s."""
    n, c, *size = x.shape
    o, out, stride = len(w), window.output(size), window.stride
    w = w.reshape(o, c)
    y = _products(w, x, b, stride, out)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g, gx, gw, gb = contiguous(g), None, None, None
        if needs[0]:
            gx = _products(w.T, g, None, (1, 1), out)
            gx = gx if stride == (1, 1) else put_back(gx, stride, (size[0], size[1]))
        if needs[1] or needs[2]:
            pixels = None
            if needs[1]:
                pixels = x if stride == (1, 1) else picked(x, stride, out)
                pixels = pixels.reshape(n, c, -1)
            gw, gb = _sums(g.reshape(n, o, -1), pixels)
        return gx, None if gw is None else gw.reshape(o, c, 1, 1), gb

    return y, backward


def _products(w: Array, x: Array, b: Array | None, stride: Pair, out: Pair) -> Array:
    """w @ x + b for each image of x (N, C, H, W), of the pixels that ``stride`` meets."""
    fast, (n, c, h, wide), o = kernels("direct", x.dtype), x.shape, len(w)
    assert fast is not None  # see `is_supported`
    y = empty((n, o, *out), x.dtype)
    packed = packed_filters(w[..., None], ONE_TAP)
    bias = np.zeros(-(-o // fast.ROWS) * fast.ROWS, x.dtype)
    if b is not None:
        bias[:o] = b
    vector = fast.TILE_BYTES // x.itemsize
    most = TILE_BYTES // (fast.TILE_BYTES * c)
    tile = vector * max(1, min(most, -(-math.prod(out) // vector)))
    scratch = Scratch("columns", (c + fast.ROWS) * tile, x.dtype)
    image = c, h, wide, *stride, *out
    options = image, packed, bias, o, tile, y.reshape(-1), scratch
    launch(fast.multiply, n, c * y.size, x.reshape(-1), *options)
    return y


def _sums(g: Array, x: Array | None) -> tuple[Array | None, Array]:
    """Σ g xᵀ over images, unless x is None, and Σ g over images and pixels. Each thread sums a
    fixed share, so the rounding is the same from run to run."""
    parts = split_range(len(g), get_num_threads())
    found: list[Any] = [None] * len(parts)

    def task(i: int) -> None:
        own = g[parts[i]]
        product = None if x is None else np.matmul(own, x[parts[i]].swapaxes(1, 2)).sum(axis=0)
        found[i] = product, own.sum(axis=2).sum(axis=0)

    parallel(task, len(parts))
    products, sums = zip(*found, strict=True)
    return None if x is None else np.sum(products, axis=0), np.sum(sums, axis=0)

"""1 x 1 convolution of images in C order on the CPU: each image is a matrix (C, H·W), and BLAS
multiplies it where it lies. The results are in C order, too.

Other code would first copy the images to batch-innermost memory, which takes as long as the
products if there are few channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops.conv import Pair, Window
from ..tape import Backward
from .elementwise import contiguous
from .planes import picked, put_back, serves
from .threads import get_num_threads, parallel, split_range

LEAST_PIXELS = 64  # of an image; of fewer, BLAS multiplies slowly
CACHED = 1 << 16  # elements of results that are in a cache when the bias is added
LEAST_PRODUCTS = 1 << 20  # in all; below, one core is as fast with other code


def is_supported(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int
) -> bool:
    """True if this serves the arguments of a convolution, and is faster than other modules."""
    if window.kernel != (1, 1) or padding != (0, 0) or groups != 1:
        return False
    if len(x) < 2 or not x.flags.c_contiguous:  # a single image is batch-innermost, too
        return False
    (oh, ow), (o, c) = window.output(*x.shape[2:]), w.shape[:2]
    enough = oh * ow >= LEAST_PIXELS and len(x) * o * c * oh * ow >= LEAST_PRODUCTS
    return enough and (window.stride == (1, 1) or serves(x))


def conv2d(
    x: Array, w: Array, b: Array | None, *, padding: Pair, window: Window, groups: int
) -> tuple[Array, Backward]:
    """Products of matrices, of every s-th pixel at stride s."""
    n, c, *size = x.shape
    o, out, stride = len(w), window.output(*size), window.stride

    def pixels() -> Array:
        return (x if stride == (1, 1) else picked(x, stride, out)).reshape(n, c, -1)

    y = _products(w.reshape(o, c), pixels(), b).reshape(n, o, *out)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g, gx, gw, gb = contiguous(g).reshape(n, o, -1), None, None, None
        if needs[0]:
            gx = _products(w.reshape(o, c).T, g).reshape(n, c, *out)
            gx = gx if stride == (1, 1) else put_back(gx, stride, (size[0], size[1]))
        if needs[1] or needs[2]:
            gw, gb = _sums(g, pixels() if needs[1] else None)
        return gx, None if gw is None else gw.reshape(w.shape), gb

    return y, backward


def _products(w: Array, x: Array, b: Array | None = None) -> Array:
    """w @ x + b for each image of x (N, C, P)."""
    n, o, p = len(x), len(w), x.shape[2]
    y = empty((n, o, p), x.dtype)
    parts = split_range(n, max(get_num_threads(), y.size // CACHED))

    def task(i: int) -> None:
        part = y[parts[i]]
        np.matmul(w, x[parts[i]], out=part)
        if b is not None:
            part += b[:, None]

    parallel(task, len(parts))
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

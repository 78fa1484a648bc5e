"""Convolution of images that have fewer pixels than a filter has, as one matrix product.

Of 3 x 3 filters and 2 x 2 pixels with padding around them, 20 of an image's 36 products are with
padding. Here the filters become a matrix M (O · outputs, pixels · C): what each output takes of
each pixel, and zeros where it takes nothing. With images x (pixels · C, N) and g = dL/dy,

    y = M x,   dL/dx = Mᵀ g,   dL/dM = g xᵀ.

BLAS multiplies. A compiled kernel writes M, and sums dL/dM to dL/dw
(:mod:`minigrad.cpu.kernels.dense`). For few images that takes longer than it saves.
"""

from __future__ import annotations

import functools
import math
from types import ModuleType

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops.conv import Pair, Window
from .compiled import kernels
from .elementwise import contiguous
from .matrices import matmul2d
from .threads import launch

LEAST_IMAGES = 48


def is_supported(x: Array, kernel: Pair, groups: int) -> bool:
    """True if this serves x (C, H, W, N) and filters of such a ``kernel``, and measured faster than
    the other modules."""
    _, *size, n = x.shape
    fewer = math.prod(size) < math.prod(kernel)
    return groups == 1 and fewer and n >= LEAST_IMAGES and kernels("dense", x.dtype) is not None


@functools.lru_cache(maxsize=256)  # the same few in every step
def _taps(size: Pair, padding: Pair, window: Window) -> Array:
    """By which kernel offset each output reads each pixel of an image: (outputs, pixels), −1 where
    it does not read it."""
    out = window.output(size, padding)
    read = []
    options = zip(size, out, padding, window.stride, window.kernel, window.dilation, strict=True)
    for pixels, outputs, before, stride, kernel, dilation in options:
        ahead = np.arange(pixels) + before - stride * np.arange(outputs)[:, None]
        reads = (ahead >= 0) & (ahead < kernel * dilation) & (ahead % dilation == 0)
        read.append(np.where(reads, ahead // dilation, -1))
    rows, columns = read[0][:, None, :, None], read[1][:, None]
    taps = np.where((rows < 0) | (columns < 0), -1, rows * window.kernel[1] + columns)
    return taps.reshape(math.prod(out), math.prod(size))


def _compiled(x: Array) -> ModuleType:
    module = kernels("dense", x.dtype)
    assert module is not None  # see `is_supported`
    return module


def _matrix(w: Array, taps: Array) -> Array:
    """M (O · outputs, pixels · C) of w (O, C, KH, KW)."""
    o, c, *kernel = w.shape
    m = empty((o * len(taps), taps.shape[1] * c), w.dtype)
    sizes = math.prod(kernel), c, taps, m.reshape(-1)
    launch(_compiled(w).spread, o, m.size, contiguous(w).reshape(-1), *sizes)
    return m


def _columns(x: Array) -> Array:
    """x (C, H, W, N) as (pixels · C, N)."""
    c, *size, n = x.shape
    pixels = contiguous(x.reshape(c, math.prod(size), n).transpose(1, 0, 2))
    return pixels.reshape(-1, n)


def correlate(
    x: Array, w: Array, b: Array | None, padding: Pair, window: Window, groups: int
) -> Array:
    """:func:`minigrad.cpu.conv_direct.correlate`."""
    size, n = x.shape[1:3], x.shape[3]
    y = matmul2d(_matrix(w, _taps(size, padding, window)), _columns(x))
    y = y.reshape(len(w), *window.output(size, padding), n)
    if b is not None:
        y += b[:, None, None, None]
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
    """:func:`minigrad.cpu.conv_direct.input_gradient`."""
    n = g.shape[3]
    gx = matmul2d(_matrix(w, _taps(size, padding, window)).T, g.reshape(-1, n))
    gx = contiguous(gx.reshape(math.prod(size), -1, n).transpose(1, 0, 2)).reshape(-1, *size, n)
    if b is not None:
        gx += b[:, None, None, None]
    return gx


def weight_gradient(
    x: Array, g: Array, shape: tuple[int, ...], padding: Pair, window: Window, groups: int
) -> Array:
    """:func:`minigrad.cpu.conv_direct.weight_gradient`."""
    o, c, *kernel = shape
    gm = matmul2d(g.reshape(-1, g.shape[3]), _columns(x).T)
    gw, taps = empty(shape, x.dtype), _taps(x.shape[1:3], padding, window)
    sizes = math.prod(kernel), c, taps, gw.reshape(-1)
    launch(_compiled(x).gather, o, gm.size, gm.reshape(-1), *sizes)
    return gw

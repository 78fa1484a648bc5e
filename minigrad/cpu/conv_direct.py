"""Convolution straight from the image, for layers of few channels.

im2col copies KH·KW times the image, and a matrix product of few rows cannot make up for that. In
batch-innermost memory, a row of outputs and the pixels that one weight multiplies for it are
contiguous runs. So :func:`minigrad.cpu.conv.correlate` can be summed straight from the image,
without padding it. The weight gradient also works at stride s, from s x s images of every s-th
pixel ("space to depth"); for the forward pass this measured no faster than matrix products. The
loops are compiled (:mod:`minigrad.cpu.kernels.direct`).
"""

from __future__ import annotations

import functools
from types import ModuleType

import numpy as np

from ..device import Array
from ..memory import empty
from .compiled import kernels
from .threads import get_num_threads, parallel, split_range, workspace

Pair = tuple[int, int]

# Channels up to which these measured faster than matrix products.
MAX_FORWARD_CHANNELS = 16  # in `correlate`
MAX_BACKWARD_CHANNELS = 32  # in `weight_gradient`


def is_supported(x: Array, w_shape: tuple[int, ...], groups: int, max_channels: int) -> bool:
    """True if the kernels are available, and x (C, H, W, N) or the output has at most
    ``max_channels`` channels: MAX_FORWARD_CHANNELS or MAX_BACKWARD_CHANNELS."""
    if groups != 1 or x.shape[3] < 4:
        return False
    return min(w_shape[0], w_shape[1]) <= max_channels and kernels("direct", x.dtype) is not None


def _compiled(x: Array) -> ModuleType:
    module = kernels("direct", x.dtype)
    assert module is not None  # see `is_supported`
    return module


@functools.cache
def _channels(count: int) -> Array:
    """0 … count − 1, padded to a multiple of four by repeating the last channel once, the last two
    once each, or the last one three times."""
    repeated = ([], [1, 1, 1], [1, 2], [1])[count % 4]
    return np.sort([*range(count), *(count - k for k in repeated)])


def _inputs(
    x: Array, channels: Array, kernel: Pair, padding: Pair, stride: Pair, dilation: Pair
) -> tuple[Array, Array, Array, Array, Array, int, int, int]:
    """The pixels of ``channels`` of x (C, H, W, N) that a kernel (KH, KW) reads, as arguments of
    :mod:`minigrad.cpu.kernels.direct`: x, starts, planes, down, right, h, row_size, n."""
    c, h, w, n = x.shape
    (tops, top, down), (lefts, left, right) = map(_offsets, kernel, padding, stride, dilation)
    images = np.zeros((len(top), len(left)), np.int64)
    if stride != (1, 1):
        x = _images(x, tops, lefts, stride)
        images, (h, w) = top[:, None] * len(lefts) + left, x.shape[3:5]
    plane = h * w * n
    starts = images.reshape(-1) * (c * plane)
    return x.reshape(-1), starts, channels * plane, down, right, h, w * n, n


@functools.cache
def _offsets(kernel: int, padding: int, stride: int, dilation: int) -> tuple[Array, Array, Array]:
    """Along one axis: the remainders r of the images (pixels r, r + s, r + 2 s …) that kernel
    offsets read; for each offset, the index of its image, and its shift in rows of that image."""
    down, remainders = divmod(np.arange(kernel) * dilation - padding, stride)
    return *np.unique(remainders, return_inverse=True), down


def _images(x: Array, tops: Array, lefts: Array, stride: Pair) -> Array:
    """Images of every s-th pixel, starting at each of ``tops`` and ``lefts``: (tops, lefts, C, H/s,
    W/s, N), with zeros where a last row or column lies beyond x."""
    (c, h, w, n), (sh, sw) = x.shape, stride
    images = empty((len(tops), len(lefts), c, -(-h // sh), -(-w // sw), n), x.dtype)

    def task(i: int) -> None:
        a, b = divmod(i // c, len(lefts))
        part, image = x[i % c, tops[a] :: sh, lefts[b] :: sw], images[a, b, i % c]
        tall, wide = part.shape[:2]
        image[:tall, :wide] = part
        image[tall:], image[:, wide:] = 0, 0

    parallel(task, len(tops) * len(lefts) * c, x.size)
    return images


def correlate(
    x: Array, w: Array, b: Array | None, padding: Pair, dilation: Pair, size: Pair
) -> Array:
    """:func:`minigrad.cpu.conv.correlate` at stride 1. ``padding`` is the number of zeros (above,
    to the left); below and to the right there are as many as an output of ``size`` (OH, OW)
    needs."""
    compiled = _compiled(x)
    (o, c, kh, kw), n, (oh, ow) = w.shape, x.shape[3], size
    channels = _channels(c)
    inputs = _inputs(x, channels, (kh, kw), padding, (1, 1), dilation)
    # A channel that occurs twice has half its weights each time. This is exact, except for
    # subnormal weights, and holds where x is infinite.
    filters = np.zeros((-(-o // 4) * 4, kh, kw, len(channels)), x.dtype)
    filters[:o] = w.transpose(0, 2, 3, 1)[..., channels]
    filters /= np.bincount(channels)[channels].astype(x.dtype)
    bias = np.zeros(0, x.dtype) if b is None else b
    y = empty((o, oh, ow, n), x.dtype)
    rows = split_range(oh, 4 * get_num_threads())

    def task(i: int) -> None:
        sums = workspace("sums", (4 * compiled.SUMS_STRIDE,), y.dtype)
        sizes = o, oh, ow * n, rows[i].start, rows[i].stop
        compiled.correlate(*inputs, filters.reshape(-1), bias, *sizes, y.reshape(-1), sums)

    parallel(task, len(rows), w.size * oh * ow * n)
    return y


def weight_gradient(
    x: Array, g: Array, shape: tuple[int, ...], padding: Pair, stride: Pair, dilation: Pair
) -> Array:
    """:func:`minigrad.cpu.conv.weight_gradient`, with ``padding`` as in :func:`correlate`. Each
    thread sums rows of its own, so the rounding is the same from run to run."""
    compiled = _compiled(x)
    (o, c, kh, kw), (oh, ow, n) = shape, g.shape[1:]
    channels, rows = _channels(c), split_range(oh, get_num_threads())
    inputs = _inputs(x, channels, (kh, kw), padding, stride, dilation)
    sums = np.zeros((len(rows), -(-o // 4) * 4, kh, kw, len(channels)), x.dtype)

    def task(i: int) -> None:
        sizes = o, oh, ow * n, rows[i].start, rows[i].stop
        compiled.weight_gradient(*inputs, g.reshape(-1), *sizes, sums[i].reshape(-1))

    parallel(task, len(rows), sums[0].size * oh * ow * n)
    first = np.searchsorted(channels, np.arange(c))
    return np.ascontiguousarray(sums.sum(axis=0)[:o, :, :, first].transpose(0, 3, 1, 2))

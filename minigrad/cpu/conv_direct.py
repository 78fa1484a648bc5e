"""Convolution straight from the image, for layers of few channels.

im2col copies KH·KW times the image, and a matrix product of few rows cannot make up for it. In
batch-innermost memory a row of outputs and everything that one weight multiplies for it are
contiguous runs, so the sums of :func:`minigrad.cpu.conv.correlate` can be taken where the image
lies, without a frame; those of the weights' gradient also at stride s, from s x s images of every
s-th pixel ("space to depth"; forward this measured no faster than matrix products). The loops are
compiled (:mod:`minigrad.cpu.kernels.direct`).
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

MAX_FORWARD, MAX_BACKWARD = 16, 32  # channels: in `correlate`, in `weight_gradient`


def is_supported(x: Array, w_shape: tuple[int, ...], groups: int, most: int) -> bool:
    """True if the kernels are there, and x (C, H, W, N) or the output has ``most`` channels or
    fewer: MAX_FORWARD or MAX_BACKWARD, up to where they measured faster than matrix products."""
    if groups != 1 or x.shape[3] < 4:
        return False
    return min(w_shape[0], w_shape[1]) <= most and kernels("direct", x.dtype) is not None


def _compiled(x: Array) -> ModuleType:
    module = kernels("direct", x.dtype)
    assert module is not None  # see `is_supported`
    return module


@functools.cache
def _channels(count: int) -> Array:
    """0 … count − 1, filled up to a multiple of four by repeating: the last channel once, the last
    two once each, or the last three times."""
    again = ([], [1, 1, 1], [1, 2], [1])[count % 4]
    return np.sort([*range(count), *(count - k for k in again)])


def _inputs(
    x: Array, channels: Array, kernel: Pair, before: Pair, stride: Pair, dilation: Pair
) -> tuple[Array, Array, Array, Array, Array, int, int, int]:
    """What a kernel of (KH, KW) elements reads of ``channels`` of x (C, H, W, N), as
    :mod:`minigrad.cpu.kernels.direct` takes it: x, starts, planes, down, right, h, wide, n."""
    c, h, w, n = x.shape
    (tops, top, down), (lefts, left, right) = map(_offsets, kernel, before, stride, dilation)
    images = np.zeros((len(top), len(left)), np.int64)
    if stride != (1, 1):
        x = _images(x, tops, lefts, stride)
        images, (h, w) = top[:, None] * len(lefts) + left, x.shape[3:5]
    plane = h * w * n
    starts = images.reshape(-1) * (c * plane)
    return x.reshape(-1), starts, channels * plane, down, right, h, w * n, n


@functools.cache
def _offsets(kernel: int, before: int, stride: int, dilation: int) -> tuple[Array, Array, Array]:
    """Along one axis: the remainders r of the images r, r + s, r + 2 s … that some kernel offset
    reads, which of them each offset reads, and how many of its rows after the output's."""
    down, remainders = divmod(np.arange(kernel) * dilation - before, stride)
    return *np.unique(remainders, return_inverse=True), down


def _images(x: Array, tops: Array, lefts: Array, stride: Pair) -> Array:
    """Every s-th pixel from each of ``tops`` and ``lefts`` on: (tops, lefts, C, H/s, W/s, N), with
    zeros where a last row or column is beyond x."""
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
    x: Array, w: Array, b: Array | None, before: Pair, dilation: Pair, size: Pair
) -> Array:
    """As :func:`minigrad.cpu.conv.correlate` at stride 1, with zeros ``before`` x (above, to the
    left), and after it as far as an output of ``size`` (OH, OW) reaches."""
    compiled = _compiled(x)
    (o, c, kh, kw), n, (oh, ow) = w.shape, x.shape[3], size
    channels = _channels(c)
    inputs = _inputs(x, channels, (kh, kw), before, (1, 1), dilation)
    # A channel that is there twice has half its weights each time: exact but for subnormal ones,
    # also where x is infinite.
    filters = np.zeros((-(-o // 4) * 4, kh, kw, len(channels)), x.dtype)
    filters[:o] = w.transpose(0, 2, 3, 1)[..., channels]
    filters /= np.bincount(channels)[channels].astype(x.dtype)
    bias = np.zeros(0, x.dtype) if b is None else b
    y = empty((o, oh, ow, n), x.dtype)
    rows = split_range(oh, 4 * get_num_threads())

    def task(i: int) -> None:
        sums = workspace("sums", (4 * compiled.APART,), y.dtype)
        sizes = o, oh, ow * n, rows[i].start, rows[i].stop
        compiled.correlate(*inputs, filters.reshape(-1), bias, *sizes, y.reshape(-1), sums)

    parallel(task, len(rows), w.size * oh * ow * n)
    return y


def weight_gradient(
    x: Array, g: Array, shape: tuple[int, ...], before: Pair, stride: Pair, dilation: Pair
) -> Array:
    """As :func:`minigrad.cpu.conv.weight_gradient`, with zeros as in :func:`correlate`. Every
    thread adds up rows of its own, so the rounding is the same from run to run."""
    compiled = _compiled(x)
    (o, c, kh, kw), (oh, ow, n) = shape, g.shape[1:]
    channels, rows = _channels(c), split_range(oh, get_num_threads())
    inputs = _inputs(x, channels, (kh, kw), before, stride, dilation)
    sums = np.zeros((len(rows), -(-o // 4) * 4, kh, kw, len(channels)), x.dtype)

    def task(i: int) -> None:
        sizes = o, oh, ow * n, rows[i].start, rows[i].stop
        compiled.weight_gradient(*inputs, g.reshape(-1), *sizes, sums[i].reshape(-1))

    parallel(task, len(rows), sums[0].size * oh * ow * n)
    first = np.searchsorted(channels, np.arange(c))
    return np.ascontiguousarray(sums.sum(axis=0)[:o, :, :, first].transpose(0, 3, 1, 2))

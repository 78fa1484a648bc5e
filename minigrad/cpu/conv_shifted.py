"""Convolution of few images at stride 1, compiled: forward and its two gradients.

With few images the runs of pixels that :mod:`minigrad.cpu.conv_direct` gathers are short, and
gathering takes longer than multiplying. Here the image is copied once, into a frame of zeros, in
which every kernel offset reads the same pixels shifted (:mod:`minigrad.cpu.kernels.shifted`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops.conv import Pair, Window, flip_filters
from .compiled import kernels
from .conv_direct import all_taps, packed_filters
from .threads import MIN_PARALLEL_SIZE, distribute, get_num_threads, split_range, workspace

LONGEST_ROW = 256  # elements of a row of pixels, W·N, up to which this measured faster
MIN_PRODUCTS = 1 << 23  # below, handing them to threads costs more than it saves
SUMS_BYTES = 1 << 10  # of one filter that are computed together, in whole rows
BLOCKS = 32  # of elements of a weight gradient that are summed together


def is_supported(x: Array, window: Window, padding: Pair, groups: int) -> bool:
    """True if this serves x (C, H, W, N), or its gradient, and measured faster than
    :mod:`minigrad.cpu.conv_direct`."""
    if x.shape[2] * x.shape[3] > LONGEST_ROW or groups > 1 or window.stride != (1, 1):
        return False
    return all(p < reach for p, reach in zip(padding, window.reach, strict=True))


def _compiled(x: Array) -> ModuleType:
    module = kernels("shifted", x.dtype)
    assert module is not None  # see `minigrad.cpu.conv`
    return module


class _Frame(NamedTuple):
    """Channels with zeros around, flat, of ``plane`` elements each."""

    flat: Array
    channels: int
    plane: int


def _frame(x: Array, before: int, row: int, size: int, align: int = 1) -> _Frame:
    """x (C, H, W, N) in a frame with ``row`` elements from one row to the next and at least
    ``size`` per channel, the first pixel at ``before``, and as many channels as a multiple of
    ``align``."""
    c, h, w, n = x.shape
    plane = -(-max(size, before + h * row) // 16) * 16  # the kernel writes zeros behind each row
    plane += 16 * (plane % 1024 == 0)  # channels a power of two apart share sets of a cache
    channels = -(-c // align) * align
    flat = empty((channels * plane,), x.dtype)
    flat[c * plane :] = 0
    _compiled(x).frame(x.reshape(-1), c, h, w * n, before, row, plane, flat)
    return _Frame(flat, channels, plane)


@functools.lru_cache(maxsize=256)  # the same few in every step
def _shifts(window: Window, row: int, n: int) -> Array:
    """How many elements behind an output's place each kernel offset reads."""
    (kh, kw), (dh, dw) = window.kernel, window.dilation
    return (np.arange(kh)[:, None] * (dh * row) + np.arange(kw) * (dw * n)).reshape(-1)


def _threads(products: int) -> int:
    return 1 if products < MIN_PRODUCTS else get_num_threads()


def correlate(
    x: Array, w: Array, b: Array | None, padding: Pair, window: Window, groups: int
) -> Array:
    """:func:`minigrad.cpu.conv_direct.correlate`."""
    compiled = _compiled(x)
    (c, h, wide, n), o = x.shape, len(w)
    rows, row = h + 2 * padding[0], (wide + 2 * padding[1]) * n
    oh, ow = window.output(rows, wide + 2 * padding[1])
    lanes = compiled.BLOCK_BYTES // 2 // x.itemsize
    frame = _frame(x, padding[0] * row + padding[1] * n, row, rows * row + lanes)
    packed = packed_filters(w.reshape(o, c, -1), all_taps(padding, window))
    bias = np.zeros(o + -o % compiled.ROWS, x.dtype)
    if b is not None:
        bias[:o] = b
    y = empty((o, oh, ow, n), x.dtype)
    threads = _threads(packed.size * oh * row)
    across = -(-ow * n // lanes)
    together = max(1, min(-(-oh // threads), SUMS_BYTES // (across * lanes * x.itemsize)))
    parts = split_range(oh, -(-oh // together))
    pitch = -(-together * across // 2) * 2 * lanes
    shifts = _shifts(window, row, n)

    def work(numbers: Iterable[int]) -> None:
        sums = workspace("sums", (compiled.ROWS * pitch,), x.dtype)
        for i in numbers:
            compiled.correlate(
                frame.flat, frame.plane, row, c, shifts, packed, bias,
                o, oh, ow * n, parts[i].start, parts[i].stop, y.reshape(-1), sums,
            )  # fmt: skip

    distribute(work, len(parts), MIN_PARALLEL_SIZE if threads > 1 else 0)
    return y


def input_gradient(
    g: Array, w: Array, size: Pair, padding: Pair, window: Window, groups: int
) -> Array:
    """:func:`minigrad.cpu.conv_direct.input_gradient`: the correlation of g with the flipped
    filters."""
    height, width = (reach - 1 - p for reach, p in zip(window.reach, padding, strict=True))
    return correlate(g, flip_filters(w, groups), None, (height, width), window, groups)


def weight_gradient(
    x: Array, g: Array, shape: tuple[int, ...], padding: Pair, window: Window, groups: int
) -> Array:
    """:func:`minigrad.cpu.conv_direct.weight_gradient`. Each thread sums filters of its own.

    Between rows of g lie zeros, which multiply pixels too. So infinity or NaN in x gives NaN to all
    filters of its channel, also to weights that never meet it.
    """
    compiled = _compiled(x)
    (o, c, kh, kw), (h, wide, n), oh = shape, x.shape[1:], g.shape[1]
    rows, row = h + 2 * padding[0], (wide + 2 * padding[1]) * n
    block = compiled.BLOCK_BYTES // x.itemsize
    size = -(-oh * row // block) * block
    across = compiled.lines(x.itemsize)
    before = padding[0] * row + padding[1] * n
    images = _frame(x, before, row, (rows + 1) * row + block, across)
    gradient = _frame(g, 0, row, size, compiled.LINES)
    shifts = _shifts(window, row, n)
    width = len(shifts) * images.channels
    sums = np.zeros((gradient.channels, width), x.dtype)
    shares = split_range(gradient.channels, _threads(sums.size * size), compiled.LINES)

    def work(numbers: Iterable[int]) -> None:
        for i in numbers:
            for start in range(0, size, BLOCKS * block):
                stop = min(start + BLOCKS * block, size)
                compiled.weight_gradient(
                    images.flat, images.plane, images.channels, shifts, gradient.flat,
                    gradient.plane, shares[i].start, shares[i].stop, start, stop,
                    sums.reshape(-1), width,
                )  # fmt: skip

    distribute(work, len(shares), MIN_PARALLEL_SIZE)
    found = sums[:o].reshape(o, kh, kw, images.channels)[..., :c]
    return np.ascontiguousarray(found.transpose(0, 3, 1, 2))

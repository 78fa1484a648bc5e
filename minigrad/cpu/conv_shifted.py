"""Convolution of few images or channels, compiled: forward and its two gradients.

With few images the runs of pixels that :mod:`minigrad.cpu.conv_direct` gathers are short, and with
few channels there is little to multiply them with, so gathering takes much of the time. Here the
image is copied once, into a frame of zeros, in which every kernel offset reads the same pixels
shifted (:mod:`minigrad.cpu.kernels.shifted`). Filters are read where they lie.

What follows from shapes and options is kept: working it out would take Python longer than one
small image takes to convolve.
"""

from __future__ import annotations

import functools
import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops.conv import Pair, Window
from .compiled import kernels
from .threads import PRODUCTS, Scratch, get_num_threads, launch, table_of

LONGEST_ROW = 256  # elements of a row of pixels, W·N, up to which this measured faster
MIN_PRODUCTS = 1 << 19  # below, handing them to threads costs more than it saves
SUMS_BYTES = 1 << 10  # of one filter that are computed together, in whole rows
FRAME_BYTES = 1 << 19  # of a frame, about, to fit a core's cache
DENSE = 0.8  # share of vectors that whole rows fill, below which these follow each other
SUMMED = 1 << 12  # bytes of an output's gradient that are summed together
FEW_CHANNELS = 32  # up to which, and up to RESULT_BYTES of the rows that an output reads, results
RESULT_BYTES = 1 << 20  # alone measured faster

Taps = tuple[Pair, ...]  # along one axis: kernel offsets, and the pixel that output 0 reads


def is_supported(x: Array, groups: int) -> bool:
    """True if this serves x (C, H, W, N), or its gradient, and measured faster than
    :mod:`minigrad.cpu.conv_direct`."""
    return groups == 1 and x.shape[2] * x.shape[3] <= LONGEST_ROW


def serves_results(image: tuple[int, ...], kernel: Pair, stride: Pair, groups: int) -> bool:
    """True if this serves :func:`correlate`, but not the gradients, for filters of size ``kernel``
    at ``stride`` in an ``image`` (C, H, W, N) of float32, and measured faster."""
    c, _, wide, n = image
    read = c // groups * min(kernel[0], image[1]) * wide * n * 4
    return stride == (1, 1) and c // groups <= FEW_CHANNELS and read <= RESULT_BYTES


def fills_vectors(pixels: int, dtype: np.dtype[Any]) -> bool:
    """True if vectors of outputs are mostly full, so that this measured faster than
    :mod:`minigrad.cpu.conv_rows`, but for the gradient of filters."""
    block = _compiled(dtype).BLOCK_BYTES // dtype.itemsize
    return pixels >= 0.75 * block * -(-pixels // block)


def _compiled(dtype: np.dtype[Any]) -> ModuleType:
    module = kernels("shifted", dtype)
    assert module is not None  # see `minigrad.cpu.conv`
    return module


class _Frame:
    """Where the pixels of an image (C, H, W, N) lie in its frame, and where taps read them.

    Args:
        taps: down and right.
        size: outputs (OH, OW).
        rows: of outputs for which the frame has pixels.
        width: numbers of a filter in each of its rows.
        slack: elements to read behind the last ones.
        dense: whether each column of taps has its own image in the frame, in which no zeros lie
            between the rows that it reads.
    """

    def __init__(
        self,
        image: tuple[int, ...],
        taps: tuple[Taps, Taps],
        stride: Pair,
        size: Pair,
        rows: int,
        width: int,
        slack: int,
        dense: bool = False,
    ) -> None:
        self.image, n = image, image[3]
        lowest = [min(pixel for _, pixel in axis) for axis in taps]
        # Of each tap the image that it reads, counted from `lowest`, and how far on.
        down, right = (
            [(k, *divmod(pixel - low, s)[::-1]) for k, pixel in axis]
            for axis, low, s in zip(taps, lowest, stride, strict=True)
        )
        if dense:
            right = [(k, pixel - lowest[1], 0) for k, pixel in taps[1]]
        self.more, beside = (max(on for *_, on in axis) for axis in (down, right))
        images = [sorted({image for _, image, _ in axis}) for axis in (down, right)]
        self.tops, self.lefts = (
            np.array([low + i for i in axis]) for low, axis in zip(lowest, images, strict=True)
        )
        self.row, pitch = (size[1] + beside) * n, rows + self.more
        one = pitch * self.row
        plane = -(-(len(self.tops) * len(self.lefts) * one + slack) // 16) * 16
        self.plane = plane + 16 * (plane % 1024 == 0)  # a power of two apart share sets of a cache
        self.where = *stride, pitch, self.row, self.plane
        self.places = np.array([k * width + m for k, *_ in down for m, *_ in right])
        self.shifts = np.array(
            [
                (images[0].index(i) * len(self.lefts) + images[1].index(j)) * one
                + below * self.row + along * n
                for _, i, below in down
                for _, j, along in right
            ]
        )  # fmt: skip


class _Shape(NamedTuple):
    """A convolution as :func:`minigrad.cpu.kernels.shifted.correlate` gets it, without its arrays.

    Attributes:
        products: the number of multiplications of all filters.
        parts: (first, last + 1) of the rows of outputs that are computed together.
        scratch: the number of elements of scratch memory.
    """

    frame: _Frame
    products: int
    outputs: int
    layout: tuple[int, ...]
    parts: Array
    together: int
    scratch: int


Limits = tuple[int, int, int, int]


def _limits(groups: int) -> Limits:
    """The settings on which the shape of a convolution depends, for each group."""
    return MIN_PRODUCTS // groups, SUMS_BYTES, FRAME_BYTES, -(-get_num_threads() // groups)


def _shape(
    image: tuple[int, ...],
    taps: tuple[Taps, Taps],
    stride: Pair,
    width: int,
    outputs: int,
    size: Pair,
    layout: tuple[int, ...],
    dtype: np.dtype[Any],
    limits: Limits,
) -> _Shape:
    """The shape of a convolution with ``outputs`` filters and results of ``size`` (OH, OW)."""
    compiled, (least, sums, frame_bytes, threads) = _compiled(dtype), limits
    lanes = compiled.BLOCK_BYTES // 2 // dtype.itemsize
    options, length = (image, taps, stride, size), size[1] * image[3]
    dense = len(taps[1]) > 1 and length < DENSE * -(-length // lanes) * lanes
    whole = _Frame(*options, size[0], width, lanes, dense)
    products = outputs * math.prod(image) * len(whole.places)
    threads = 1 if products < least else threads
    share = image[0] * whole.plane * dtype.itemsize // threads
    parts = table_of(size[0], threads * -(-share // frame_bytes))
    rows = int((parts[:, 1] - parts[:, 0]).max())
    frame = _Frame(*options, rows, width, lanes, dense)
    if frame.row > length:
        length = -(-length // lanes) * lanes
    together = max(1, min(rows, sums // (length * dtype.itemsize)))
    pitch = -(-together * length // (2 * lanes)) * 2 * lanes
    scratch = image[0] * frame.plane + compiled.ROWS * pitch
    return _Shape(frame, products, outputs, layout, parts, together, scratch)


@functools.lru_cache(maxsize=1024)  # the same few in every step
def _forward(
    image: tuple[int, ...],
    outputs: int,
    padding: Pair,
    window: Window,
    dtype: np.dtype[Any],
    limits: Limits,
) -> tuple[Pair, _Shape]:
    oh, ow = window.output(image[1:3], padding)
    n = image[3]
    layout = ow, 0, oh * ow * n, ow * n, n
    taps = _taps(padding, window)
    options = taps, window.stride, window.kernel[1], outputs, (oh, ow), layout, dtype, limits
    return (oh, ow), _shape(image, *options)


def _taps(padding: Pair, window: Window) -> tuple[Taps, Taps]:
    down, right = (
        tuple((k, k * d - p) for k in range(size))
        for size, d, p in zip(window.kernel, window.dilation, padding, strict=True)
    )
    return down, right


@functools.lru_cache(maxsize=1024)
def _backward(
    image: tuple[int, ...],
    outputs: int,
    size: Pair,
    padding: Pair,
    window: Window,
    dtype: np.dtype[Any],
    limits: Limits,
) -> tuple[list[_Shape], bool]:
    """The convolutions of g, ``image``, whose results are the pixels of each phase of dL/dx; and
    whether these are all."""
    (h, wide), n, stride = size, image[3], window.stride
    found = []
    phases = [(a, b) for a in range(min(stride[0], h)) for b in range(min(stride[1], wide))]
    for a, b in phases:
        # Pixel s i + a was read by the offsets k with a + p − d k divisible by s.
        down, right = (
            tuple(
                (k, (start + p - k * d) // s) for k in range(kernel) if not (start + p - k * d) % s
            )
            for start, p, d, s, kernel in zip(
                (a, b), padding, window.dilation, stride, window.kernel, strict=True
            )
        )
        if down and right:
            out = -(-(h - a) // stride[0]), -(-(wide - b) // stride[1])
            steps = h * wide * n, stride[0] * wide * n, stride[1] * n
            layout = out[1], (a * wide + b) * n, *steps
            options = window.kernel[1], outputs, out, layout, dtype, limits
            found.append(_shape(image, (down, right), (1, 1), *options))
    return found, len(found) == len(phases)


def _run(
    shape: _Shape, x: Array, w: Array, steps: Pair, bias: Array | None, y: Array, groups: int
) -> None:
    """Write the pixels of y (C, ...) that ``shape`` says for each group: w has ``steps`` from
    filter to filter and from channel to channel."""
    compiled, frame, count = _compiled(x.dtype), shape.frame, len(shape.parts)
    filters, pixels, to = (a.reshape(groups, -1) for a in (np.ascontiguousarray(w), x, y))
    first = np.zeros(groups * shape.outputs, x.dtype) if bias is None else bias
    starts = np.ascontiguousarray(first).reshape(groups, -1)
    launch(
        compiled.correlate, groups * count, groups * shape.products // PRODUCTS,
        pixels, frame.image, frame.where, frame.tops, frame.lefts, filters, *steps, frame.places,
        frame.shifts, starts, shape.outputs, to, shape.layout, shape.parts, frame.more,
        shape.together, Scratch("frame", shape.scratch, x.dtype), parts=groups * count,
    )  # fmt: skip


def correlate(
    x: Array, w: Array, b: Array | None, padding: Pair, window: Window, groups: int
) -> Array:
    """:func:`minigrad.cpu.conv_direct.correlate`."""
    o, c, kh, kw = w.shape
    options = o // groups, padding, window, x.dtype, _limits(groups)
    size, shape = _forward((c, *x.shape[1:]), *options)
    y = empty((o, *size, x.shape[3]), x.dtype)
    _run(shape, x, w, (c * kh * kw, kh * kw), b, y, groups)
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
    """:func:`minigrad.cpu.conv_direct.input_gradient`: correlations of g, one for each phase of the
    strides."""
    o, c, kh, kw = w.shape
    options = c, size, padding, window, g.dtype, _limits(groups)
    shapes, all_pixels = _backward((o // groups, *g.shape[1:]), *options)
    gx = empty((groups * c, *size, g.shape[3]), g.dtype)
    if not all_pixels:
        gx[...] = 0 if b is None else b[:, None, None, None]
    for shape in shapes:
        _run(shape, g, w, (kh * kw, c * kh * kw), b, gx, groups)
    return gx


@functools.lru_cache(maxsize=1024)
def _weights(
    image: tuple[int, ...],
    gradient: tuple[int, ...],
    padding: Pair,
    window: Window,
    dtype: np.dtype[Any],
) -> tuple[_Frame, _Frame, int]:
    """The frames of x and of g, and the elements of a channel to multiply."""
    compiled, size = _compiled(dtype), (gradient[1], gradient[2])
    block = compiled.BLOCK_BYTES // dtype.itemsize  # two vectors
    taps, width = _taps(padding, window), window.kernel[1]
    row = _Frame(image, taps, window.stride, size, size[0], width, 0).row
    elements = -(-size[0] * row // block) * block
    slack = elements - size[0] * row + max(row, block)
    images = _Frame(image, taps, window.stride, size, size[0], width, slack)
    one = ((0, 0),), ((0, 0),)
    wide = size[0], row // image[3]  # rows as long as those of x
    return images, _Frame(gradient, one, (1, 1), wide, size[0], 1, slack), elements


def weight_gradient(
    x: Array, g: Array, shape: tuple[int, ...], padding: Pair, window: Window, groups: int
) -> Array:
    """:func:`minigrad.cpu.conv_direct.weight_gradient`. Each thread sums filters of its own.

    Between rows of g lie zeros, which multiply pixels too. So infinity or NaN in x gives NaN to all
    filters of its channel, also to weights that never meet it.
    """
    compiled, (o, c, kh, kw) = _compiled(x.dtype), shape
    images, gradient, size = _weights(x.shape, g.shape, padding, window, x.dtype)
    channels = _up(c, compiled.lines(x.itemsize))
    framed = empty((channels * images.plane,), x.dtype)
    framed[c * images.plane :] = 0
    compiled.fill(
        x.reshape(-1), images.image, images.where, images.tops, images.lefts, framed
    )  # fmt: skip
    width, step, gw = kh * kw * channels, SUMMED // x.itemsize, empty(shape, x.dtype)
    threads = 1 if o * width * size < MIN_PRODUCTS else get_num_threads()
    parts = table_of(o, threads, compiled.LINES)
    rows = _up(int((parts[:, 1] - parts[:, 0]).max()), compiled.LINES)
    launch(
        compiled.weight_gradient, len(parts), o * width * size // PRODUCTS,
        framed, images.plane, channels, images.shifts, g.reshape(-1), g.shape, gradient.where,
        gradient.tops, size, step, gw.reshape(-1), c, parts,
        Scratch("frame", rows * (gradient.plane + width), x.dtype), parts=len(parts),
    )  # fmt: skip
    return gw


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple

"""Pooling of images in C order on the CPU, where they lie: other code would first copy them to
batch-innermost memory, which takes longer. The results are in C order, too."""

from __future__ import annotations

import functools
import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..device import Array
from ..memory import empty, zeros
from ..ops.adaptive_pool import _adaptive_max_pool2d
from ..ops.conv import Pair, Window
from ..ops.pool import _adaptive_avg_pool2d, _avg_pool2d, _max_pool2d, lowest
from ..ops.reduce import spread
from ..sums import MAX_RUN
from ..tape import Backward
from .compiled import kernels
from .elementwise import contiguous
from .threads import Scratch, launch, parallel, split_range, threads_for

NARROWEST = 8  # columns of an image
SHORTEST_RUN = 8  # numbers that are summed as a run of memory


class _Plan(NamedTuple):
    """What :mod:`minigrad.cpu.kernels.planes` gets beside arrays, and the rest of a window's
    geometry.

    Attributes:
        length: of the scratch memory for a row of outputs.
        ranges: of each column of outputs, the first column of the image that it reads, and how
            many.
        owners: of each row of the image, the first row of outputs that read it, and how many.
        doubled: how often a row of outputs must be to become one of the image, or 0 if it cannot.
    """

    rows: Array
    columns: Array
    shifts: Array
    split: bool
    even: int
    odd: int
    length: int
    ranges: Array
    owners: Array
    doubled: int

    @property
    def across(self) -> tuple[Any, ...]:
        return self[:6]


def _cropped(starts: Array, ends: Array, size: int) -> Array:
    """The ranges inside an axis of ``size``: where each begins, and how long it is."""
    low, high = np.clip(starts, 0, size), np.clip(ends, 0, size)
    return np.stack([low, high - low], axis=1)


def _plan(
    size: Pair, out: Pair, rows: Array, ranges: Array, across: tuple[int, int, int, int], lanes: int
) -> _Plan:
    """``across`` holds the number of columns of a window, their distance, that of windows, and the
    padding; a distance of 0 stands for windows of any ``ranges``."""
    (_, w), (_, ow), (wide, apart, stride, pad) = size, out, across
    phases = stride if stride == 2 else 1
    up = lambda n: -(-n // (2 * lanes)) * 2 * lanes  # noqa: E731
    reach = (up(ow) - 1) * max(1, stride) + (wide - 1) * apart + 1
    half = up(-(-max(pad + up(w), reach) // phases) + 1)
    shifts, columns = np.zeros(0, np.int64), np.zeros((ow, 2), np.int64)
    if stride in (1, 2):
        taps = np.arange(wide) * apart
        shifts = taps % phases * half + taps // phases
    elif stride:
        columns[:, 0], columns[:, 1] = np.arange(ow) * stride, wide
    else:
        columns = ranges
    even, odd = pad, 0
    if phases == 2:
        even, odd = pad // 2, half + pad // 2
        if pad % 2:
            even, odd = odd, even + 1
    reading = np.arange(size[0])[:, None]
    reads = (rows[:, 0] <= reading) & (reading < rows[:, 0] + rows[:, 1])
    owners = np.stack([reads.argmax(axis=1), reads.sum(axis=1)], axis=1)
    length = phases * half + 2 * lanes
    exact = (
        w % ow == 0 and (ranges == np.arange(0, w, w // ow)[:, None] * (1, 0) + (0, w // ow)).all()
    )
    times = (w // ow).bit_length() - 1
    doubled = times if exact and w == ow << times else 0
    return _Plan(rows, columns, shifts, phases == 2, even, odd, length, ranges, owners, doubled)


@functools.lru_cache(maxsize=1024)  # the same few in every step
def _windows(size: Pair, window: Window, pads: Pair, out: Pair, lanes: int) -> _Plan | None:
    """Of windows of an image of ``size``, if each of them has a pixel and the kernels serve."""
    (kh, kw), (sh, sw), (dh, dw) = window.kernel, window.stride, window.dilation
    if sw > 2 and dw > 1:
        return None
    tops = np.arange(out[0]) * sh - pads[0]
    missing = -(np.minimum(tops, 0) // dh)  # rows above the image
    first = tops + missing * dh
    there = np.clip(-((first - size[0]) // dh), 0, kh - missing)
    if there.min() < 1:
        return None
    rows = np.stack([first, there, missing * kw, np.zeros_like(tops)], axis=1)
    lefts = np.arange(out[1]) * sw - pads[1]
    ranges = _cropped(lefts, lefts + kw, size[1])
    return _plan(size, out, rows, ranges, (kw, dw, sw, pads[1]), lanes)


@functools.lru_cache(maxsize=1024)
def _cells(size: Pair, out: Pair, lanes: int) -> tuple[_Plan, Array]:
    """Of cells that cover an image of ``size`` evenly, and their numbers of pixels."""
    w, steps = size[1], [np.arange(n) for n in out]
    rows, ranges = (
        _cropped(step * n // o, -(-(step + 1) * n // o), n)
        for step, n, o in zip(steps, size, out, strict=True)
    )
    place = rows[:, :1] * w
    plan = _plan(size, out, np.hstack([rows, place, place]), ranges, (1, 1, 0, 0), lanes)
    return plan, np.outer(rows[:, 1], ranges[:, 1])


def _fast(x: Array) -> ModuleType:
    module = kernels("planes", x.dtype)
    assert module is not None  # see `serves`
    return module


def serves(x: Array) -> bool:
    """Whether images are in C order and kernels serve."""
    fits = x.flags.c_contiguous and x.shape[3] >= NARROWEST
    return fits and kernels("planes", x.dtype) is not None


def _lanes(x: Array) -> int:
    lanes: int = _fast(x).WIDTH // x.itemsize
    return lanes


def _plan_of(x: Array, window: Window, pads: Pair, out: Pair) -> _Plan | None:
    return _windows(x.shape[2:], window, pads, out, _lanes(x))


def _is_short(dtype: np.dtype[Any], *terms: int) -> bool:
    """Whether so many numbers may be added one by one in their own dtype."""
    return dtype.itemsize > 4 or max(terms) <= MAX_RUN


def _run(kernel: Any, x: Array, y: Array, *args: Any) -> None:
    """Run ``kernel(*args)`` for all planes of x and y."""
    launch(kernel, math.prod(x.shape[:2]), max(x.size, y.size), *args)


def _scratch(name: str, length: int, dtype: Any) -> Scratch:
    return Scratch(name, length, np.dtype(dtype))


# ---------------------------------------------------------------------------- means


def _mean(x: Array, plan: _Plan, out: Pair, scale: Array) -> Array:
    """The sums of the windows of ``plan`` times ``scale``, as many and a vector more."""
    fast, (n, c, h, w) = _fast(x), x.shape
    y = empty((n, c, *out), x.dtype)
    scratch = _scratch("row", plan.length, x.dtype)
    options = h, w, *plan.across, scale, scratch
    _run(fast.mean, x, y, x.reshape(-1), *options, y.reshape(-1))
    return y


def _share(g: Array, plan: _Plan, size: Pair, scale: Array) -> Array:
    """The derivative of :func:`_mean`."""
    fast, (n, c, oh, _), (h, w) = _fast(g), g.shape, size
    gx = empty((n, c, *size), g.dtype)
    room = 2 * _lanes(g)
    scratch = _scratch("rows", (oh + 2) * (w + room) + room, g.dtype)
    options = h, w, oh, plan.owners, plan.ranges, plan.doubled, scale, scratch
    _run(fast.share, g, gx, g.reshape(-1), *options, gx.reshape(-1))
    return gx


def picked(x: Array, stride: Pair, out: Pair) -> Array:
    """Every s-th pixel of x, (N, C, *out), if :func:`serves`."""
    plan = _plan_of(x, Window((1, 1), stride), (0, 0), out)
    assert plan is not None  # each window is a pixel
    return _mean(x, plan, out, _padded(np.ones(out), x))


def put_back(g: Array, stride: Pair, size: Pair) -> Array:
    """The derivative of :func:`picked`: the pixels of g, and zeros between them."""
    places = zeros((g.size + _lanes(g),), np.uint8)  # the first of each window
    return _spread(g, places, size, Window(stride, stride), (0, 0))


def _padded(scale: Array, x: Array) -> Array:
    """``scale`` in the dtype of x, and a vector of ones."""
    return np.append(scale, np.ones(_lanes(x))).astype(x.dtype)


def _averages(x: Array, *, window: Window, pads: Pair, out: Pair, divisor: Array) -> bool:
    if not (serves(x) and _is_short(x.dtype, *window.kernel)):
        return False
    return _plan_of(x, window, pads, out) is not None


@_avg_pool2d.on("cpu", when=_averages)
def avg_pool2d(
    x: Array, *, window: Window, pads: Pair, out: Pair, divisor: Array
) -> tuple[Array, Backward]:
    """One pass forward and one backward."""
    plan, size = _plan_of(x, window, pads, out), x.shape[2:]
    assert plan is not None  # see `_averages`
    scale = 1 / divisor
    padded = _padded(scale, x)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = contiguous(g)
        if window.stride == (1, 1) and (scale == scale[0, 0]).all():
            # A pixel's gradient is the mean of a window of g.
            around = window.kernel[0] - 1 - pads[0], window.kernel[1] - 1 - pads[1]
            back = _windows(out, window, around, size, _lanes(x))
            if back is not None:
                return (_mean(g, back, size, _padded(np.full(size, scale[0, 0]), x)),)
        return (_share(g, plan, size, padded),)

    return _mean(x, plan, out, padded), backward


def _lies_in_runs(x: Array, *, out: Pair) -> bool:
    """Whether each cell is one piece of memory, and kernels serve."""
    (h, w), (oh, ow) = x.shape[2:], out
    runs = (ow == 1 and h % oh == 0) or (oh == h and w % ow == 0 and w >= SHORTEST_RUN * ow)
    return runs and x.flags.c_contiguous and kernels("planes", x.dtype) is not None


@_adaptive_avg_pool2d.on("cpu", when=_lies_in_runs)
def mean_of_runs(x: Array, *, out: Pair) -> tuple[Array, Backward]:
    """Sums of runs of memory."""
    fast, size, flat = kernels("reduce", x.dtype), x.shape[2:], x.reshape(-1)
    assert fast is not None  # see `_lies_in_runs`
    n = math.prod(size) // math.prod(out)
    sums = np.empty(x.size // n)
    launch(fast.sums, sums.size, x.size, sums, flat, n, False)
    y = (sums / n).astype(x.dtype).reshape(*x.shape[:2], *out)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        if out == (1, 1):
            return (spread(g / g.dtype.type(n), (*g.shape[:2], *size), (2, 3)),)
        plan, pixels = _cells(size, out, _lanes(g))
        return (_share(contiguous(g), plan, size, _padded(1 / pixels, g)),)

    return y, backward


def _averages_cells(x: Array, *, out: Pair) -> bool:
    if not serves(x):
        return False
    return _is_short(x.dtype, *(-(-n // o) + 1 for n, o in zip(x.shape[2:], out, strict=True)))


@_adaptive_avg_pool2d.on("cpu", when=_averages_cells)
def adaptive_avg_pool2d(x: Array, *, out: Pair) -> tuple[Array, Backward]:
    """One pass forward and one backward."""
    size = x.shape[2:]
    plan, pixels = _cells(size, out, _lanes(x))
    scale = _padded(1 / pixels, x)
    y = _mean(x, plan, out, scale)
    return y, lambda g, needs: (_share(contiguous(g), plan, size, scale),)


# ---------------------------------------------------------------------------- maxima


def _largest(
    x: Array, plan: _Plan, out: Pair, options: tuple[int, int, int, int], dtype: Any
) -> tuple[Array, Array]:
    """The largest numbers of the windows of ``plan``; and their places, as ``dtype``, flat, and a
    vector more."""
    fast, (n, c, h, w) = _fast(x), x.shape
    y = empty((n, c, *out), x.dtype)
    places = empty((y.size + _lanes(x),), dtype)
    scratch, where, spare = (
        _scratch("row", plan.length, x.dtype),
        _scratch("places of a row", plan.length, f"i{x.itemsize}"),
        _scratch("places", _lanes(x), dtype),
    )
    given = h, w, *plan.across, *options, lowest(x.dtype), scratch, where, spare
    _run(fast.largest, x, y, x.reshape(-1), *given, y.reshape(-1), places)
    return y, places


def _maxima(x: Array, *, window: Window, pads: Pair, out: Pair) -> bool:
    if not serves(x) or math.prod(window.kernel) > 256:
        return False
    return _plan_of(x, window, pads, out) is not None


@_max_pool2d.on("cpu", when=_maxima)
def max_pool2d(x: Array, *, window: Window, pads: Pair, out: Pair) -> tuple[Array, Backward]:
    """One pass forward, and backward a sum at the place of each maximum."""
    plan, (h, w) = _plan_of(x, window, pads, out), x.shape[2:]
    assert plan is not None  # see `_maxima`
    options = 0, window.dilation[0] * w, window.kernel[1], 0
    y, places = _largest(x, plan, out, options, np.uint8)

    return y, lambda g, needs: (_spread(contiguous(g), places, (h, w), window, pads),)


def _spread(g: Array, places: Array, size: Pair, window: Window, pads: Pair) -> Array:
    """The derivative of :func:`_largest`."""
    fast, (n, c, *out), w = _fast(g), g.shape, size[1]
    gx = empty((n, c, *size), g.dtype)
    (kh, kw), plain = window.kernel, window == Window(window.kernel, window.kernel)
    tiled = plain and pads == (0, 0) and kw == 2 and size == (kh * out[0], kw * out[1])
    scratch = _scratch("row", 2 * _lanes(g), g.dtype)
    options = *size, *out, tiled, window.stride, pads, _steps(window, w), scratch
    _run(fast.spread, g, gx, g.reshape(-1), places, *options, gx.reshape(-1))
    return gx


@functools.lru_cache(maxsize=256)
def _steps(window: Window, width: int) -> Array:
    """How far from a window's first pixel each lies in an image of that width."""
    (kh, kw), (down, right) = window.kernel, window.dilation
    steps = np.arange(kh)[:, None] * (down * width) + np.arange(kw) * right
    return steps.reshape(-1).astype(np.uint64)


@_adaptive_max_pool2d.on("cpu", when=lambda x, **_: serves(x))
def adaptive_max_pool2d(x: Array, *, out: Pair) -> tuple[Array, Backward]:
    """One pass forward, and backward a sum at the place of each maximum."""
    n, c, h, w = x.shape
    plan, _ = _cells((h, w), out, _lanes(x))
    y, places = _largest(x, plan, out, (plan.doubled, w, w, 1), np.int32)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        gx = empty((n, c, h, w), g.dtype)
        flat, to = contiguous(g).reshape(-1), gx.reshape(-1)
        cells, pixels = math.prod(out), h * w
        pool = kernels("pool", g.dtype)
        assert pool is not None  # see `serves`

        parts = split_range(n * c, threads_for(gx.size))

        def task(i: int) -> None:
            part = parts[i]
            own = slice(part.start * cells, part.stop * cells)
            sums = to[part.start * pixels : part.stop * pixels]
            options = part.stop - part.start, pixels, 1, cells
            pool.spread_from_cells(flat[own], places[own], *options, sums)

        parallel(task, len(parts), gx.size)
        return (gx,)

    return y, backward

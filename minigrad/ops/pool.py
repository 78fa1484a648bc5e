"""Pooling: maxima and means of windows. Arrays inside are batch-innermost, (C, H, W, N)."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np

from .. import check
from ..cpu.compiled import kernels
from ..cpu.elementwise import scratch
from ..cpu.threads import get_num_threads, parallel, split_range, workspace
from ..device import Array, get_xp
from ..gpu import launch as cuda
from ..gpu.capture import constant
from ..layout import from_batch_last, to_batch_last
from ..memory import empty, zeros
from ..sums import adding_dtype, in_float32, total
from ..tape import Backward, op
from ..tensor import Tensor
from .conv import Pair, Window


def _output(size: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> int:
    """Window positions along one axis; in ceil mode the last window must start inside the input
    or its left padding (PyTorch's rule)."""
    span = size + 2 * padding - kernel
    n = (-(-span // stride) if ceil_mode else span // stride) + 1
    return n - 1 if ceil_mode and (n - 1) * stride >= size + padding else n


def _channels(x: Array) -> tuple[slice, ...]:
    """Blocks of channels that fit a core's cache on the CPU, at least one per core."""
    if not isinstance(x, np.ndarray):
        return (slice(0, len(x)),)
    return split_range(len(x), max(get_num_threads(), x.nbytes // (1 << 19)))


def _framed(x: Array, window: Window, pads: Pair, out: Pair, fill: float) -> Array:
    """x inside ``fill``, exactly as large as the windows reach; x itself where nothing is added."""
    need = tuple((o - 1) * s + r for o, s, r in zip(out, window.stride, window.reach, strict=True))
    c, h, w, n = x.shape
    if pads == (0, 0) and need[0] <= h and need[1] <= w:
        return x
    size = tuple(max(a, b + p) for a, b, p in zip(need, (h, w), pads, strict=True))
    y = empty((c, *size, n), x.dtype, get_xp(x))
    y[...] = fill
    y[:, pads[0] : pads[0] + h, pads[1] : pads[1] + w] = x
    return y


def _taps(x: Array, window: Window, out: Pair) -> list[Array]:
    """For each place in the kernel, row by row, the pixels that it meets: views (C, OH, OW, N)."""
    views = window.views(x)[:, :, :, : out[0], : out[1]]
    kh, kw = window.kernel
    return [views[:, a, b] for a in range(kh) for b in range(kw)]


def _meeting(window: Window, out: Pair) -> int:
    """The most windows that one pixel can lie in."""
    sizes = zip(window.kernel, window.reach, window.stride, out, strict=True)
    return math.prod(min(k, -(-reach // s), o) for k, reach, s, o in sizes)


@op
@in_float32
def _max_pool2d(x: Array, *, window: Window, pads: Pair, out: Pair) -> tuple[Array, Backward]:
    """y = the largest of each window;  dL/dx = Σ of g over the windows whose largest x is.

    Of equal elements the first in row order counts, and NaN is larger than all, as in PyTorch
    (whose gradient goes to another place in windows with several NaN, or with −∞ alone).
    What backward keeps is an integer per output, one byte where that is enough: the place of the
    largest in its window, counted from the window's end.
    """
    xp = get_xp(x)
    x = to_batch_last(x)
    c, h, w, n = x.shape
    lowest = x.dtype.type(-np.inf) if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    if cuda.usable(x):
        return _cuda_max_pool2d(x, window, pads, out, lowest)
    fast = kernels("pool", x.dtype) if xp is np else None
    if fast:
        return _compiled_max_pool2d(fast, x, window, pads, out, lowest)
    framed = _framed(x, window, pads, out, lowest)
    frame_shape = framed.shape
    y = empty((c, *out, n), x.dtype, xp)
    place = empty(y.shape, _place_dtype(window), xp)
    taps = _taps(framed, window, out)
    pieces = _channels(y)

    def forward(i: int) -> None:
        part = pieces[i]
        best, at = y[part], place[part]
        best[...], at[...] = taps[0][part], 0
        for tap in taps[1:]:
            xp.maximum(best, tap[part], out=best)
        odd = x.dtype.kind == "f" and bool(xp.isnan(best).any())
        equal, left = xp.empty(at.shape, bool), scratch("left", at)
        for k, tap in enumerate(taps):  # at = places left from the first one that holds the largest
            xp.equal(tap[part], best, out=equal)
            if odd:
                equal |= xp.isnan(tap[part])
            xp.multiply(equal, at.dtype.type(len(taps) - k), out=left)
            xp.maximum(at, left, out=at)

    parallel(forward, len(pieces))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = to_batch_last(g)
        gx = zeros(frame_shape, adding_dtype(g.dtype, _meeting(window, out)), xp)
        targets = _taps(gx, window, out)

        def task(i: int) -> None:
            part = pieces[i]
            for k, target in enumerate(targets):
                target[part] += g[part] * (place[part] == len(targets) - k)

        parallel(task, len(pieces))
        gx = gx[:, pads[0] : pads[0] + h, pads[1] : pads[1] + w]
        return (from_batch_last(gx.astype(g.dtype, copy=False)),)

    return from_batch_last(y), backward


def _place_dtype(window: Window) -> type:
    """The smallest dtype for numbers up to that of a window's places."""
    places = math.prod(window.kernel)
    dtypes = (np.uint8, np.uint16, np.uint32)
    return next((dtype for dtype in dtypes if places <= np.iinfo(dtype).max), np.int64)


def _compiled_max_pool2d(
    fast: ModuleType, x: Array, window: Window, pads: Pair, out: Pair, lowest: float
) -> tuple[Array, Backward]:
    """:func:`_max_pool2d` by kernels, without frames: one pass each way."""
    c, h, w, n = x.shape
    y = empty((c, *out, n), x.dtype)
    place = empty(y.shape, _place_dtype(window))
    shape, steps = (h, w, n, *out), (window.kernel, window.stride, pads, window.dilation)
    pieces, taps = _channels(y), y.size * math.prod(window.kernel)

    def forward(i: int) -> None:
        part = pieces[i]
        fast.largest(
            x.reshape(-1),
            part.start,
            part.stop,
            *shape,
            *steps,
            lowest,
            y.reshape(-1),
            place.reshape(-1),
        )

    parallel(forward, len(pieces), taps)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        flat = to_batch_last(g).reshape(-1)
        gx = empty((c, h, w, n), adding_dtype(g.dtype, _meeting(window, out)))

        def task(i: int) -> None:
            part = pieces[i]
            fast.spread(
                flat, place.reshape(-1), part.start, part.stop, *shape, *steps, gx.reshape(-1)
            )

        parallel(task, len(pieces), taps)
        return (from_batch_last(gx.astype(g.dtype, copy=False)),)

    return from_batch_last(y), backward


THREADS = 256  # of a block of kernels/pool.cu


def _pool_by_kernel(
    name: str,
    y: Array,
    arrays: tuple[Array, ...],
    sizes: tuple[int, ...],
    *results: Any,
    terms: int,
    place: Any = np.uint8,
) -> None:
    """Run a kernel with a row of threads over the batch for every position of ``y`` (C, …, N),
    which is at most a sum of that many ``terms``."""
    positions, n = math.prod(y.shape[:-1]), y.shape[-1]
    row = min(THREADS, 1 << max(n - 1, 0).bit_length())
    grid = cuda.blocks(positions, THREADS // row) if n else 0
    args = (*arrays, positions, *sizes, *results)
    adds = adding_dtype(y.dtype, terms)
    macros = {"REAL": y.dtype, "SUM": adds, "PLACE": np.dtype(place)}
    cuda.launch("pool", name, grid, (row, THREADS // row), args, **macros)


def _sizes(shape: tuple[int, ...], out: Pair, window: Window, pads: Pair) -> tuple[int, ...]:
    """What kernels take: H, W, N, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW."""
    return (*shape[1:], *out, *window.kernel, *window.stride, *pads, *window.dilation)


def _cuda_max_pool2d(
    x: Array, window: Window, pads: Pair, out: Pair, lowest: float
) -> tuple[Array, Backward]:
    """:func:`_max_pool2d` by CUDA kernels."""
    xp, shape = get_xp(x), x.shape
    y = xp.empty((shape[0], *out, shape[-1]), x.dtype)
    place = xp.empty(y.shape, _place_dtype(window))
    sizes = _sizes(shape, out, window, pads)
    _pool_by_kernel("max_pool", y, (x,), sizes, lowest, y, place, terms=1, place=place.dtype)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        gx = xp.empty(shape, g.dtype)
        options = {"terms": _meeting(window, out), "place": place.dtype}
        _pool_by_kernel("max_pool_gradient", gx, (to_batch_last(g), place), sizes, gx, **options)
        return (from_batch_last(gx),)

    return from_batch_last(y), backward


def max_pool2d(
    input: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """The largest value of each window.

    Args:
        input: (N, C, H, W), or (C, H, W) for a single image.
        kernel_size, padding, dilation: int or (height, width); padding at most half the kernel,
            filled with −∞.
        stride: int or (height, width); default ``kernel_size``.
        ceil_mode: keep a last window that only partly fits.
        return_indices: not supported.

    Returns:
        (N, C, OH, OW) with OH = ⌊(H + 2p − d(KH − 1) − 1) / s⌋ + 1 (⌈⌉ in ceil mode).
    """
    check.unsupported("return_indices", return_indices, False)
    check.tensor("input", input, (3, 4), "(N, C, H, W) or (C, H, W)")
    if input.ndim == 3:
        return max_pool2d(
            input.unsqueeze(0), kernel_size, stride, padding, dilation, ceil_mode
        ).squeeze(0)
    window, pads, out = _geometry(input, kernel_size, stride, padding, dilation, ceil_mode)
    return _max_pool2d(input, window=window, pads=pads, out=out)


def stride_or(kernel_size: Any, stride: Any) -> Any:
    """The stride of windows: where None or, as in PyTorch, an empty tuple is given, their size."""
    none = stride is None or (isinstance(stride, (tuple, list)) and not stride)
    return kernel_size if none else stride


def _geometry(
    input: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None,
    padding: int | Pair,
    dilation: int | Pair,
    ceil_mode: bool,
) -> tuple[Window, Pair, Pair]:
    if 0 in input.shape[1:]:
        raise ValueError(f"input: expected at least one channel and pixel, got {input.shape}")
    check.boolean("ceil_mode", ceil_mode)
    kernel = check.pair("kernel_size", kernel_size, 1)
    steps = check.pair("stride", stride_or(kernel, stride), 1)
    pads = check.pair("padding", padding, 0)
    window = Window(kernel, steps, check.pair("dilation", dilation, 1))
    for p, k in zip(pads, kernel, strict=True):
        if p > k // 2:
            raise ValueError(f"padding: expected at most half of kernel_size {kernel}, got {pads}")
    sizes = zip(input.shape[2:], window.reach, steps, pads, strict=True)
    oh, ow = (_output(n, r, s, p, ceil_mode) for n, r, s, p in sizes)
    if oh < 1 or ow < 1:
        raise ValueError(
            f"kernel_size: the window {window.reach} is larger than the input "
            f"{input.shape[2:]} padded by {pads}"
        )
    return window, pads, (oh, ow)


@op
@in_float32
def _avg_pool2d(
    x: Array, *, window: Window, pads: Pair, out: Pair, divisor: Array
) -> tuple[Array, Backward]:
    """y = Σ of each window / divisor;  dL/dx = Σ over the windows that see x of g / divisor."""
    xp = get_xp(x)
    x = to_batch_last(x)
    c, h, w, n = x.shape
    y = empty((c, *out, n), x.dtype, xp)
    scale = constant((1 / divisor).astype(x.dtype), xp)[..., None]  # (OH, OW, 1)
    meeting = _meeting(window, out)
    if cuda.usable(x):
        sizes = _sizes(x.shape, out, window, pads)
        _pool_by_kernel("avg_pool", y, (x, scale), sizes, y, terms=math.prod(window.kernel))

        def gather(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
            gx, arrays = xp.empty((c, h, w, n), g.dtype), (to_batch_last(g), scale)
            _pool_by_kernel("avg_pool_gradient", gx, arrays, sizes, gx, terms=meeting)
            return (from_batch_last(gx),)

        return from_batch_last(y), gather

    fast = kernels("pool", x.dtype) if xp is np else None
    if fast:
        return _compiled_avg_pool2d(fast, x, window, pads, y, scale.reshape(-1))
    framed = _framed(x, window, pads, out, 0)
    frame_shape = framed.shape
    taps = _taps(framed, window, out)
    pieces = _channels(y)

    def forward(i: int) -> None:
        part = pieces[i]
        sums = taps[0][part].astype(adding_dtype(x.dtype, len(taps)))
        for tap in taps[1:]:
            sums += tap[part]
        xp.multiply(sums, scale, out=y[part], casting="same_kind")

    parallel(forward, len(pieces))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = to_batch_last(g)
        gx = zeros(frame_shape, adding_dtype(g.dtype, meeting), xp)
        targets = _taps(gx, window, out)

        def task(i: int) -> None:
            part = pieces[i]
            share = g[part] * scale
            for target in targets:
                target[part] += share

        parallel(task, len(pieces))
        gx = gx[:, pads[0] : pads[0] + h, pads[1] : pads[1] + w]
        return (from_batch_last(gx.astype(g.dtype, copy=False)),)

    return from_batch_last(y), backward


def _compiled_avg_pool2d(
    fast: ModuleType, x: Array, window: Window, pads: Pair, y: Array, scale: Array
) -> tuple[Array, Backward]:
    """:func:`_avg_pool2d` into y by kernels, without frames: one pass each way."""
    c, h, w, n = x.shape
    sizes = h, w, n, *y.shape[1:3], window.kernel, window.stride, pads, scale
    pieces, flat = _channels(x), x.reshape(-1)
    adds = adding_dtype(x.dtype, math.prod(window.kernel))

    def forward(i: int) -> None:
        sums = workspace("sums", (n,), adds)
        fast.mean(flat, pieces[i].start, pieces[i].stop, *sizes, y.reshape(-1), sums)

    parallel(forward, len(pieces), x.size)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        flat = to_batch_last(g).reshape(-1)
        gx = empty((c, h, w, n), adding_dtype(g.dtype, _meeting(window, y.shape[1:3])))

        def task(i: int) -> None:
            fast.share(flat, pieces[i].start, pieces[i].stop, *sizes, gx.reshape(-1))

        parallel(task, len(pieces), x.size)
        return (from_batch_last(gx.astype(g.dtype, copy=False)),)

    return from_batch_last(y), backward


def avg_pool2d(
    input: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.

    Args:
        input: (N, C, H, W), or (C, H, W) for a single image; floating.
        kernel_size, padding: int or (height, width); padding at most half the kernel.
        stride: int or (height, width); default ``kernel_size``.
        ceil_mode: keep a last window that only partly fits.
        count_include_pad: divide by the pixels of the window inside the padded input; else by
            those inside the input itself.
        divisor_override: divide by this number instead.

    Returns:
        (N, C, OH, OW), sizes as :func:`max_pool2d`.
    """
    check.floating("input", check.tensor("input", input, (3, 4), "(N, C, H, W) or (C, H, W)"))
    check.boolean("count_include_pad", count_include_pad)
    if input.ndim == 3:
        return avg_pool2d(
            input.unsqueeze(0),
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        ).squeeze(0)
    window, pads, out = _geometry(input, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None:
        divisor = np.full(out, check.integer("divisor_override", divisor_override, 1))
    else:
        per_axis = []
        for axis in (0, 1):
            n, p = input.shape[2 + axis], pads[axis]
            start = np.arange(out[axis]) * window.stride[axis] - p
            end = np.minimum(start + window.kernel[axis], n + p)
            if not count_include_pad:
                start, end = np.maximum(start, 0), np.minimum(end, n)
            per_axis.append(end - start)
        divisor = np.outer(*per_axis)
    return _avg_pool2d(input, window=window, pads=pads, out=out, divisor=divisor)


@op
@in_float32
def _adaptive_avg_pool2d(x: Array, *, out: Pair) -> tuple[Array, Backward]:
    """y[i, j] = mean of x over rows ⌊iH/OH⌋ … ⌈(i+1)H/OH⌉, columns alike;  dL/dx = Σ g / count."""
    xp = get_xp(x)
    x = to_batch_last(x)
    c, h, w, n = shape = x.shape
    y = empty((c, *out, n), x.dtype, xp)
    # The most pixels of a cell, and the most cells that a pixel can lie in.
    pixels = math.prod(size // cells + 2 for size, cells in zip((h, w), out, strict=True))
    meeting = math.prod(cells // size + 2 for size, cells in zip((h, w), out, strict=True))
    if cuda.usable(x):
        sizes = (h, w, n, *out)
        _pool_by_kernel("adaptive_avg_pool", y, (x,), sizes, y, terms=pixels)

        def gather(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
            gx, arrays = xp.empty(shape, g.dtype), (to_batch_last(g),)
            _pool_by_kernel("adaptive_avg_pool_gradient", gx, arrays, sizes, gx, terms=meeting)
            return (from_batch_last(gx),)

        return from_batch_last(y), gather

    cells = [
        (
            i,
            j,
            slice(i * h // out[0], -(-(i + 1) * h // out[0])),
            slice(j * w // out[1], -(-(j + 1) * w // out[1])),
        )
        for i in range(out[0])
        for j in range(out[1])
    ]
    for i, j, rows, cols in cells:
        cell = x[:, rows, cols]
        y[:, i, j] = total(cell, (1, 2)) / (cell.shape[1] * cell.shape[2])

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = to_batch_last(g)
        gx = zeros(shape, adding_dtype(g.dtype, meeting), xp)
        for i, j, rows, cols in cells:
            target = gx[:, rows, cols]
            target += (g[:, i, j] / (target.shape[1] * target.shape[2]))[:, None, None]
        return (from_batch_last(gx.astype(g.dtype, copy=False)),)

    return from_batch_last(y), backward


def adaptive_avg_pool2d(input: Tensor, output_size: int | tuple[int | None, int | None]) -> Tensor:
    """Means over a grid of OH x OW cells that cover the input evenly.

    Args:
        input: (N, C, H, W), or (C, H, W) for a single image; floating.
        output_size: int or (OH, OW); None keeps the input's size.

    Returns:
        (N, C, OH, OW).
    """
    check.floating("input", check.tensor("input", input, (3, 4), "(N, C, H, W) or (C, H, W)"))
    if input.ndim == 3:
        return adaptive_avg_pool2d(input.unsqueeze(0), output_size).squeeze(0)
    if isinstance(output_size, (tuple, list)) and len(output_size) == 2:
        sizes = zip(output_size, input.shape[2:], strict=True)
        output_size = tuple(n if s is None else s for s, n in sizes)  # type: ignore[assignment]
    out = check.pair("output_size", output_size, 1, alone=False)
    if 0 in input.shape[1:]:
        raise ValueError(f"input: expected at least one channel and pixel, got {input.shape}")
    return _adaptive_avg_pool2d(input, out=out)

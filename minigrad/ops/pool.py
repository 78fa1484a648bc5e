"""Pooling: the maximum or mean of each window."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..sums import adding_dtype, in_float32, total
from ..tape import Backward, Multilinear, op
from ..tensor import Tensor
from .conv import Pair, Window, window_of


def _output(size: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> int:
    """Number of windows along one axis. In ceil mode the last window must start inside the input or
    its left padding, as in PyTorch."""
    free = size + 2 * padding - kernel
    n = (-(-free // stride) if ceil_mode else free // stride) + 1
    return n - 1 if ceil_mode and (n - 1) * stride >= size + padding else n


def _pad(x: Array, window: Window, pads: Pair, out: Pair, fill: float) -> tuple[Array, Array]:
    """x (N, C, H, W) padded with ``fill`` as far as the windows reach, and the view of it that
    holds x."""
    n, c, h, w = x.shape
    steps = zip(out, window.stride, window.reach, strict=True)
    reached = ((o - 1) * stride + reach for o, stride, reach in steps)
    size = (max(a, b + p) for a, b, p in zip(reached, (h, w), pads, strict=True))
    padded = get_xp(x).full((n, c, *size), fill, x.dtype)
    inside = padded[:, :, pads[0] : pads[0] + h, pads[1] : pads[1] + w]
    inside[...] = x
    return padded, inside


@op
@in_float32
def _max_pool2d(x: Array, *, window: Window, pads: Pair, out: Pair) -> tuple[Array, Backward]:
    """y = the maximum of each window;  dL/dx = Σ of g over the windows whose maximum is x.

    Among equal elements the first in row order counts, and NaN is larger than all, as in PyTorch
    (except that in windows with several NaN, or only −∞, PyTorch's gradient goes to another place).
    """
    xp = get_xp(x)
    padded, _ = _pad(x, window, pads, out, lowest(x.dtype))
    offsets = list(window.offsets(out))
    pixels = xp.stack([padded[:, :, rows, columns] for rows, columns in offsets])
    y = pixels.max(axis=0)
    place = ((pixels == y) | (pixels != pixels)).argmax(axis=0)  # only NaN is not itself
    shape = x.shape

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        sums = xp.zeros(shape, adding_dtype(g.dtype, max_overlap(window, out)))
        padded, gx = _pad(sums, window, pads, out, 0)
        for k, (rows, columns) in enumerate(offsets):
            padded[:, :, rows, columns] += xp.where(place == k, g, g.dtype.type(0))
        return (gx.astype(g.dtype),)

    return y, backward


def max_overlap(window: Window, out: Pair) -> int:
    """The largest number of windows that contain one pixel."""
    sizes = zip(window.kernel, window.reach, window.stride, out, strict=True)
    return math.prod(min(k, -(-reach // s), o) for k, reach, s, o in sizes)


def place_dtype(window: Window) -> type:
    """The smallest dtype that can count the places of a window."""
    places = math.prod(window.kernel)
    dtypes = (np.uint8, np.uint16, np.uint32)
    return next((dtype for dtype in dtypes if places <= np.iinfo(dtype).max), np.int64)


def lowest(dtype: np.dtype[Any]) -> Any:
    """The smallest value of ``dtype``, which is −∞ for floats."""
    return dtype.type(-np.inf if dtype.kind == "f" else np.iinfo(dtype).min)


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
        kernel_size, padding, dilation: int or (height, width). The padding is −∞ and at most half
            the kernel.
        stride: int or (height, width); default ``kernel_size``.
        ceil_mode: keep a last window that lies partly outside.
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
    """``stride``, or ``kernel_size`` if it is None or, as in PyTorch, an empty tuple."""
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
    _, channels, h, w = input.shape
    if 0 in (channels, h, w):
        raise ValueError(f"input: expected at least one channel and pixel, got {input.shape}")
    check.boolean("ceil_mode", ceil_mode)
    kernel = check.pair("kernel_size", kernel_size, 1)
    steps = check.pair("stride", stride_or(kernel, stride), 1)
    pads = check.pair("padding", padding, 0)
    window = window_of(kernel, steps, check.pair("dilation", dilation, 1))
    if pads[0] > kernel[0] // 2 or pads[1] > kernel[1] // 2:
        raise ValueError(f"padding: expected at most half of kernel_size {kernel}, got {pads}")
    oh = _output(h, window.reach[0], steps[0], pads[0], ceil_mode)
    ow = _output(w, window.reach[1], steps[1], pads[1], ceil_mode)
    if oh < 1 or ow < 1:
        raise ValueError(
            f"kernel_size: the window {window.reach} is larger than the input "
            f"{input.shape[2:]} padded by {pads}"
        )
    return window, pads, (oh, ow)


@op(twice=Multilinear("x"))
@in_float32
def _avg_pool2d(
    x: Array, *, window: Window, pads: Pair, out: Pair, divisor: Array
) -> tuple[Array, Backward]:
    """y = Σ of each window / divisor;  dL/dx = Σ of g / divisor over the windows that contain x."""
    xp, shape, offsets = get_xp(x), x.shape, list(window.offsets(out))
    scale = xp.asarray((1 / divisor).astype(x.dtype))  # (OH, OW)
    padded, _ = _pad(x.astype(adding_dtype(x.dtype, len(offsets))), window, pads, out, 0)
    sums = sum(padded[:, :, rows, columns] for rows, columns in offsets)
    y = (sums * scale).astype(x.dtype)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        sums = xp.zeros(shape, adding_dtype(g.dtype, max_overlap(window, out)))
        padded, gx = _pad(sums, window, pads, out, 0)
        for rows, columns in offsets:
            padded[:, :, rows, columns] += g * scale
        return (gx.astype(g.dtype),)

    return y, backward


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
        kernel_size, padding: int or (height, width). The padding is at most half the kernel.
        stride: int or (height, width); default ``kernel_size``.
        ceil_mode: keep a last window that lies partly outside.
        count_include_pad: divide by the number of the window's pixels in the padded input, rather
            than in the input itself.
        divisor_override: divide by this number instead.

    Returns:
        (N, C, OH, OW), with sizes as in :func:`max_pool2d`.
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


def cells(size: tuple[int, ...], out: Pair) -> Iterator[tuple[int, int, tuple[Any, ...]]]:
    """The cells of an even grid: row, column, and the index of the pixels, rows ⌊iH/OH⌋ …
    ⌈(i+1)H/OH⌉ and columns alike."""
    (h, w), (oh, ow) = size, out
    for i in range(oh):
        rows = slice(i * h // oh, -(-(i + 1) * h // oh))
        for j in range(ow):
            yield i, j, (..., rows, slice(j * w // ow, -(-(j + 1) * w // ow)))


@op(twice=Multilinear("x"))
@in_float32
def _adaptive_avg_pool2d(x: Array, *, out: Pair) -> tuple[Array, Backward]:
    """y[i, j] = mean of x over a cell,  dL/dx = Σ g / count over the cells that hold x."""
    xp, shape = get_xp(x), x.shape
    grid = list(cells(shape[2:], out))
    y = xp.empty((*shape[:2], *out), x.dtype)
    for i, j, cell in grid:
        pixels = x[cell]
        y[:, :, i, j] = total(pixels, (2, 3)) / math.prod(pixels.shape[2:])

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        gx = xp.zeros(shape, adding_dtype(g.dtype, len(grid)))
        for i, j, cell in grid:
            count = math.prod(gx[cell].shape[2:])
            gx[cell] += (g[:, :, i, j] / count)[..., None, None]
        return (gx.astype(g.dtype),)

    return y, backward


def grid_size(input: Tensor, output_size: object) -> Pair:
    """The (OH, OW) that ``output_size`` of adaptive pooling means for images (N, C, H, W)."""
    if isinstance(output_size, (tuple, list)) and len(output_size) == 2:
        sizes = zip(output_size, input.shape[2:], strict=True)
        output_size = tuple(n if s is None else s for s, n in sizes)
    out = check.pair("output_size", output_size, 1, alone=False)
    if 0 in input.shape[1:]:
        raise ValueError(f"input: expected at least one channel and pixel, got {input.shape}")
    return out


def adaptive_avg_pool2d(input: Tensor, output_size: int | tuple[int | None, int | None]) -> Tensor:
    """Means of OH x OW cells that cover the input evenly.

    Args:
        input: (N, C, H, W), or (C, H, W) for a single image; floating.
        output_size: int or (OH, OW); None keeps the input's size.

    Returns:
        (N, C, OH, OW).
    """
    check.floating("input", check.tensor("input", input, (3, 4), "(N, C, H, W) or (C, H, W)"))
    if input.ndim == 3:
        return adaptive_avg_pool2d(input.unsqueeze(0), output_size).squeeze(0)
    return _adaptive_avg_pool2d(input, out=grid_size(input, output_size))


def max_pool1d(
    input: Tensor,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    dilation: int | tuple[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    """:func:`max_pool2d` of rows: (N, C, L) or (C, L) to (N, C, OL)."""
    rows, kernel, steps, pads = _of_rows(input, kernel_size, stride, padding)
    spacing = (1, check.single("dilation", dilation, 1))
    y = max_pool2d(rows, kernel, steps, pads, spacing, ceil_mode, return_indices)
    return y.squeeze(-2)


def avg_pool1d(
    input: Tensor,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """:func:`avg_pool2d` of rows: (N, C, L) or (C, L) to (N, C, OL)."""
    rows, kernel, steps, pads = _of_rows(input, kernel_size, stride, padding)
    return avg_pool2d(rows, kernel, steps, pads, ceil_mode, count_include_pad).squeeze(-2)


def _of_rows(
    input: Tensor, kernel_size: Any, stride: Any, padding: Any
) -> tuple[Tensor, Pair, Pair, Pair]:
    """Rows as images of height 1, and their windows."""
    rows = check.tensor("input", input, (2, 3), "(N, C, L) or (C, L)").unsqueeze(-2)
    check.floating("input", rows)
    kernel = check.single("kernel_size", kernel_size, 1)
    step = check.single("stride", stride_or(kernel, stride), 1)
    return rows, (1, kernel), (1, step), (0, check.single("padding", padding, 0))

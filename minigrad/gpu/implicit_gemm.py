"""Convolution on a GPU: the matrix products of ``conv.cu``.

The kernels gather the columns of im2col as they multiply; here are the shapes of their launches.
They take any stride, padding, dilation and groups. All arrays are batch-innermost and float32, and
products are as precise as :func:`minigrad.set_precision` says.

**Tiles.** A block makes a tile of BM x 128 results, BM the smallest of 16, 32, 64, 128 that holds
all rows (output channels of a group), or 128. Where that gives fewer than MIN_BLOCKS tiles, so that
processors of the GPU would have nothing to do, the sum behind each result is cut into shares of at
least MIN_STEPS steps, one block each, and a second kernel adds them up in order. Tiles and shares
depend on shapes alone, so results are the same bits on every GPU of an architecture.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..device import Array, get_xp
from ..memory import empty
from . import launch as cuda
from .precision import PRECISIONS, precision_of

Pair = tuple[int, int]

TILE = 128  # results across a tile: BN in conv.cu
STEP = 16  # terms of the sum at a time: BK
MIN_BLOCKS = 264  # two for each multiprocessor of the largest GPUs
MIN_STEPS = 8  # steps of a share: less is not worth the second kernel
MAX_COLUMNS = 2**31 - 2 * TILE  # columns that the kernels can count
MAX_DEPTH = 65535  # groups times shares: a grid's third size


class Look(NamedTuple):
    """Where output position i looks at kernel offset k: at pixel (i·up + k·gap + start) / down, and
    at a zero where that is no whole number or outside. Each as (height, width)."""

    up: Pair
    gap: Pair
    start: Pair
    down: Pair = (1, 1)


def ahead(padding: Pair, stride: Pair, dilation: Pair) -> Look:
    """How a convolution's outputs look at its input."""
    return Look(stride, dilation, (-padding[0], -padding[1]))


def back(kernel: Pair, padding: Pair, stride: Pair, dilation: Pair) -> Look:
    """How the pixels of a convolution's input look at the gradient of its output, through filters
    turned by 180°. Beyond stride 1 most of them fall between outputs and are multiplied by zero."""
    start = (p - d * (k - 1) for p, d, k in zip(padding, dilation, kernel, strict=True))
    return Look((1, 1), dilation, (next(start), next(start)), stride)


PIXEL = Look((1, 1), (1, 1), (0, 0))  # a 1 x 1 convolution


def is_supported(x: Array) -> bool:
    """True if the kernels take ``x``."""
    return cuda.usable(x) and x.dtype == np.float32


def correlate(x: Array, w: Array, b: Array | None, size: Pair, look: Look) -> Array:
    """y[o, i, j, n] = Σ over c, k of w[o, c, k] · x[c, seen from (i, j) at k, n] + b[o].

    Args:
        x, w, b: (C, H, W, N), (O, C/groups, KH, KW), (O,) or None.
        size: (OH, OW).

    Returns:
        (O, OH, OW, N).
    """
    o, cg, kh, kw = w.shape
    y = empty((o, *size, x.shape[3]), x.dtype, get_xp(x))
    _multiply("correlate", w, x, b, y, size, (cg, kh, kw), look, over_columns=False)
    return y


def weight_gradient(x: Array, g: Array, shape: tuple[int, ...], look: Look) -> Array:
    """dL/dw of :func:`correlate`, of ``shape`` (O, C/groups, KH, KW), from g = dL/dy: the sum over
    positions and images of g · x seen from there."""
    gw = empty(shape, x.dtype, get_xp(x))
    _multiply("weight_gradient", g, x, None, gw, g.shape[1:3], shape[1:], look, over_columns=True)
    return gw


def product(a: Array, b: Array, bias: Array | None = None) -> Array:
    """(M, K) @ (K, N), plus bias (M,) to every column: a convolution of N images of one pixel."""
    return correlate(b[:, None, None], a[:, :, None, None], bias, (1, 1), PIXEL)[:, 0, 0]


def product_transposed(a: Array, b: Array) -> Array:
    """(M, N) @ (K, N)ᵀ: the weight gradient of such a convolution."""
    shape = len(a), len(b), 1, 1
    return weight_gradient(b[:, None, None], a[:, None, None], shape, PIXEL)[:, :, 0, 0]


def _multiply(
    name: str,
    left: Array,
    x: Array,
    bias: Array | None,
    y: Array,
    size: Pair,
    filter: tuple[int, ...],
    look: Look,
    over_columns: bool,
) -> None:
    """Launch kernel ``name``: y = left · (columns of x), or its transpose, group by group.

    Args:
        size: output positions (OH, OW).
        filter: its shape, (C/groups, KH, KW).
        over_columns: whether the sum runs over columns and the results are one for each weight, not
            the other way round.
    """
    channels, height, width, images = x.shape
    groups = channels // filter[0]
    rows, columns, depth = len(y) // groups, math.prod(size) * images, math.prod(filter)
    if columns > MAX_COLUMNS:
        raise ValueError(f"input: {columns} output pixels in one batch, at most {MAX_COLUMNS} fit")
    length, results = (columns, depth) if over_columns else (depth, columns)
    xp = get_xp(x)
    left, x = xp.ascontiguousarray(left), xp.ascontiguousarray(x)
    bias = None if bias is None else xp.ascontiguousarray(bias)
    tile = min(max(16, 1 << (rows - 1).bit_length()), 128)
    grid = cuda.blocks(results, TILE), cuda.blocks(rows, tile)
    splits = _splits(grid[0] * grid[1] * groups, length, groups)
    sums = y if splits == 1 else empty((splits, *y.shape), y.dtype, xp)
    macros = {
        "PRECISION": PRECISIONS.index(precision_of(x)),
        "BM": tile,
        "KH": filter[1],
        "KW": filter[2],
        "DOWN_H": look.down[0],
        "DOWN_W": look.down[1],
        "VEC_ROWS": _vector(left, length),
        "VEC_COLUMNS": _vector(x, images),
    }
    threads = 32 * (tile // min(tile, 64)) * (TILE // 32)
    numbers = (groups, rows, filter[0], height, width, *size, images, splits)
    biases = () if over_columns else (bias if splits == 1 else None,)
    args = (left, x, *biases, sums, *numbers, *look.up, *look.gap, *look.start)
    cuda.launch("conv", name, (*grid, groups * splits), threads, args, **macros)
    if splits > 1:
        each = y.size // len(y)
        args = (sums, bias, y, len(y), each, splits)
        cuda.launch("conv", "add_splits", cuda.blocks(y.size, 256), 256, args, **macros)


def _splits(tiles: int, length: int, groups: int) -> int:
    """How many shares sums of ``length`` terms are cut into (see above), none of them empty."""
    steps = -(-length // STEP)
    wanted = min(-(-MIN_BLOCKS // tiles), steps // MIN_STEPS, MAX_DEPTH // groups)
    return -(-steps // -(-steps // max(1, wanted)))


def _vector(array: Array, row: int) -> int:
    """Floats that one copy can take: 4 if rows of that length all start at 16 bytes, else 1."""
    address: Any = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr
    return 4 if row % 4 == 0 and address % 16 == 0 else 1

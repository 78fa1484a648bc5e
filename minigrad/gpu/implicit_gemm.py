"""Convolution on a GPU: the matrix products of ``conv.cu``.

The kernels gather the columns of im2col as they multiply; this file chooses the shapes of their
launches. They take any stride, padding, dilation and groups. All arrays are batch-innermost and
float32; :func:`minigrad.set_precision` sets the precision of the products.

**Tiles.** A block computes a tile of BM x 128 results. BM is the smallest of 16, 32, 64 and 128
that holds all rows (output channels of a group), or 128. If MIN_BLOCKS is twice their number or
more, too few to keep the GPU busy, each sum is split into shares of at least MIN_STEPS steps, one
block per share, and a second kernel adds the shares in order ("split-K"). Tiles and shares depend
only on shapes, so results are bit-identical on all GPUs of one architecture.
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

TILE = 128  # columns of a tile: BN in conv.cu
STEP = 16  # terms of the sum per step: BK in conv.cu
MIN_BLOCKS = 264  # two per multiprocessor of the largest GPUs
MIN_STEPS = 8  # steps per share; fewer are not worth the second kernel
MAX_COLUMNS = 2**31 - 2 * TILE  # the kernels count columns with 32 bits
MAX_GRID_DEPTH = 65535  # groups times shares: the third size of a grid


class Sampling(NamedTuple):
    """The pixel that output position i reads for kernel offset k:
    (i·stride + k·dilation + offset) / base_dilation, or zero if that is not an integer or lies
    outside the image. Each field is (height, width)."""

    stride: Pair
    dilation: Pair
    offset: Pair
    base_dilation: Pair = (1, 1)  # XLA's word: the input as if spread out with zeros between pixels


def forward_sampling(padding: Pair, stride: Pair, dilation: Pair) -> Sampling:
    """How the outputs of a convolution read its input."""
    return Sampling(stride, dilation, (-padding[0], -padding[1]))


def backward_sampling(kernel: Pair, padding: Pair, stride: Pair, dilation: Pair) -> Sampling:
    """How the input pixels of a convolution read the gradient of its output, with flipped filters.
    At strides above 1 most offsets fall between outputs and multiply zeros."""
    height, width = (p - d * (k - 1) for p, d, k in zip(padding, dilation, kernel, strict=True))
    return Sampling((1, 1), dilation, (height, width), stride)


PIXEL = Sampling((1, 1), (1, 1), (0, 0))  # a 1 x 1 convolution


def is_supported(x: Array) -> bool:
    """True if the kernels serve ``x``."""
    return cuda.usable(x) and x.dtype == np.float32


def correlate(
    x: Array,
    w: Array,
    b: Array | None,
    size: Pair,
    sampling: Sampling,
    flipped: Array | None = None,
) -> Array:
    """y[o, i, j, n] = Σ_c,k w[o, c, k] · x[c, pixel of (i, j) and k, n] + b[o].

    Args:
        x, w, b: (C, H, W, N), (O, C/groups, KH, KW), (O,) or None.
        size: (OH, OW).
        flipped: None, or an array that :func:`minigrad.ops.conv.flip_filters` of w is written to.

    Returns:
        (O, OH, OW, N).
    """
    o, cg, kh, kw = w.shape
    y = empty((o, *size, x.shape[3]), x.dtype, get_xp(x))
    _multiply("correlate", w, x, b, y, size, (cg, kh, kw), sampling, flipped, over_columns=False)
    return y


def weight_gradient(
    x: Array, g: Array, shape: tuple[int, ...], sampling: Sampling, bias: bool = False
) -> tuple[Array, Array | None]:
    """dL/dw of :func:`correlate`, of ``shape`` (O, C/groups, KH, KW), from g = dL/dy: the sum over
    positions and images of g · (the pixel they read). With ``bias`` dL/db (O,) too: the sum of g.
    """
    gw = empty(shape, x.dtype, get_xp(x))
    gb = empty(shape[:1], x.dtype, get_xp(x)) if bias else None
    size, name = g.shape[1:3], "weight_gradient"
    _multiply(name, g, x, None, gw, size, shape[1:], sampling, gb, over_columns=True)
    return gw, gb


def product(
    a: Array, b: Array, bias: Array | None = None, transposed: Array | None = None
) -> Array:
    """(M, K) @ (K, N), plus bias (M,) to every column: a convolution of N images of one pixel.
    aᵀ is written to ``transposed``, unless that is None."""
    b, a = b[:, None, None], a[:, :, None, None]
    return correlate(b, a, bias, (1, 1), PIXEL, transposed)[:, 0, 0]


def product_transposed(a: Array, b: Array, sums: bool = False) -> tuple[Array, Array | None]:
    """(M, N) @ (K, N)ᵀ: the weight gradient of a convolution of N images of one pixel. With
    ``sums`` those of a's rows, too."""
    shape = len(a), len(b), 1, 1
    y, totals = weight_gradient(b[:, None, None], a[:, None, None], shape, PIXEL, sums)
    return y[:, :, 0, 0], totals


def _multiply(
    name: str,
    left: Array,
    x: Array,
    bias: Array | None,
    y: Array,
    size: Pair,
    filter: tuple[int, ...],
    sampling: Sampling,
    extra: Array | None,
    over_columns: bool,
) -> None:
    """Launch kernel ``name``: y = left · (columns of x), or its transpose, group by group.

    Args:
        size: output positions (OH, OW).
        filter: shape of one filter, (C/groups, KH, KW).
        extra: the kernel's second result, if it is wanted: flipped filters, or sums of rows.
        over_columns: sum over columns, with one result per weight, rather than over weights, with
            one result per column.
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
    totals = extra if over_columns else None
    parts = totals if totals is None or splits == 1 else empty((splits, len(y)), y.dtype, xp)
    macros = {
        "PRECISION": PRECISIONS.index(precision_of(x)),
        "BM": tile,
        "KH": filter[1],
        "KW": filter[2],
        "BASE_H": sampling.base_dilation[0],
        "BASE_W": sampling.base_dilation[1],
        "VEC_ROWS": _vector(left, length),
        "VEC_COLUMNS": _vector(x, images),
    }
    threads = 32 * (tile // min(tile, 64)) * (TILE // 32)
    numbers = (groups, rows, filter[0], height, width, *size, images, splits)
    biases = () if over_columns else (bias if splits == 1 else None,)
    steps = *sampling.stride, *sampling.dilation, *sampling.offset
    args = (left, x, *biases, sums, parts if over_columns else extra, *numbers, *steps)
    cuda.launch("conv", name, (*grid, groups * splits), threads, args, **macros)
    if splits > 1:
        each = y.size // len(y)
        added = (sums, bias, y, parts, totals, len(y), each, splits)
        cuda.launch("conv", "add_splits", cuda.blocks(y.size, 256), 256, added, **macros)


def _splits(tiles: int, length: int, groups: int) -> int:
    """Number of shares, none empty, into which sums of ``length`` terms are split (see above)."""
    steps = -(-length // STEP)
    wanted = min(MIN_BLOCKS // tiles, steps // MIN_STEPS, MAX_GRID_DEPTH // groups)
    return -(-steps // -(-steps // max(1, wanted)))


def _vector(array: Array, row: int) -> int:
    """Floats per copy: 4 if all rows of ``row`` elements are aligned to 16 bytes, else 1."""
    address: Any = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr
    return 4 if row % 4 == 0 and address % 16 == 0 else 1

"""3 x 3 convolution at stride 1 with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3).

A tile of 4 x 4 outputs depends on 6 x 6 inputs d. Instead of 16 · 9 products per channel,

    y = Aᵀ [ (G w Gᵀ) ⊙ (Bᵀ d B) ] A

takes 36. Read d, w and y as coefficients of polynomials: Bᵀ and G evaluate them at five points and
at infinity, ⊙ multiplies the values, and Aᵀ interpolates. Summed over input channels, each of the
36 points is one matrix product (O, C) @ (C, tiles · N). The input gradient is the same convolution
of the padded output gradient with flipped filters; the weight gradient is the adjoint,

    dL/dw = Gᵀ [ Σ over tiles and images of (A g Aᵀ) ⊙ (Bᵀ d B) ] G.

The algorithm for networks is Lavin and Gray's (CVPR 2016, arXiv:1509.09308). The points are
0, ±1/2, ±3/2 rather than their 0, ±1, ±2 (Barabasz et al., ACM TOMS 46(4), 2020, search for good
points). All constants of Aᵀ and Bᵀ are then exact, and the rounding error is less than half of
theirs: three to seven times that of im2col for 16 to 512 channels and inputs of similar magnitude.

The error bound is that of a tile, not of one output's own inputs. For up to 512 channels

    |error of y_o| ≤ 1000 · 2⁻²⁴ · Σ_c max |d_c| · Σ |w_oc|,

and the error is usually a thirtieth of that or less; the gradients behave alike. So an input of 10⁵
may put the other outputs of its tile off by 10⁻², and infinity or NaN in one input spoils them all.
Finding such tiles, to compute them directly, would take another pass over all inputs: 2 to 10 % of
the time of each convolution, as measured.

The transforms are compiled (:mod:`minigrad.cpu.kernels.winograd`). A core takes one block of tiles
at a time, small enough for its cache: transform, 36 products, transform back. A vector holds the
same pixel of 16 images. Fewer images are cut into parts, which overlap by two pixels and count as
images.
"""

from __future__ import annotations

import functools
import math
from types import ModuleType
from typing import NamedTuple

import numpy as np

from ..device import Array
from ..memory import empty
from .caches import second_level_bytes
from .compiled import kernels
from .threads import PRODUCTS, Scratch, get_num_threads, launch, split_range, table_of

Pair = tuple[int, int]

MAX_BLOCK_BYTES = 1 << 20  # of a block's input points in `correlate`, to fit a core's cache
# Of output points that are computed together: the more, the less often a block's input points are
# read. They leave half of the second-level cache to these, and 256 KiB to filters.
MAX_GROUP_BYTES = max(second_level_bytes() // 2 - (1 << 18), 1 << 18)
MAX_SUM_BYTES = 1 << 20  # of a block's points in `weight_gradient`
LEAST_COLUMNS = 128  # of a block: with fewer, filters come from memory too often
LEAST_SUMMED = 256  # in `weight_gradient`: with fewer, adding up vectors takes too long
MAX_IMAGES = 128  # of a block: its tiles share pixels, which are then read once
RUNS = 8  # parts of a convolution for each thread
COST = 4  # of transforming an element of filters, in copies of one
# What takes as long as so many of the 36 products with a number, as measured:
TRANSFORM = 9  # of its tile; of an output's too
COPY = 14  # of its image into a part
FILTERS = 24  # of filters into points, if their products have few columns
_PAD = 16  # elements


def is_supported(x: Array, outputs: int, size: Pair) -> bool:
    """True if the kernels are available and faster for x (C, H, W, N) and ``outputs`` channels of
    ``size`` (OH, OW)."""
    c, n = x.shape[0], x.shape[3]
    compiled = kernels("winograd", x.dtype)
    if compiled is None:
        return False
    grid = _grid(n, size)
    down, across = _tiles(grid[2:])
    columns = tiles = grid.parts * down * across * n
    each, filters = TRANSFORM, 0
    if grid.parts > 1:
        columns = _padded(tiles, compiled.BLOCK_BYTES // x.itemsize)
        each, filters = TRANSFORM + COPY, FILTERS
    points = columns + tiles * (each / c + each / outputs) + filters
    return 36 * points < 9 * size[0] * size[1] * n


class _Grid(NamedTuple):
    """The parts of an image: how many lie down and across, and rows and columns of the output of
    each."""

    down: int
    across: int
    rows: int
    columns: int

    @property
    def parts(self) -> int:
        return self.down * self.across


@functools.lru_cache(maxsize=1024)
def _grid(n: int, size: Pair) -> _Grid:
    """For n images with outputs of ``size``: as many parts as fill a vector, of the fewest
    tiles."""
    least = -(-16 // n)
    if least == 1:
        return _Grid(1, 1, *size)
    counts = [(down, -(-least // down)) for down in range(least, 0, -1)]
    grids = [
        _Grid(*count, *(_padded(-(-s // k), 4) for s, k in zip(size, count, strict=True)))
        for count in counts
    ]
    return min(grids, key=math.prod)


def _cut(x: Array, grid: _Grid, before: Pair, overlap: int) -> Array:
    """The parts of x (C, H, W, N) as images, each with ``overlap`` more rows and columns, of which
    so many come ``before``."""
    compiled, (c, n) = _compiled(x), (x.shape[0], x.shape[3])
    step = grid.rows, grid.columns
    part = grid.rows + overlap, grid.columns + overlap
    y = empty((c, *part, grid.parts * n), x.dtype)
    options = x.shape, before, step, part, grid[:2], y.reshape(-1)
    launch(compiled.cut, c, y.size, x.reshape(-1), *options)
    return y


def _join(x: Array, grid: _Grid, size: Pair) -> Array:
    """The images (C, *size, N) of which x holds the parts."""
    compiled, c = _compiled(x), len(x)
    y = empty((c, *size, x.shape[3] // grid.parts), x.dtype)
    options = grid[2:], grid[:2], y.reshape(-1), y.shape
    launch(compiled.join, c, y.size, x.reshape(-1), *options)
    return y


def _tiles(size: Pair) -> Pair:
    """Number of tiles down and across an output of ``size``."""
    return -(-size[0] // 4), -(-size[1] // 4)


def _compiled(x: Array) -> ModuleType:
    module = kernels("winograd", x.dtype)
    assert module is not None  # see `is_supported`
    return module


@functools.lru_cache(maxsize=1024)  # the same few in every step
def _blocks(tiles: int, n: int, columns: int, threads: int) -> tuple[Array, int]:
    """What is transformed at once: a table of blocks of about ``columns`` columns, as the kernels
    take them, and the largest number of columns of one.

    A block has some tiles, numbered row by row, of some images. There is the same number of blocks
    for each thread.
    """
    parts = _images(n, min(columns, MAX_IMAGES))
    count = -(-tiles * n // (len(parts) * columns))
    count = -(-count * len(parts) // threads) * threads // len(parts)
    table = np.array(
        [
            (images.start, images.stop - images.start, part.start, part.stop - part.start)
            for images in parts
            for part in split_range(tiles, count)
        ],
        np.int64,
    )
    return table, int((table[:, 1] * table[:, 3]).max())


def _images(n: int, most: int) -> tuple[slice, ...]:
    """Parts of n images, of about ``most`` and of at least 16."""
    parts = split_range(n - n % 16, -(-n // most), align=16) if n > most else ()
    return (*parts[:-1], slice(parts[-1].start if parts else 0, n))


def _shares(blocks: int, channels: int, align: int) -> Array:
    """Parts of the output channels, one per thread, if blocks are too few to keep all threads
    busy."""
    return table_of(channels, get_num_threads() if blocks < get_num_threads() else 1, align)


def _padded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


class _Points(NamedTuple):
    """Scratch memory of each thread for the 36 points of a block: ``plane`` elements from point to
    point and ``pitch`` from channel to channel. Both are apart from powers of two, so that rows use
    different parts of a cache."""

    each: Scratch
    plane: int
    pitch: int


def _points(name: str, channels: int, columns: int, dtype: np.dtype) -> _Points:
    pitch = _padded(columns, _PAD * 2) + _PAD
    plane = channels * pitch + _PAD
    return _Points(Scratch(name, 36 * plane, dtype), plane, pitch)


def filter_points(w: Array) -> Array:
    """G w Gᵀ of each filter: (O, C, 3, 3), of any strides, to flat memory of 36 planes: (blocks of
    ROWS filters, C, ROWS) and some padding."""
    compiled = _compiled(w)
    o, c = w.shape[:2]
    blocks = -(-o // compiled.ROWS)
    plane = blocks * c * compiled.ROWS + _PAD  # apart from powers of two
    u, filters = empty((36 * plane,), w.dtype), w.reshape(o, c, 9)
    launch(compiled.filter_points, blocks, COST * u.size, filters, u, _scratch(c, w.dtype))
    return u


def _scratch(c: int, dtype: np.dtype) -> Scratch:
    """Each thread's memory for the transforms of filters of c channels."""
    compiled = kernels("winograd", dtype)
    assert compiled is not None  # see `is_supported`
    return Scratch("filters", compiled.filter_scratch(c), dtype)


def correlate(x: Array, w: Array, b: Array | None, padding: Pair) -> Array:
    """The correlation of x (C, H, W, N), with 0 to 2 zeros of ``padding``, with w (O, C, 3, 3),
    plus b: (O, OH, OW, N)."""
    compiled = _compiled(x)
    c, h, wide, n = x.shape
    o = len(w)
    oh, ow = h + 2 * padding[0] - 2, wide + 2 * padding[1] - 2
    grid = _grid(n, (oh, ow))
    if grid.parts > 1:
        return _join(correlate(_cut(x, grid, padding, 2), w, b, (0, 0)), grid, (oh, ow))
    down, across = _tiles((oh, ow))
    u = filter_points(w)
    y = empty((o, oh, ow, n), x.dtype)
    flat, out, zeros = x.reshape(-1), y.reshape(-1), np.zeros(6 * n, x.dtype)
    bias = zeros[:0] if b is None else b
    threads = get_num_threads()
    wanted = max(LEAST_COLUMNS, MAX_BLOCK_BYTES // (36 * c * x.itemsize))
    blocks, columns = _blocks(down * across, n, wanted, threads)
    shares = _shares(len(blocks), -(-o // compiled.ROWS), 1)
    # Output channels are multiplied a few at a time, so that their points too stay in the cache.
    group = max(1, MAX_GROUP_BYTES // (36 * columns * compiled.ROWS * x.itemsize))
    together = min(group * compiled.ROWS, _padded(o, compiled.ROWS))
    v = _points("input points", c, columns, x.dtype)
    m = _points("output points", together, columns, x.dtype)
    launch(
        compiled.correlate, len(blocks) * len(shares), _work(c, o, down * across * n),
        flat, x.shape, padding, u, shares, group, blocks, across, *v, *m, zeros, bias, out, y.shape,
        parts=RUNS * threads,
    )  # fmt: skip
    return y


def _work(c: int, o: int, columns: int) -> int:
    """The products of c by o channels, in elements of a plain pass."""
    return 36 * c * o * columns // PRODUCTS


def weight_gradient(x: Array, g: Array, padding: Pair) -> Array:
    """dL/dw (O, C, 3, 3) of :func:`correlate` for g = dL/dy (O, OH, OW, N).

    Each thread sums a fixed share of the blocks, so the rounding is the same from run to run.
    """
    compiled = _compiled(x)
    c, _, _, n = x.shape
    o, oh, ow = g.shape[:3]
    grid = _grid(n, (oh, ow))
    if grid.parts > 1:
        return weight_gradient(_cut(x, grid, padding, 2), _cut(g, grid, (0, 0), 0), (0, 0))
    down, across = _tiles((oh, ow))
    flat, gradient, zeros = x.reshape(-1), g.reshape(-1), np.zeros(6 * n, x.dtype)
    threads = get_num_threads()
    # From 4 c o / (c + o) columns on, the sums are read and written a quarter as often as points.
    budget = MAX_SUM_BYTES // (36 * (c + o) * x.itemsize)
    wanted = max(LEAST_SUMMED, 4 * c * o // (c + o), budget)
    blocks, columns = _blocks(down * across, n, wanted, threads)
    shares = _shares(len(blocks), o, compiled.LINES)
    runs = table_of(len(blocks), threads)
    width, rows = _padded(c, compiled.LINES), _padded(o, compiled.LINES)
    sums = empty((len(runs), 36 * rows * width), x.dtype)
    v = _points("input points", width, columns, x.dtype)
    m = _points("output points", rows, columns, x.dtype)
    launch(
        compiled.weight_gradient, len(runs) * len(shares), _work(c, o, down * across * n),
        flat, x.shape, padding, gradient, g.shape, shares, runs, blocks, across, *v, *m, zeros,
        sums, width, rows,
    )  # fmt: skip
    gw, sizes = np.empty((o, c, 3, 3), x.dtype), (len(runs), rows, width, c)
    finish, scratch = compiled.filter_gradient, _scratch(width, x.dtype)
    launch(finish, o, COST * sums.size, sums.reshape(-1), *sizes, gw.reshape(-1), scratch)
    return gw

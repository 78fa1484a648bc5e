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
at a time, small enough for its cache: transform, 36 products, transform back.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from ..device import Array
from ..memory import empty
from .compiled import kernels
from .threads import distribute, get_num_threads, parallel, split_range, workspace

Pair = tuple[int, int]

MAX_BLOCK_BYTES = 3 << 20  # of a block's input points in `correlate`, to fit the cores' caches
MAX_GROUP_BYTES = 1 << 20  # of output points that are computed together
MAX_SUM_BYTES = 8 << 20  # of a block's points in `weight_gradient`
LEAST_COLUMNS = 128  # of a block: with fewer, filters come from memory too often
LEAST_SUMMED = 256  # in `weight_gradient`, which reads and writes their points
MANY_FILTERS = 1 << 16  # from as many on, BLAS, which reads their sums less often, is faster
_PAD = 16  # elements


def is_supported(x: Array, outputs: int, size: Pair) -> bool:
    """True if the kernels are available and faster for x (C, H, W, N) and ``outputs`` channels of
    ``size`` (OH, OW)."""
    c, n = x.shape[0], x.shape[3]
    if n < 16 or kernels("winograd", x.dtype) is None:
        return False
    down, across = _tiles(size)
    points = 36 * down * across * (1 + 9 / c + 9 / outputs)  # the transforms as measured
    return points < 9 * size[0] * size[1]


def _tiles(size: Pair) -> Pair:
    """Number of tiles down and across an output of ``size``."""
    return -(-size[0] // 4), -(-size[1] // 4)


def _compiled(x: Array) -> ModuleType:
    module = kernels("winograd", x.dtype)
    assert module is not None  # see `is_supported`
    return module


class _Block(NamedTuple):
    """What a core transforms at once: tiles, numbered row by row, of some images."""

    tiles: slice
    images: slice

    @property
    def where(self) -> tuple[int, int]:
        return self.tiles.start, self.tiles.stop - self.tiles.start

    @property
    def which(self) -> tuple[int, int]:
        return self.images.start, self.images.stop - self.images.start

    @property
    def columns(self) -> int:
        return self.where[1] * self.which[1]


def _blocks(
    tiles: int, n: int, bytes_per_column: int, budget: int, least: int
) -> tuple[_Block, ...]:
    """Blocks within the budget, the same number for each thread: of several tiles, or of a part of
    the images of one."""
    columns, threads = max(least, budget // bytes_per_column), get_num_threads()
    parts = _images(n, columns)
    count = max(1, -(-tiles * n // columns)) if len(parts) == 1 else tiles
    rest = -(-count * len(parts) // threads) * threads
    return tuple(
        _Block(part, images) for part in split_range(tiles, rest // len(parts)) for images in parts
    )


def _images(n: int, most: int) -> tuple[slice, ...]:
    """Parts of n images, of about ``most`` and of at least 16."""
    parts = split_range(n - n % 16, -(-n // most), align=16) if n > most else ()
    return (*parts[:-1], slice(parts[-1].start if parts else 0, n))


def _shares(blocks: tuple[_Block, ...], channels: int, align: int) -> tuple[slice, ...]:
    """Slices of output channels, one per thread, if blocks are too few to keep all threads busy."""
    few = len(blocks) < get_num_threads()
    return split_range(channels, get_num_threads() if few else 1, align)


def _padded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


class _Points(NamedTuple):
    """This thread's scratch array for the 36 points of a block: flat, with ``plane`` elements from
    point to point and ``pitch`` from channel to channel. Both are apart from powers of two, so that
    rows use different parts of a cache."""

    flat: Array
    plane: int
    pitch: int

    def matrices(self, channels: int, columns: int) -> Array:
        """A view of shape (36, channels, columns)."""
        rows = self.flat.reshape(36, self.plane)[:, : channels * self.pitch]
        return rows.reshape(36, channels, self.pitch)[..., :columns]


def _points(name: str, channels: int, columns: int, dtype: np.dtype) -> _Points:
    pitch = _padded(columns, _PAD * 2) + _PAD
    plane = channels * pitch + _PAD
    return _Points(workspace(name, (36 * plane,), dtype), plane, pitch)


def filter_points(w: Array) -> Array:
    """G w Gᵀ of each filter: (O, C, 3, 3), of any strides, to (36, blocks of ROWS filters, C,
    ROWS), flat."""
    compiled = _compiled(w)
    o, c = w.shape[:2]
    blocks = -(-o // compiled.ROWS)
    u, filters = empty((36 * blocks * c * compiled.ROWS,), w.dtype), w.reshape(o, c, 9)
    parts = split_range(blocks, get_num_threads())

    def task(i: int) -> None:
        scratch = workspace("filters", (compiled.filter_scratch(c),), w.dtype)
        compiled.filter_points(filters, parts[i].start, parts[i].stop, u, scratch)

    parallel(task, len(parts), u.size)
    return u


def correlate(x: Array, w: Array, b: Array | None, padding: Pair) -> Array:
    """The correlation of x (C, H, W, N), with 0 to 2 zeros of ``padding``, with w (O, C, 3, 3),
    plus b: (O, OH, OW, N)."""
    compiled = _compiled(x)
    c, h, wide, n = x.shape
    o = len(w)
    oh, ow = h + 2 * padding[0] - 2, wide + 2 * padding[1] - 2
    down, across = _tiles((oh, ow))
    u = filter_points(w)
    y = empty((o, oh, ow, n), x.dtype)
    flat, zeros = x.reshape(-1), np.zeros(6 * n, x.dtype)
    bias = zeros[:0] if b is None else b
    blocks = _blocks(down * across, n, 36 * c * x.itemsize, MAX_BLOCK_BYTES, LEAST_COLUMNS)
    shares = _shares(blocks, o, compiled.ROWS)
    columns = max(block.columns for block in blocks)
    # Output channels are multiplied a few at a time, so that their points too stay in the cache.
    bytes_per_block = 36 * columns * compiled.ROWS * x.itemsize
    group = max(1, MAX_GROUP_BYTES // bytes_per_block) * compiled.ROWS

    def work(numbers: Iterable[int]) -> None:
        v = _points("input points", c, columns, x.dtype)
        m = _points("output points", min(group, _padded(o, compiled.ROWS)), columns, x.dtype)
        for i in numbers:
            block, share = blocks[i // len(shares)], shares[i % len(shares)]
            where = *block.which, across, *block.where
            compiled.input_points(flat, c, h, wide, n, *padding, *where, *v, zeros)
            for first in range(share.start, share.stop, group):
                part = slice(first, min(first + group, share.stop))
                rows = part.start // compiled.ROWS, -(-part.stop // compiled.ROWS)
                compiled.products(u, *v, c, *rows, block.columns, *m)
                own, size = y[part].reshape(-1), (part.stop - part.start, oh, ow, n)
                compiled.outputs(*m, *size, *where, bias[part], own)

    distribute(work, len(blocks) * len(shares))
    return y


def weight_gradient(x: Array, g: Array, padding: Pair) -> Array:
    """dL/dw (O, C, 3, 3) of :func:`correlate` for g = dL/dy (O, OH, OW, N).

    Each thread sums a fixed share of the blocks, so the rounding is the same from run to run.
    """
    compiled = _compiled(x)
    c, h, wide, n = x.shape
    o, oh, ow = g.shape[:3]
    down, across = _tiles((oh, ow))
    flat, zeros = x.reshape(-1), np.zeros(6 * n, x.dtype)
    lanes = _PAD * 4 // x.itemsize
    blocks = _blocks(down * across, n, 36 * (c + o) * x.itemsize, MAX_SUM_BYTES, LEAST_SUMMED)
    shares = _shares(blocks, o, compiled.LINES)
    columns = max(block.columns for block in blocks)
    runs = split_range(len(blocks), get_num_threads())
    width, rows = _padded(c, compiled.LINES), _padded(o, compiled.LINES)
    sums = empty((len(runs), 36, rows, width), x.dtype)

    def task(i: int) -> None:
        run, share = blocks[runs[i // len(shares)]], shares[i % len(shares)]
        part = g[share]
        own, size = part.reshape(-1), (len(part), oh, ow, n)
        own_rows = _padded(len(part), compiled.LINES)
        v = _points("input points", width, columns, x.dtype)
        m = _points("output points", own_rows, columns, x.dtype)
        for k, block in enumerate(run):
            where = *block.which, across, *block.where
            compiled.input_points(flat, c, h, wide, n, *padding, *where, *v, zeros)
            compiled.gradient_points(own, *size, *where, *m, zeros)
            whole = _padded(block.columns, lanes)
            if whole > block.columns:
                compiled.clear(*v, width, block.columns, whole)
                compiled.clear(*m, own_rows, block.columns, whole)
            total, place = sums[i // len(shares)], slice(share.start, share.start + own_rows)
            if width * rows < MANY_FILTERS:
                flat_total = total.reshape(-1)
                compiled.sum_products(
                    *m, share.start, own_rows, *v, width, whole, rows, flat_total, k == 0
                )
                continue
            left, right = m.matrices(own_rows, whole), v.matrices(width, whole).swapaxes(1, 2)
            if k == 0:
                np.matmul(left, right, out=total[:, place])
            else:
                product = workspace("filter points", (36, own_rows, width), x.dtype)
                total[:, place] += np.matmul(left, right, out=product)

    parallel(task, len(runs) * len(shares))
    gw, points = np.empty((o, c, 3, 3), x.dtype), sums.reshape(-1)
    parts = split_range(o, get_num_threads())

    def finish(i: int) -> None:
        scratch = workspace("filters", (compiled.filter_scratch(width),), x.dtype)
        sizes = len(runs), rows, width, c, parts[i].start, parts[i].stop
        compiled.filter_gradient(points, *sizes, gw.reshape(-1), scratch)

    parallel(finish, len(parts), points.size)
    return gw

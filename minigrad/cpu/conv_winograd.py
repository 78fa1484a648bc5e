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

import numpy as np

from ..device import Array
from ..memory import empty
from .compiled import kernels
from .threads import distribute, get_num_threads, parallel, split_range, workspace

Pair = tuple[int, int]

MAX_BLOCK_BYTES = 2 << 20  # of a block's points in `correlate`, to fit a core's cache
MAX_SUM_BYTES = 4 << 20  # in `weight_gradient`, where each block also sums all filters' points
_PAD = 16  # elements between planes, so that the 36 planes use different cache sets


def is_supported(x: Array, outputs: int, size: Pair) -> bool:
    """True if the kernels are available and faster for x (C, H, W, N) and ``outputs`` channels of
    ``size`` (OH, OW)."""
    if kernels("winograd", x.dtype) is None:
        return False
    c, n = x.shape[0], x.shape[3]
    down, across = _tiles(size)
    points = 36 * down * across * (1 + 9 / c + 9 / outputs)  # the transforms as measured
    return n >= 16 and points < 9 * size[0] * size[1]


def _tiles(size: Pair) -> Pair:
    """Number of tiles down and across an output of ``size``."""
    return -(-size[0] // 4), -(-size[1] // 4)


def _compiled(x: Array) -> ModuleType:
    module = kernels("winograd", x.dtype)
    assert module is not None  # see `is_supported`
    return module


def _planes(name: str, channels: int, columns: int, dtype: np.dtype) -> tuple[Array, int, Array]:
    """This thread's scratch array for the 36 points of a block: the flat array, the distance
    between its planes, and its view as (36, channels, columns)."""
    plane = channels * columns + _PAD
    flat = workspace(name, (36, plane), dtype)
    points = flat[:, : channels * columns].reshape(36, channels, columns)
    assert points.base is not None
    return flat.reshape(-1), plane, points


def _blocks(tiles: int, bytes_per_tile: int, budget: int) -> tuple[slice, ...]:
    """Blocks of tiles within the budget, the same number for each thread."""
    count = -(-tiles * bytes_per_tile // budget)
    threads = get_num_threads()
    return split_range(tiles, -(-count // threads) * threads)


def _shares(blocks: tuple[slice, ...], channels: int) -> tuple[slice, ...]:
    """Slices of output channels, one per thread, if blocks are too few to keep all threads busy."""
    return split_range(channels, 1 if len(blocks) >= get_num_threads() else get_num_threads())


def _longest(parts: tuple[slice, ...]) -> int:
    return max(part.stop - part.start for part in parts)


def filter_points(w: Array) -> Array:
    """G w Gᵀ of each filter: (O, C, 3, 3), of any strides, to (36, O, C)."""
    compiled = _compiled(w)
    o, c = w.shape[:2]
    u, filters = empty((36, o, c), w.dtype), w.reshape(o, c, 9)
    parts = split_range(o, get_num_threads())

    def task(i: int) -> None:
        scratch = workspace("filters", (compiled.filter_scratch(c),), w.dtype)
        compiled.filter_points(filters, parts[i].start, parts[i].stop, u.reshape(-1), scratch)

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
    flat, bias = x.reshape(-1), np.zeros(0, x.dtype) if b is None else b
    blocks = _blocks(down * across, 36 * (c + o) * n * x.itemsize, MAX_BLOCK_BYTES)
    shares = _shares(blocks, o)
    columns, most = _longest(blocks) * n, _longest(shares)

    def work(numbers: Iterable[int]) -> None:
        v, v_plane, v_points = _planes("input points", c, columns, x.dtype)
        m, m_plane, m_points = _planes("output points", most, columns, x.dtype)
        scratch = workspace("tile", (compiled.tile_scratch(n),), x.dtype)
        for i in numbers:
            block, share = blocks[i // len(shares)], shares[i % len(shares)]
            where = across, block.start, block.stop - block.start
            compiled.input_points(
                flat, c, h, wide, n, *padding, *where, v, v_plane, columns, scratch
            )
            seen, part = slice(where[2] * n), y[share]
            np.matmul(u[:, share], v_points[..., seen], out=m_points[:, : len(part), seen])
            size = len(part), oh, ow, n
            own, bs = part.reshape(-1), bias[share]
            compiled.outputs(m, m_plane, columns, *size, *where, bs, own, scratch)

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
    flat = x.reshape(-1)
    blocks = _blocks(down * across, 36 * (c + o) * n * x.itemsize, MAX_SUM_BYTES)
    shares = _shares(blocks, o)
    columns = _longest(blocks) * n
    runs = split_range(len(blocks), get_num_threads())
    sums = empty((len(runs), 36, o, c), x.dtype)

    def task(i: int) -> None:
        run, share = blocks[runs[i // len(shares)]], shares[i % len(shares)]
        total, part = sums[i // len(shares)][:, share], g[share]
        own, size = part.reshape(-1), (len(part), oh, ow, n)
        v, v_plane, v_points = _planes("input points", c, columns, x.dtype)
        m, m_plane, m_points = _planes("output points", len(part), columns, x.dtype)
        scratch = workspace("tile", (compiled.tile_scratch(n),), x.dtype)
        for k, block in enumerate(run):
            where = across, block.start, block.stop - block.start
            compiled.input_points(
                flat, c, h, wide, n, *padding, *where, v, v_plane, columns, scratch
            )
            compiled.gradient_points(own, *size, *where, m, m_plane, columns, scratch)
            seen = slice(where[2] * n)
            left, right = m_points[..., seen], v_points[..., seen].transpose(0, 2, 1)
            if k == 0:
                np.matmul(left, right, out=total)
            else:
                product = workspace("filter points", total.shape, total.dtype)
                total += np.matmul(left, right, out=product)

    parallel(task, len(runs) * len(shares))
    gw, points = np.empty((o, c, 3, 3), x.dtype), sums.reshape(-1)
    parts = split_range(o, get_num_threads())

    def finish(i: int) -> None:
        scratch = workspace("filters", (compiled.filter_scratch(c),), x.dtype)
        sizes = len(runs), o, c, parts[i].start, parts[i].stop
        compiled.filter_gradient(points, *sizes, gw.reshape(-1), scratch)

    parallel(finish, len(parts), points.size)
    return gw

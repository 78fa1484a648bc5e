"""The transforms of Winograd convolution F(4 x 4, 3 x 3); :mod:`minigrad.cpu.conv_winograd`
explains them and names the sizes.

Images are flat (C, H, W, N) memory, cut into 4 x 4 tiles that are numbered row by row. A block of
tiles is transformed into its 36 points: flat (36, C, tiles, N) memory with ``plane`` elements from
one of the 36 planes to the next, and ``pitch`` from one channel to the next.
"""

from __future__ import annotations

import numpy as np

from . import inline
from .team import parallel_for
from .tiles import gradient_tile, input_tile, output_tile
from .vector import BLOCK_BYTES, LINES, ROWS, WIDTH, dots, lines, outer

SUMMED = 16  # input channels whose sums are formed together
FILTERS = 256  # filters that are transformed together, or one row of them if that has more
PAD = 16  # elements between rows, which are then apart from powers of two: these share cache lines

# The transforms of filters read, for n columns, the rows at i, i + s, i + 2 s … of one array and
# write the rows at j, j + t, j + 2 t … of another. Offsets are unsigned: no index then counts from
# an array's end, and the compiler can see that no written value is read.
U = np.uint64


@inline
def _six(i, s):
    """i, i + s … i + 5 s."""
    return U(i), U(i + s), U(i + 2 * s), U(i + 3 * s), U(i + 4 * s), U(i + 5 * s)


@inline
def _g(w, i, s, u, j, t, n):
    """u = G w: three rows to six."""
    i0, i1, i2, _, _, _ = _six(i, s)
    j0, j1, j2, j3, j4, j5 = _six(j, t)
    f = w.dtype.type
    half, quarter, sixth, ninth, k = f(1 / 2), f(1 / 4), f(1 / 6), f(1 / 9), f(16 / 9)
    for x in range(U(n)):
        w0, w1, w2 = w[i0 + x], w[i1 + x], w[i2 + x]
        u[j0 + x], u[j5 + x] = k * w0, w2
        even, odd = -w0 - quarter * w2, half * w1
        u[j1 + x], u[j2 + x] = even - odd, even + odd
        even, odd = ninth * w0 + quarter * w2, sixth * w1
        u[j3 + x], u[j4 + x] = even + odd, even - odd


@inline
def _gt(u, i, s, w, j, t, n):
    """w = Gᵀ u: six rows to three."""
    i0, i1, i2, i3, i4, i5 = _six(i, s)
    j0, j1, j2, _, _, _ = _six(j, t)
    f = u.dtype.type
    half, quarter, sixth, ninth, k = f(1 / 2), f(1 / 4), f(1 / 6), f(1 / 9), f(16 / 9)
    for x in range(U(n)):
        u0, u1, u2 = u[i0 + x], u[i1 + x], u[i2 + x]
        u3, u4, u5 = u[i3 + x], u[i4 + x], u[i5 + x]
        near, far = u1 + u2, u3 + u4
        w[j0 + x] = k * u0 - near + ninth * far
        w[j1 + x] = half * (u2 - u1) + sixth * (u3 - u4)
        w[j2 + x] = quarter * (far - near) + u5


@inline
def _copy(x, i, y, j, n):
    source, target = x[i : i + n], y[j : j + n]
    for k in range(n):
        target[k] = source[k]


@inline
def _fill(y, j, n, value):
    target = y[j : j + n]
    for k in range(n):
        target[k] = value


@inline
def _sum(x, i, y, j, n):
    source, target = x[i : i + n], y[j : j + n]
    for k in range(n):
        target[k] += source[k]


@inline
def _ahead(plane, n, tiles):
    """How far behind a tile's pixels lie those of the next one of the block: of the tile 4 pixels
    on, or if the block has only one tile, of the same tile in the next channel."""
    return 4 * n if tiles > 1 else plane


@inline
def input_points(x, size, padding, block, across, v, plane, pitch, zeros):
    """v = Bᵀ d B for a ``block`` of the zero-padded images x, whose ``size`` is (C, H, W, N).
    ``block`` holds the first image, the number of images, at least as many as a vector has lanes,
    the first tile and the number of tiles, ``across`` per row. Neighbouring tiles overlap by two
    pixels. ``zeros`` holds 6 n of them."""
    channels, h, w, n = size
    image, images, first, tiles = block[0], block[1], block[2], block[3]
    lanes, ahead = WIDTH // x.itemsize, _ahead(h * w * n, n, tiles)
    for c in range(channels):
        for k in range(tiles):
            row, column = divmod(first + k, across)
            i, j = 4 * row - padding[0], 4 * column - padding[1]
            start, to = ((c * h + i) * w + j) * n + image, c * pitch + k * images
            for e in range(0, images, lanes):
                e = min(e, images - lanes)  # the last two vectors may overlap
                input_tile(
                    x, start + e, w * n, n, -i, h - i, -j, w - j, ahead, zeros, v, to + e, plane
                )  # fmt: skip


@inline
def gradient_points(g, size, channels, block, across, m, plane, pitch, zeros):
    """m = A g Aᵀ for a ``block``, see :func:`input_points`, of ``channels`` (first, last + 1) of g,
    which is zero outside of its ``size`` (O, OH, OW, N)."""
    _, h, w, n = size
    image, images, first, tiles = block[0], block[1], block[2], block[3]
    lanes, ahead = WIDTH // g.itemsize, _ahead(h * w * n, n, tiles)
    for c in range(channels[0], channels[1]):
        for k in range(tiles):
            row, column = divmod(first + k, across)
            i, j = 4 * row, 4 * column
            start, to = ((c * h + i) * w + j) * n + image, (c - channels[0]) * pitch + k * images
            for e in range(0, images, lanes):
                e = min(e, images - lanes)
                gradient_tile(
                    g, start + e, w * n, n, 0, h - i, 0, w - j, ahead, zeros, m, to + e, plane
                )  # fmt: skip


@inline
def outputs(m, plane, pitch, size, channels, block, across, bias, y):
    """y = Aᵀ m A + bias for a ``block`` of ``channels``, see :func:`gradient_points`; bias may be
    empty."""
    _, h, w, n = size
    image, images, first, tiles = block[0], block[1], block[2], block[3]
    lanes = WIDTH // y.itemsize
    for c in range(channels[0], channels[1]):
        shift = bias[c] if len(bias) else y.dtype.type(0)
        for k in range(tiles):
            row, column = divmod(first + k, across)
            i, j = 4 * row, 4 * column
            at, start = (c - channels[0]) * pitch + k * images, ((c * h + i) * w + j) * n + image
            for e in range(0, images, lanes):
                e = min(e, images - lanes)
                output_tile(m, at + e, plane, shift, y, start + e, w * n, n, h - i, w - j)


@inline
def products(u, v, v_plane, v_pitch, c, first, last, columns, m, m_plane, m_pitch, zeros):
    """m = u v at each of the 36 points for ``columns`` columns and blocks first … last − 1 of ROWS
    output channels: u flat (36, blocks, C, ROWS)."""
    step = BLOCK_BYTES // v.itemsize
    u_plane = len(u) // 36
    for k in range(36):
        for e in range(0, columns, step):
            for block in range(first, last):
                outer(
                    u, k * u_plane + block * c * ROWS, v, k * v_plane + e, v_pitch, c, m,
                    k * m_plane + (block - first) * ROWS * m_pitch + e, m_pitch, zeros, 0, True,
                )  # fmt: skip


@inline
def sum_products(
    m, m_plane, m_pitch, first, outputs, v, v_plane, v_pitch, c, columns, rows, points, fresh
):
    """points += m vᵀ at each of the 36 points, over ``columns`` columns, for ``outputs`` channels
    from ``first`` on: points flat (36, rows, C). ``outputs`` is a multiple of LINES, and C one of
    :func:`vector.lines`. With ``fresh`` points are overwritten."""
    lanes, across = BLOCK_BYTES // 2 // v.itemsize, lines(v.itemsize)
    for k in range(36):
        for some in range(0, c, SUMMED):  # rows of v that stay in the first-level cache
            for o in range(0, outputs, LINES):
                for i in range(some, min(some + SUMMED, c), across):
                    dots(
                        m, k * m_plane + o * m_pitch, m_pitch, v, k * v_plane + i * v_pitch,
                        v_pitch, columns // lanes, points, (k * rows + first + o) * c + i, c, fresh,
                    )  # fmt: skip


@inline
def clear(v, plane, pitch, channels, first, last):
    """v = 0 in columns first … last − 1."""
    for k in range(36):
        for c in range(channels):
            _fill(v, k * plane + c * pitch + first, last - first, v.dtype.type(0))


@parallel_for
def correlate(
    x, size, padding, u, shares, group, blocks, across, vs, v_plane, v_pitch, ms, m_plane, m_pitch,
    zeros, bias, y, y_size, seat, first, last,
):  # fmt: skip
    """Of each block in turn all shares of the output channels, number ``first`` to ``last``: the
    points of the inputs, then, for ``group`` units of ROWS channels at a time, products with those
    of the filters, u, and outputs. A share is (first unit, last + 1)."""
    v, m, before = vs[seat], ms[seat], -1
    for number in range(first, last):
        b, rows = number // len(shares), shares[number % len(shares)]
        block = blocks[b]
        if b != before:
            input_points(x, size, padding, block, across, v, v_plane, v_pitch, zeros)
            before = b
        for start in range(rows[0], rows[1], group):
            stop = min(start + group, rows[1])
            columns = block[1] * block[3]
            products(
                u, v, v_plane, v_pitch, size[0], start, stop, columns, m, m_plane, m_pitch, zeros
            )
            channels = start * ROWS, min(stop * ROWS, y_size[0])
            outputs(m, m_plane, m_pitch, y_size, channels, block, across, bias, y)


@parallel_for
def weight_gradient(
    x, size, padding, g, g_size, shares, runs, blocks, across, vs, v_plane, v_pitch, ms, m_plane,
    m_pitch, zeros, sums, width, rows, seat, first, last,
):  # fmt: skip
    """Of each run of blocks all shares of the output channels, number ``first`` to ``last``: the
    sum of m vᵀ over its blocks, (36, rows, width). A run and a share are (first, last + 1). The
    points of both have room for a multiple of LINES channels, and of a vector's lanes."""
    v, m, lanes = vs[seat], ms[seat], BLOCK_BYTES // 2 // x.itemsize
    for number in range(first, last):
        run, share = number // len(shares), shares[number % len(shares)]
        channels, points = (share[0], share[1]), sums[run]
        own_rows = -(-(channels[1] - channels[0]) // LINES) * LINES
        for b in range(runs[run, 0], runs[run, 1]):
            block = blocks[b]
            columns = block[1] * block[3]
            whole = -(-columns // lanes) * lanes
            input_points(x, size, padding, block, across, v, v_plane, v_pitch, zeros)
            gradient_points(g, g_size, channels, block, across, m, m_plane, m_pitch, zeros)
            if whole > columns:
                clear(v, v_plane, v_pitch, width, columns, whole)
                clear(m, m_plane, m_pitch, own_rows, columns, whole)
            sum_products(
                m, m_plane, m_pitch, channels[0], own_rows, v, v_plane, v_pitch, width, whole,
                rows, points, b == runs[run, 0],
            )  # fmt: skip


@inline
def _spread(x, i, step, y, j, pitch, n, count):
    """Copy ``count`` runs of n elements: ``step`` apart in x, from i on, ``pitch`` apart in y, from
    j on. Runs are short, so loops go over all runs, by one, two or four elements of each."""
    step, pitch = U(step), U(pitch)
    if n % 4 == 0:
        for e in range(0, n, 4):
            s, t = U(i + e), U(j + e)
            for _ in range(count):
                x0, x1, x2, x3 = x[s], x[s + U(1)], x[s + U(2)], x[s + U(3)]
                y[t], y[t + U(1)], y[t + U(2)], y[t + U(3)] = x0, x1, x2, x3
                s, t = s + step, t + pitch
    elif n % 2 == 0:
        for e in range(0, n, 2):
            s, t = U(i + e), U(j + e)
            for _ in range(count):
                x0, x1 = x[s], x[s + U(1)]
                y[t], y[t + U(1)] = x0, x1
                s, t = s + step, t + pitch
    else:
        for e in range(n):
            s, t = U(i + e), U(j + e)
            for _ in range(count):
                y[t] = x[s]
                s, t = s + step, t + pitch


@parallel_for
def cut(x, size, before, step, piece, grid, y, first, last):
    """y (C, *piece, pieces · N) = the pieces of a ``grid`` (down, across) of the images x of
    ``size`` (C, H, W, N), as images of their own. The one at (a, b) begins ``before`` rows and
    columns ahead of a and b steps. Zeros lie outside of x."""
    _, h, w, n = size
    pitch = grid[0] * grid[1] * n
    for c in range(first, last):
        for i in range(piece[0]):
            at = (c * piece[0] + i) * piece[1] * pitch
            _fill(y, at, piece[1] * pitch, y.dtype.type(0))
            for a in range(grid[0]):
                row = a * step[0] + i - before[0]
                if row < 0 or row >= h:
                    continue
                for b in range(grid[1]):
                    left = b * step[1] - before[1]
                    low, high = max(0, -left), min(piece[1], w - left)
                    start = ((c * h + row) * w + left + low) * n
                    to = at + low * pitch + (a * grid[1] + b) * n
                    _spread(x, start, n, y, to, pitch, n, high - low)


@parallel_for
def join(x, piece, grid, y, size, first, last):
    """y of ``size`` (C, H, W, N) = the pieces x (C, *piece, pieces · N) of a grid, side by side."""
    _, h, w, n = size
    pitch = grid[0] * grid[1] * n
    for c in range(first, last):
        for i in range(h):
            a, row = divmod(i, piece[0])
            for b in range(grid[1]):
                left = b * piece[1]
                start = (c * piece[0] + row) * piece[1] * pitch + (a * grid[1] + b) * n
                count = min(piece[1], w - left)
                _spread(x, start, pitch, y, ((c * h + i) * w + left) * n, n, n, count)


def filter_scratch(c: int) -> int:
    """Number of scratch elements that the transforms of filters need."""
    return (36 + 18) * (max(FILTERS, ROWS * c) + PAD)


@parallel_for
def filter_points(w, u, scratches, seat, first, last):
    """u = G w Gᵀ for blocks first … last − 1 of ROWS output channels: w (O, C, 9) of any strides, u
    flat (36, blocks, C, ROWS), zero where there is no filter."""
    outputs, c = w.shape[:2]
    n, plane, scratch = c * ROWS, len(u) // 36, scratches[seat]
    p = n + PAD
    flat, half = scratch[: 9 * p], scratch[9 * p :]
    for block in range(first, last):
        for r in range(ROWS):
            o = block * ROWS + r
            for i in range(c):
                for k in range(9):
                    flat[k * p + i * ROWS + r] = w[o, i, k] if o < outputs else u.dtype.type(0)
        for k in range(3):
            _g(flat, k * p, 3 * p, half, k * p, 3 * p, n)
        for r in range(6):
            _g(half, 3 * r * p, p, u, 6 * r * plane + block * n, plane, n)


@parallel_for
def filter_gradient(points, shares, rows, width, c, gw, scratches, seat, first, last):
    """gw = Gᵀ (Σ over shares of points) G for output channels first … last − 1: points flat
    (shares, 36, rows, width), gw flat (O, C, 3, 3)."""
    several, plane, scratch = max(1, FILTERS // width), rows * width, scratches[seat]
    whole = 36 * (several * width + PAD)
    flat, half = scratch[:whole], scratch[whole:]
    for o in range(first, last, several):
        n = min(several, last - o) * width
        p = n + PAD
        for k in range(36):
            _copy(points, k * plane + o * width, flat, k * p, n)
            for share in range(1, shares):
                _sum(points, (36 * share + k) * plane + o * width, flat, k * p, n)
        for r in range(6):
            _gt(flat, 6 * r * p, p, half, 3 * r * p, p, n)
        for k in range(3):
            _gt(half, k * p, 3 * p, flat, k * p, 3 * p, n)
        for at in range(0, n, width):
            for i in range(c):
                to = ((o + at // width) * c + i) * 9
                for k in range(9):
                    gw[to + k] = flat[k * p + at + i]

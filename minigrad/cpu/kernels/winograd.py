"""The transforms of Winograd convolution F(4 x 4, 3 x 3); :mod:`minigrad.cpu.conv_winograd`
explains them and names the sizes.

Images are flat (C, H, W, N) memory, cut into 4 x 4 tiles that are numbered row by row. A block of
tiles is transformed into its 36 points: flat (36, C, tiles, N) memory with ``plane`` elements from
one of the 36 planes to the next, and ``pitch`` from one channel to the next. Two-dimensional
transforms apply the one-dimensional ones twice. Each step loops over at least N contiguous
elements.
"""

from __future__ import annotations

import numpy as np

from . import inline, jit
from .vector import BLOCK_BYTES, LINES, ROWS, dots, lines, outer

TILES = 4  # tiles of one row that are transformed together
SUMMED = 16  # input channels whose sums are formed together
FILTERS = 256  # filters that are transformed together, or one row of them if that has more

# All one-dimensional transforms have the same form. For n columns they read the rows at i, i + s, i
# + 2 s … of one array and write the rows at j, j + t, j + 2 t … of another. With ``runs`` groups of
# columns, these begin at i, i + far … and at j, j + n … Offsets are unsigned: no index then counts
# from an array's end, and the compiler can see, once for all runs, that no written value is read.
U = np.uint64


@inline
def _six(i, s):
    """i, i + s … i + 5 s."""
    return U(i), U(i + s), U(i + 2 * s), U(i + 3 * s), U(i + 4 * s), U(i + 5 * s)


@inline
def _bt(d, i, s, v, j, t, n, runs=1, far=0):
    """v = Bᵀ d: six rows to six."""
    i0, i1, i2, i3, i4, i5 = _six(i, s)
    j0, j1, j2, j3, j4, j5 = _six(j, t)
    f = d.dtype.type
    p, q, half, quarter, k, kk = f(0.5625), f(2.5), f(0.5), f(0.25), f(1.5), f(2.25)
    for run in range(U(runs)):
        for x in range(U(n)):
            a, b = run * U(far) + x, run * U(n) + x
            d0, d1, d2 = d[i0 + a], d[i1 + a], d[i2 + a]
            d3, d4, d5 = d[i3 + a], d[i4 + a], d[i5 + a]
            v[j0 + b] = p * d0 - q * d2 + d4
            v[j5 + b] = p * d1 - q * d3 + d5
            even, odd = d4 - kk * d2, half * (d3 - kk * d1)
            v[j1 + b], v[j2 + b] = even + odd, even - odd
            even, odd = d4 - quarter * d2, k * (d3 - quarter * d1)
            v[j3 + b], v[j4 + b] = even + odd, even - odd


@inline
def _at(m, i, s, y, j, t, n, runs=1, far=0):
    """y = Aᵀ m: six rows to four. Runs begin at i, i + n … and at j, j + far …"""
    i0, i1, i2, i3, i4, i5 = _six(i, s)
    j0, j1, j2, j3, _, _ = _six(j, t)
    f = m.dtype.type
    p, pp, ppp = f(0.5), f(0.25), f(0.125)
    q, qq, qqq = f(1.5), f(2.25), f(3.375)
    for run in range(U(runs)):
        for x in range(U(n)):
            a, b = run * U(n) + x, run * U(far) + x
            m0, m1, m2 = m[i0 + a], m[i1 + a], m[i2 + a]
            m3, m4, m5 = m[i3 + a], m[i4 + a], m[i5 + a]
            even_p, odd_p = m1 + m2, m1 - m2
            even_q, odd_q = m3 + m4, m3 - m4
            y[j0 + b] = m0 + even_p + even_q
            y[j1 + b] = p * odd_p + q * odd_q
            y[j2 + b] = pp * even_p + qq * even_q
            y[j3 + b] = ppp * odd_p + qqq * odd_q + m5


@inline
def _a(g, i, s, m, j, t, n, runs=1, far=0):
    """m = A g: four rows to six."""
    i0, i1, i2, i3, _, _ = _six(i, s)
    j0, j1, j2, j3, j4, j5 = _six(j, t)
    f = g.dtype.type
    p, pp, ppp = f(0.5), f(0.25), f(0.125)
    q, qq, qqq = f(1.5), f(2.25), f(3.375)
    for run in range(U(runs)):
        for x in range(U(n)):
            a, b = run * U(far) + x, run * U(n) + x
            g0, g1, g2, g3 = g[i0 + a], g[i1 + a], g[i2 + a], g[i3 + a]
            m[j0 + b], m[j5 + b] = g0, g3
            even, odd = g0 + pp * g2, p * g1 + ppp * g3
            m[j1 + b], m[j2 + b] = even + odd, even - odd
            even, odd = g0 + qq * g2, q * g1 + qqq * g3
            m[j3 + b], m[j4 + b] = even + odd, even - odd


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
def _add(y, j, n, value):
    target = y[j : j + n]
    for k in range(n):
        target[k] += value


@inline
def _sum(x, i, y, j, n):
    source, target = x[i : i + n], y[j : j + n]
    for k in range(n):
        target[k] += source[k]


def tile_scratch(n: int) -> int:
    """Number of scratch elements that the transforms of n images need."""
    return 12 * (4 * TILES + 2) * n


@inline
def _runs(columns, count, n):
    """``columns`` pixels of ``count`` images each as (number of runs, elements of each): one run if
    these are all the images."""
    return (1, columns * n) if count == n else (columns, count)


@jit
def input_points(
    x, channels, h, w, n, pad_h, pad_w, image, images,
    across, first, tiles, v, plane, pitch, scratch,
):  # fmt: skip
    """v = Bᵀ d B for tiles first … first + tiles − 1 (``across`` per row) of the zero-padded images
    image … image + images − 1 of x. Neighbouring tiles overlap by two pixels."""
    zero = x.dtype.type(0)
    framed = 6 * (4 * TILES + 2) * images
    border = scratch[framed:]
    for c in range(channels):
        k = 0
        while k < tiles:
            row, column = divmod(first + k, across)
            count = min(TILES, across - column, tiles - k)
            wide = 4 * count + 2
            i, j = 4 * row - pad_h, 4 * column - pad_w
            # Transform the columns that lie inside the image; the others give zeros.
            left, right = max(0, -j), max(0, min(wide, w - j))
            inside = (right - left) * images
            start = ((c * h + i) * w + j + left) * n + image
            runs, length = _runs(right - left, images, n)
            to = left * images
            if i >= 0 and i + 6 <= h:
                _bt(x, start, w * n, scratch, to, wide * images, length, runs, n)
            else:
                for r in range(6):
                    if 0 <= i + r < h:
                        for run in range(runs):
                            at = start + r * w * n + run * n
                            _copy(x, at, border, r * inside + run * length, length)
                    else:
                        _fill(border, r * inside, inside, zero)
                _bt(border, 0, inside, scratch, to, wide * images, inside)
            for r in range(6):
                _fill(scratch, r * wide * images, to, zero)
                _fill(scratch, (r * wide + right) * images, (wide - right) * images, zero)
            at = c * pitch + k * images
            for r in range(6):
                _bt(
                    scratch, r * wide * images, images, v, at + 6 * r * plane, plane, images,
                    count, 4 * images,
                )  # fmt: skip
            k += count


@jit
def products(u, v, v_plane, v_pitch, c, first, last, columns, m, m_plane, m_pitch):
    """m = u v at each of the 36 points for ``columns`` columns and blocks first … last − 1 of ROWS
    output channels: u flat (36, blocks, C, ROWS)."""
    step, zeros = BLOCK_BYTES // v.itemsize, np.zeros(ROWS, v.dtype)
    u_plane = len(u) // 36
    for k in range(36):
        for e in range(0, columns, step):
            for block in range(first, last):
                outer(
                    u, k * u_plane + block * c * ROWS, v, k * v_plane + e, v_pitch, c, m,
                    k * m_plane + (block - first) * ROWS * m_pitch + e, m_pitch, zeros, 0, True,
                )  # fmt: skip


@jit
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


@jit
def clear(v, plane, pitch, channels, first, last):
    """v = 0 in columns first … last − 1."""
    for k in range(36):
        for c in range(channels):
            _fill(v, k * plane + c * pitch + first, last - first, v.dtype.type(0))


@jit
def outputs(
    m, plane, pitch, channels, h, w, n, image, images, across, first, tiles, bias, y, scratch
):
    """y = Aᵀ m A + bias for tiles first … first + tiles − 1 of the images image … image + images −
    1 of y; bias may be empty."""
    edge = scratch[24 * images :]
    for c in range(channels):
        for k in range(tiles):
            row, column = divmod(first + k, across)
            at = c * pitch + k * images
            for r in range(6):
                _at(m, at + 6 * r * plane, plane, scratch, r * 4 * images, images, images)
            start = ((c * h + 4 * row) * w + 4 * column) * n + image
            down, wide = min(4, h - 4 * row), min(4, w - 4 * column)
            runs, length = _runs(wide, images, n)
            if down == 4 and wide == 4:
                _at(scratch, 0, 4 * images, y, start, w * n, length, runs, n)
            else:
                _at(scratch, 0, 4 * images, edge, 0, 4 * images, 4 * images)
                for r in range(down):
                    for run in range(runs):
                        at = start + r * w * n + run * n
                        _copy(edge, 4 * r * images + run * length, y, at, length)
            if len(bias):
                for r in range(down):
                    for run in range(runs):
                        _add(y, start + r * w * n + run * n, length, bias[c])


@jit
def gradient_points(
    g, channels, h, w, n, image, images, across, first, tiles, m, plane, pitch, scratch
):
    """m = A g Aᵀ for tiles first … first + tiles − 1 of the images image … image + images − 1 of g,
    which is zero outside."""
    zero = g.dtype.type(0)
    edge = scratch[24 * TILES * images :]
    for c in range(channels):
        k = 0
        while k < tiles:
            row, column = divmod(first + k, across)
            count = min(TILES, across - column, tiles - k)
            at, size = c * pitch + k * images, 4 * count * images
            start = ((c * h + 4 * row) * w + 4 * column) * n + image
            down, wide = min(4, h - 4 * row), min(4 * count, w - 4 * column)
            runs, length = _runs(wide, images, n)
            if down == 4 and wide == 4 * count:
                _a(g, start, w * n, scratch, 0, size, length, runs, n)
            else:
                _fill(edge, 0, 4 * size, zero)
                for r in range(down):
                    for run in range(runs):
                        at_g = start + r * w * n + run * n
                        _copy(g, at_g, edge, r * size + run * length, length)
                _a(edge, 0, size, scratch, 0, size, size)
            for r in range(6):
                _a(
                    scratch, r * size, images, m, at + 6 * r * plane, plane, images,
                    count, 4 * images,
                )  # fmt: skip
            k += count


def filter_scratch(c: int) -> int:
    """Number of scratch elements that the transforms of filters need."""
    return (36 + 18) * max(FILTERS, ROWS * c)


@jit
def filter_points(w, first, last, u, scratch):
    """u = G w Gᵀ for blocks first … last − 1 of ROWS output channels: w (O, C, 9) of any strides, u
    flat (36, blocks, C, ROWS), zero where there is no filter."""
    outputs, c = w.shape[:2]
    n, plane = c * ROWS, len(u) // 36
    flat, half = scratch[: 9 * n], scratch[9 * n :]
    for block in range(first, last):
        for r in range(ROWS):
            o = block * ROWS + r
            for i in range(c):
                for k in range(9):
                    flat[k * n + i * ROWS + r] = w[o, i, k] if o < outputs else u.dtype.type(0)
        _g(flat, 0, 3 * n, half, 0, 3 * n, 3 * n)
        for r in range(6):
            _g(half, 3 * r * n, n, u, 6 * r * plane + block * n, plane, n)


@jit
def filter_gradient(points, shares, rows, width, c, first, last, gw, scratch):
    """gw = Gᵀ (Σ over shares of points) G for output channels first … last − 1: points flat
    (shares, 36, rows, width), gw flat (O, C, 3, 3)."""
    several, plane = max(1, FILTERS // width), rows * width
    flat, half = scratch[: 36 * several * width], scratch[36 * several * width :]
    for o in range(first, last, several):
        n = min(several, last - o) * width
        for k in range(36):
            _copy(points, k * plane + o * width, flat, k * n, n)
            for share in range(1, shares):
                _sum(points, (36 * share + k) * plane + o * width, flat, k * n, n)
        for r in range(6):
            _gt(flat, 6 * r * n, n, half, 3 * r * n, n, n)
        _gt(half, 0, 3 * n, flat, 0, 3 * n, 3 * n)
        for at in range(0, n, width):
            for i in range(c):
                to = ((o + at // width) * c + i) * 9
                for k in range(9):
                    gw[to + k] = flat[k * n + at + i]

"""The transforms of Winograd convolution F(4 x 4, 3 x 3); :mod:`minigrad.ops.winograd` says what
they are for and names the sizes.

Images are flat (C, H, W, N) memory, cut into 4 x 4 tiles, numbered row by row. A block of tiles is
transformed into its 36 points: flat (36, C, tiles, N) memory whose 36 planes lie ``plane`` elements
apart, and their channels ``pitch``. The two-dimensional transforms are the one-dimensional ones
applied twice, every step a loop over at least N neighbouring elements.
"""

from __future__ import annotations

from . import inline, jit

TILES = 4  # of one row that the first step of `input_points` takes together
FILTERS = 256  # that are transformed together, if one row of them is not more


@inline
def _bt(d, i, s, v, j, t, n):
    """v = Bᵀ d for n columns: six rows of d, s apart from i on, to six of v, t apart from j on."""
    d0, d1, d2 = d[i : i + n], d[i + s : i + s + n], d[i + 2 * s : i + 2 * s + n]
    i += 3 * s
    d3, d4, d5 = d[i : i + n], d[i + s : i + s + n], d[i + 2 * s : i + 2 * s + n]
    v0, v1, v2 = v[j : j + n], v[j + t : j + t + n], v[j + 2 * t : j + 2 * t + n]
    j += 3 * t
    v3, v4, v5 = v[j : j + n], v[j + t : j + t + n], v[j + 2 * t : j + 2 * t + n]
    c = d.dtype.type
    p, q, half, quarter, k, kk = c(0.5625), c(2.5), c(0.5), c(0.25), c(1.5), c(2.25)
    for x in range(n):
        v0[x] = p * d0[x] - q * d2[x] + d4[x]
        v5[x] = p * d1[x] - q * d3[x] + d5[x]
        even, odd = d4[x] - kk * d2[x], half * (d3[x] - kk * d1[x])
        v1[x], v2[x] = even + odd, even - odd
        even, odd = d4[x] - quarter * d2[x], k * (d3[x] - quarter * d1[x])
        v3[x], v4[x] = even + odd, even - odd


@inline
def _at(m, i, s, y, j, t, n):
    """y = Aᵀ m for n columns: six rows of m to four of y."""
    m0, m1, m2 = m[i : i + n], m[i + s : i + s + n], m[i + 2 * s : i + 2 * s + n]
    i += 3 * s
    m3, m4, m5 = m[i : i + n], m[i + s : i + s + n], m[i + 2 * s : i + 2 * s + n]
    y0, y1 = y[j : j + n], y[j + t : j + t + n]
    y2, y3 = y[j + 2 * t : j + 2 * t + n], y[j + 3 * t : j + 3 * t + n]
    c = m.dtype.type
    a, b = c(0.5), c(1.5)
    aa, bb, aaa, bbb = c(0.25), c(2.25), c(0.125), c(3.375)
    for x in range(n):
        even_a, odd_a = m1[x] + m2[x], m1[x] - m2[x]
        even_b, odd_b = m3[x] + m4[x], m3[x] - m4[x]
        y0[x] = m0[x] + even_a + even_b
        y1[x] = a * odd_a + b * odd_b
        y2[x] = aa * even_a + bb * even_b
        y3[x] = aaa * odd_a + bbb * odd_b + m5[x]


@inline
def _a(g, i, s, m, j, t, n):
    """m = A g for n columns: four rows of g to six of m."""
    g0, g1 = g[i : i + n], g[i + s : i + s + n]
    g2, g3 = g[i + 2 * s : i + 2 * s + n], g[i + 3 * s : i + 3 * s + n]
    m0, m1, m2 = m[j : j + n], m[j + t : j + t + n], m[j + 2 * t : j + 2 * t + n]
    j += 3 * t
    m3, m4, m5 = m[j : j + n], m[j + t : j + t + n], m[j + 2 * t : j + 2 * t + n]
    c = g.dtype.type
    a, b = c(0.5), c(1.5)
    aa, bb, aaa, bbb = c(0.25), c(2.25), c(0.125), c(3.375)
    for x in range(n):
        m0[x], m5[x] = g0[x], g3[x]
        even, odd = g0[x] + aa * g2[x], a * g1[x] + aaa * g3[x]
        m1[x], m2[x] = even + odd, even - odd
        even, odd = g0[x] + bb * g2[x], b * g1[x] + bbb * g3[x]
        m3[x], m4[x] = even + odd, even - odd


@inline
def _g(w, i, s, u, j, t, n):
    """u = G w for n columns: three rows of w to six of u."""
    w0, w1, w2 = w[i : i + n], w[i + s : i + s + n], w[i + 2 * s : i + 2 * s + n]
    u0, u1, u2 = u[j : j + n], u[j + t : j + t + n], u[j + 2 * t : j + 2 * t + n]
    j += 3 * t
    u3, u4, u5 = u[j : j + n], u[j + t : j + t + n], u[j + 2 * t : j + 2 * t + n]
    c = w.dtype.type
    half, quarter, sixth, ninth, k = c(1 / 2), c(1 / 4), c(1 / 6), c(1 / 9), c(16 / 9)
    for x in range(n):
        u0[x], u5[x] = k * w0[x], w2[x]
        even, odd = -w0[x] - quarter * w2[x], half * w1[x]
        u1[x], u2[x] = even - odd, even + odd
        even, odd = ninth * w0[x] + quarter * w2[x], sixth * w1[x]
        u3[x], u4[x] = even + odd, even - odd


@inline
def _gt(u, i, s, w, j, t, n):
    """w = Gᵀ u for n columns: six rows of u to three of w."""
    u0, u1, u2 = u[i : i + n], u[i + s : i + s + n], u[i + 2 * s : i + 2 * s + n]
    i += 3 * s
    u3, u4, u5 = u[i : i + n], u[i + s : i + s + n], u[i + 2 * s : i + 2 * s + n]
    w0, w1, w2 = w[j : j + n], w[j + t : j + t + n], w[j + 2 * t : j + 2 * t + n]
    c = u.dtype.type
    half, quarter, sixth, ninth, k = c(1 / 2), c(1 / 4), c(1 / 6), c(1 / 9), c(16 / 9)
    for x in range(n):
        a, b = u1[x] + u2[x], u3[x] + u4[x]
        w0[x] = k * u0[x] - a + ninth * b
        w1[x] = half * (u2[x] - u1[x]) + sixth * (u3[x] - u4[x])
        w2[x] = quarter * (b - a) + u5[x]


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
    """Elements of scratch that the transforms of images need."""
    return 12 * (4 * TILES + 2) * n


@jit
def input_points(
    x, channels, h, w, n, pad_h, pad_w, across, first, tiles, v, plane, pitch, scratch
):
    """v = Bᵀ d B for tiles first … first + tiles − 1, ``across`` in a row, of the image x with a
    border of zeros. Neighbouring tiles overlap by two pixels."""
    zero = x.dtype.type(0)
    framed = 6 * (4 * TILES + 2) * n
    border = scratch[framed:]
    for c in range(channels):
        k = 0
        while k < tiles:
            row, column = divmod(first + k, across)
            count = min(TILES, across - column, tiles - k)
            wide = 4 * count + 2
            i, j = 4 * row - pad_h, 4 * column - pad_w
            # Down the columns that lie inside the image; the others' points are zero.
            left, right = max(0, -j), max(0, min(wide, w - j))
            inside = (right - left) * n
            start = ((c * h + i) * w + j + left) * n
            if i >= 0 and i + 6 <= h:
                _bt(x, start, w * n, scratch, left * n, wide * n, inside)
            else:
                for r in range(6):
                    if 0 <= i + r < h:
                        _copy(x, start + r * w * n, border, r * inside, inside)
                    else:
                        _fill(border, r * inside, inside, zero)
                _bt(border, 0, inside, scratch, left * n, wide * n, inside)
            for r in range(6):
                _fill(scratch, r * wide * n, left * n, zero)
                _fill(scratch, (r * wide + right) * n, (wide - right) * n, zero)
            for tile in range(count):
                at = c * pitch + (k + tile) * n
                for r in range(6):
                    start = (r * wide + 4 * tile) * n
                    _bt(scratch, start, n, v, at + 6 * r * plane, plane, n)
            k += count


@jit
def outputs(m, plane, pitch, channels, h, w, n, across, first, tiles, bias, y, scratch):
    """y = Aᵀ m A + bias into tiles first … first + tiles − 1 of the image y; no bias if empty."""
    edge = scratch[24 * n :]
    for c in range(channels):
        for k in range(tiles):
            row, column = divmod(first + k, across)
            at = c * pitch + k * n
            for r in range(6):
                _at(m, at + 6 * r * plane, plane, scratch, r * 4 * n, n, n)
            start = ((c * h + 4 * row) * w + 4 * column) * n
            down, wide = min(4, h - 4 * row), min(4, w - 4 * column)
            if down == 4 and wide == 4:
                _at(scratch, 0, 4 * n, y, start, w * n, 4 * n)
            else:
                _at(scratch, 0, 4 * n, edge, 0, 4 * n, 4 * n)
                for r in range(down):
                    _copy(edge, 4 * r * n, y, start + r * w * n, wide * n)
            if len(bias):
                for r in range(down):
                    _add(y, start + r * w * n, wide * n, bias[c])


@jit
def gradient_points(g, channels, h, w, n, across, first, tiles, m, plane, pitch, scratch):
    """m = A g Aᵀ for tiles first … first + tiles − 1 of the image g, zero beyond its edges."""
    zero = g.dtype.type(0)
    edge = scratch[24 * n :]
    for c in range(channels):
        for k in range(tiles):
            row, column = divmod(first + k, across)
            start = ((c * h + 4 * row) * w + 4 * column) * n
            down, wide = min(4, h - 4 * row), min(4, w - 4 * column)
            if down == 4 and wide == 4:
                _a(g, start, w * n, scratch, 0, 4 * n, 4 * n)
            else:
                _fill(edge, 0, 16 * n, zero)
                for r in range(down):
                    _copy(g, start + r * w * n, edge, 4 * r * n, wide * n)
                _a(edge, 0, 4 * n, scratch, 0, 4 * n, 4 * n)
            at = c * pitch + k * n
            for r in range(6):
                _a(scratch, r * 4 * n, n, m, at + 6 * r * plane, plane, n)


def filter_scratch(c: int) -> int:
    """Elements of scratch that :func:`filter_points` and :func:`filter_gradient` need."""
    return (36 + 18) * max(FILTERS, c)


@jit
def filter_points(w, first, last, u, scratch):
    """u = G w Gᵀ of rows first … last − 1 of the filters: w (O, C, 9) of any strides, u flat
    (36, O, C)."""
    outputs, c = w.shape[:2]
    rows = max(1, FILTERS // c)
    flat, half = scratch[: 9 * rows * c], scratch[9 * rows * c :]
    for o in range(first, last, rows):
        count = min(rows, last - o)
        n = count * c
        for r in range(count):
            for i in range(c):
                for k in range(9):
                    flat[k * n + r * c + i] = w[o + r, i, k]
        _g(flat, 0, 3 * n, half, 0, 3 * n, 3 * n)
        for r in range(6):
            _g(half, 3 * r * n, n, u, (6 * r * outputs + o) * c, outputs * c, n)


@jit
def filter_gradient(points, shares, outputs, c, first, last, gw, scratch):
    """gw = Gᵀ (Σ over shares of points) G for rows first … last − 1 of the filters: points flat
    (shares, 36, O, C), gw flat (O, C, 3, 3)."""
    rows, plane = max(1, FILTERS // c), outputs * c
    flat, half = scratch[: 36 * rows * c], scratch[36 * rows * c :]
    for o in range(first, last, rows):
        n = min(rows, last - o) * c
        for k in range(36):
            _copy(points, k * plane + o * c, flat, k * n, n)
            for share in range(1, shares):
                _sum(points, (36 * share + k) * plane + o * c, flat, k * n, n)
        for r in range(6):
            _gt(flat, 6 * r * n, n, half, 3 * r * n, n, n)
        _gt(half, 0, 3 * n, flat, 0, 3 * n, 3 * n)
        for i in range(n):
            for k in range(9):
                gw[(o * c + i) * 9 + k] = flat[k * n + i]

"""Convolution at stride 1 without columns; :mod:`minigrad.ops.direct` says when.

A row of outputs is one contiguous run of OW·N elements, and so is what each tap of the kernel (one
weight per output channel) reads for it. Four output channels and four taps at a time, each element
that is loaded is used four times.
"""

from __future__ import annotations

from . import inline, inline_sum, jit


@inline
def _add_16(y, i, step, x, j0, j1, j2, j3, w, k, taps, n):
    """Four rows of y, ``step`` apart from i on, += a 4 x 4 piece of w @ four runs of x."""
    y0, y1 = y[i : i + n], y[i + step : i + step + n]
    i += 2 * step
    y2, y3 = y[i : i + n], y[i + step : i + step + n]
    x0, x1, x2, x3 = x[j0 : j0 + n], x[j1 : j1 + n], x[j2 : j2 + n], x[j3 : j3 + n]
    a0, a1, a2, a3 = w[k], w[k + 1], w[k + 2], w[k + 3]
    k += taps
    b0, b1, b2, b3 = w[k], w[k + 1], w[k + 2], w[k + 3]
    k += taps
    c0, c1, c2, c3 = w[k], w[k + 1], w[k + 2], w[k + 3]
    k += taps
    d0, d1, d2, d3 = w[k], w[k + 1], w[k + 2], w[k + 3]
    for e in range(n):
        u0, u1, u2, u3 = x0[e], x1[e], x2[e], x3[e]
        y0[e] += a0 * u0 + a1 * u1 + a2 * u2 + a3 * u3
        y1[e] += b0 * u0 + b1 * u1 + b2 * u2 + b3 * u3
        y2[e] += c0 * u0 + c1 * u1 + c2 * u2 + c3 * u3
        y3[e] += d0 * u0 + d1 * u1 + d2 * u2 + d3 * u3


@inline
def _add_1(y, i, x, j, w, n):
    ys, xs = y[i : i + n], x[j : j + n]
    for e in range(n):
        ys[e] += w * xs[e]


@inline
def _fill(y, i, value, n):
    ys = y[i : i + n]
    for e in range(n):
        ys[e] = value


@jit
def correlate(x, row, offsets, w, bias, outputs, height, run, first, last, y):
    """y[o, i] = bias[o] + Σ over taps t of w[o, t] · x[i · row + offsets[t] …] for output rows
    first … last − 1: y (O, height, run), w (O, taps), all flat; no bias if empty."""
    taps, step = len(offsets), height * run
    whole, even = outputs - outputs % 4, taps - taps % 4
    for i in range(first, last):
        here = i * row
        for o in range(outputs):
            at = o * step + i * run
            _fill(y, at, bias[o] if len(bias) else y.dtype.type(0), run)
            for t in range(even if o < whole else 0, taps):
                _add_1(y, at, x, here + offsets[t], w[o * taps + t], run)
        for o in range(0, whole, 4):
            at = o * step + i * run
            for t in range(0, even, 4):
                j0, j1 = here + offsets[t], here + offsets[t + 1]
                j2, j3 = here + offsets[t + 2], here + offsets[t + 3]
                _add_16(y, at, step, x, j0, j1, j2, j3, w, o * taps + t, taps, run)


@inline_sum
def _dot_16(g, i, step, x, j0, j1, j2, j3, w, k, taps, n):
    """A 4 x 4 piece of w += the dot products of four rows of g with four runs of x."""
    g0, g1 = g[i : i + n], g[i + step : i + step + n]
    i += 2 * step
    g2, g3 = g[i : i + n], g[i + step : i + step + n]
    x0, x1, x2, x3 = x[j0 : j0 + n], x[j1 : j1 + n], x[j2 : j2 + n], x[j3 : j3 + n]
    zero = x.dtype.type(0)
    a0, a1, a2, a3 = zero, zero, zero, zero
    b0, b1, b2, b3 = zero, zero, zero, zero
    c0, c1, c2, c3 = zero, zero, zero, zero
    d0, d1, d2, d3 = zero, zero, zero, zero
    for e in range(n):
        u0, u1, u2, u3 = x0[e], x1[e], x2[e], x3[e]
        v = g0[e]
        a0, a1, a2, a3 = a0 + v * u0, a1 + v * u1, a2 + v * u2, a3 + v * u3
        v = g1[e]
        b0, b1, b2, b3 = b0 + v * u0, b1 + v * u1, b2 + v * u2, b3 + v * u3
        v = g2[e]
        c0, c1, c2, c3 = c0 + v * u0, c1 + v * u1, c2 + v * u2, c3 + v * u3
        v = g3[e]
        d0, d1, d2, d3 = d0 + v * u0, d1 + v * u1, d2 + v * u2, d3 + v * u3
    for value in (a0, a1, a2, a3), (b0, b1, b2, b3), (c0, c1, c2, c3), (d0, d1, d2, d3):
        w[k] += value[0]
        w[k + 1] += value[1]
        w[k + 2] += value[2]
        w[k + 3] += value[3]
        k += taps


@inline_sum
def _dot_1(g, i, x, j, n):
    gs, xs = g[i : i + n], x[j : j + n]
    total = x.dtype.type(0)
    for e in range(n):
        total += gs[e] * xs[e]
    return total


@jit
def weight_gradient(x, row, offsets, g, outputs, height, run, first, last, w):
    """w[o, t] += Σ over output rows first … last − 1 of g[o, i] · x[i · row + offsets[t] …]."""
    taps, step = len(offsets), height * run
    whole, even = outputs - outputs % 4, taps - taps % 4
    for i in range(first, last):
        here = i * row
        for o in range(0, whole, 4):
            at = o * step + i * run
            for t in range(0, even, 4):
                j0, j1 = here + offsets[t], here + offsets[t + 1]
                j2, j3 = here + offsets[t + 2], here + offsets[t + 3]
                _dot_16(g, at, step, x, j0, j1, j2, j3, w, o * taps + t, taps, run)
        for o in range(outputs):
            at = o * step + i * run
            for t in range(even if o < whole else 0, taps):
                w[o * taps + t] += _dot_1(g, at, x, here + offsets[t], run)

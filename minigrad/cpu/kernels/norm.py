"""Batch norm of contiguous memory, in pieces of n numbers, number ``first`` to ``last``. The pieces
of all channels follow one another, once or several times. If once, all passes but the first find a
channel in cache. :mod:`minigrad.ops.norm` has the mathematics and the names."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np

from . import inline, inline_sum
from .team import parallel_for

RUN = 1024  # values summed in their own dtype; sums of runs are added in float64


@inline_sum
def add(x, i, n, zero):
    """Σ x, with runs summed in the dtype of ``zero``."""
    total = 0.0
    for start in range(i, i + n, RUN):
        run = x[start : min(start + RUN, i + n)]
        part = zero
        for k in range(len(run)):
            part += run[k]
        total += part
    return total


@inline_sum
def add_squares(x, i, n, mean, zero):
    """Σ (x − mean)², with runs summed in the dtype of ``zero``."""
    total = 0.0
    for start in range(i, i + n, RUN):
        run = x[start : min(start + RUN, i + n)]
        part = zero
        for k in range(len(run)):
            part += (run[k] - mean) * (run[k] - mean)
        total += part
    return total


@inline_sum
def sums(g, x, i, n, mean):
    """Σ g and Σ g (x − mean)."""
    total, product = 0.0, 0.0
    for start in range(i, i + n, RUN):
        stop = min(start + RUN, i + n)
        gs, xs = g[start:stop], x[start:stop]
        p, q = x.dtype.type(0), x.dtype.type(0)
        for k in range(len(gs)):
            p += gs[k]
            q += gs[k] * (xs[k] - mean)
        total += p
        product += q
    return total, product


@inline_sum
def _active_sums(g, y, x, i, n, mean, h, j):
    """Write h = g where y ≠ 0, else 0, at j; return Σ h and Σ h (x − mean)."""
    zero = x.dtype.type(0)
    total, product = 0.0, 0.0
    for start in range(0, n, RUN):
        count = min(RUN, n - start)
        first, to = i + start, j + start
        gs, ys, xs = g[first : first + count], y[first : first + count], x[first : first + count]
        hs = h[to : to + count]
        p, q = zero, zero
        for k in range(count):
            hs[k] = v = gs[k] if ys[k] != zero else zero
            p += v
            q += v * (xs[k] - mean)
        total += p
        product += q
    return total, product


@inline_sum
def _around(x, i, n, near):
    """Σ (x − near) and Σ (x − near)²."""
    total, squares = 0.0, 0.0
    for start in range(i, i + n, RUN):
        run = x[start : min(start + RUN, i + n)]
        p, q = x.dtype.type(0), x.dtype.type(0)
        for k in range(len(run)):
            p += run[k] - near
            q += (run[k] - near) * (run[k] - near)
        total += p
        squares += q
    return total, squares


@inline
def _moments(x, i, n):
    """Σ x and Σ (x − mean)², in float64."""
    some = min(n, RUN)
    near = x.dtype.type(add(x, i, some, x.dtype.type(0)) / some)
    total, squares = _around(x, i, n, near)
    away = n * (total / n) ** 2
    total, squares = total + n * np.float64(near), squares - away
    # Unless the first values' mean is too far away, or the sum of a run has overflowed.
    if not away <= squares < inf:
        total = add(x, i, n, 0.0)
        squares = add_squares(x, i, n, total / n, 0.0)
    return total, squares


@parallel_for
def moments(x, n, sums, squares, first, last):
    """Σ x, and Σ (x − mean)² with the piece's own mean, in float64."""
    for p in range(first, last):
        sums[p], squares[p] = _moments(x, p * n, n)


@parallel_for
def forward(x, w, b, z, n, eps, floor, batch, mean, var, r, scale, y, first, last):
    """y = max((x − mean) scale + b + z, floor) with r = 1 / √(var + eps) and scale = w r, for
    pieces of n numbers. With ``batch`` each piece is a channel, whose mean and (biased) var are
    computed and written.

    w, b and z may be empty.
    """
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for p in range(first, last):
        i, c = p * n, p % len(mean)
        if batch:
            total, squares = _moments(x, i, n)
            mean[c], var[c] = total / n, squares / n
        r[c] = one / sqrt(var[c] + eps)
        scale[c] = r[c] * w[c] if len(w) else r[c]
        mu, a, shift = mean[c], scale[c], b[c] if len(b) else zero
        xs, ys = x[i : i + n], y[i : i + n]
        if len(z):
            zs = z[i : i + n]
            for k in range(n):
                value = (xs[k] - mu) * a + shift + zs[k]
                ys[k] = floor if value < floor else value  # NaN stays
        else:
            for k in range(n):
                value = (xs[k] - mu) * a + shift
                ys[k] = floor if value < floor else value


@parallel_for
def backward(g, y, x, n, batch, added, mean, r, scale, s, t, gx, h, part, first, last):
    """h = g where y ≠ 0, else 0, for pieces of n numbers; s = Σ h and t = Σ h (x − mean) r of each
    piece, unless these of each channel are there already (``added``); and, of a channel of m
    values, gx = scale (h − s/m − (x − mean) r t/m), or scale h unless ``batch``.

    If y is empty, h equals g and is not written. h has all pieces, or only one for each part if the
    caller does not need it. gx may be empty.
    """
    m, number = len(x) // len(mean), x.dtype.type
    for p in range(first, last):
        i, c = p * n, p % len(mean)
        j, source = i, g
        if len(y):
            j, source = i if len(h) == len(g) else part * n, h
        if not added:
            if len(y):
                s[p], product = _active_sums(g, y, x, i, n, mean[c], h, j)
            else:
                s[p], product = sums(g, x, i, n, mean[c])
            t[p] = product * r[c]
        if len(gx) == 0:
            continue
        hs, xs, out = source[j : j + n], x[i : i + n], gx[i : i + n]
        mu, a = mean[c], scale[c]
        if batch:
            slope, offset = number(-a * r[c] * t[c] / m), number(-a * s[c] / m)
            for k in range(n):
                out[k] = a * hs[k] + (slope * (xs[k] - mu) + offset)
        else:
            for k in range(n):
                out[k] = a * hs[k]

"""Batch norm along rows: flat (C, M) memory, a channel's M values next to each other, so that the
passes after the first find them in cache."""

from __future__ import annotations

from . import jit, jit_sum

RUN = 1024  # values added in their own dtype before the sum goes on in float64


@jit_sum
def _sum(x, i, n):
    total = 0.0
    for start in range(i, i + n, RUN):
        run = x[start : min(start + RUN, i + n)]
        part = x.dtype.type(0)
        for k in range(len(run)):
            part += run[k]
        total += part
    return total


@jit_sum
def _sum_squares(x, i, n, mean):
    """Σ (x − mean)²."""
    total = 0.0
    for start in range(i, i + n, RUN):
        run = x[start : min(start + RUN, i + n)]
        part = x.dtype.type(0)
        for k in range(len(run)):
            part += (run[k] - mean) * (run[k] - mean)
        total += part
    return total


@jit_sum
def _sum_products(g, x, i, n, mean):
    """Σ g (x − mean)."""
    total = 0.0
    for start in range(i, i + n, RUN):
        stop = min(start + RUN, i + n)
        gs, xs = g[start:stop], x[start:stop]
        part = x.dtype.type(0)
        for k in range(len(gs)):
            part += gs[k] * (xs[k] - mean)
        total += part
    return total


@jit
def moments(x, mean, var):
    """The mean and biased variance of each row."""
    m = len(x) // len(mean)
    for c in range(len(mean)):
        exact = _sum(x, c * m, m) / m
        mean[c] = exact
        # The mean is rounded: what is left of it in x − mean is no variance.
        var[c] = _sum_squares(x, c * m, m, mean[c]) / m - (exact - mean[c]) ** 2


@jit
def normalize(x, mean, scale, shift, y):
    """y = (x − mean) scale + shift, each row with its own."""
    m = len(x) // len(mean)
    for c in range(len(mean)):
        xs, ys = x[c * m : (c + 1) * m], y[c * m : (c + 1) * m]
        mu, a, b = mean[c], scale[c], shift[c]
        for k in range(m):
            ys[k] = (xs[k] - mu) * a + b


@jit
def sums(g, x, mean, r, s, t):
    """s = Σ g and t = Σ g (x − mean) r of each row."""
    m = len(x) // len(mean)
    for c in range(len(mean)):
        s[c] = _sum(g, c * m, m)
        t[c] = _sum_products(g, x, c * m, m, mean[c]) * r[c]


@jit
def gradient(g, x, mean, a, b, d, gx):
    """gx = a g + b (x − mean) + d, each row with its own."""
    m = len(x) // len(mean)
    for c in range(len(mean)):
        gs, xs, out = g[c * m : (c + 1) * m], x[c * m : (c + 1) * m], gx[c * m : (c + 1) * m]
        mu, ac, bc, dc = mean[c], a[c], b[c], d[c]
        for k in range(m):
            out[k] = ac * gs[k] + (bc * (xs[k] - mu) + dc)

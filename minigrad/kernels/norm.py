"""Batch norm along rows: flat (C, M) memory, a channel's M values next to each other, so that the
passes after the first find them in cache."""

from __future__ import annotations

from . import inline_sum, jit

RUN = 1024  # values added in their own dtype before the sum goes on in float64


@inline_sum
def _sum(x, i, n):
    total = 0.0
    for start in range(i, i + n, RUN):
        run = x[start : min(start + RUN, i + n)]
        part = x.dtype.type(0)
        for k in range(len(run)):
            part += run[k]
        total += part
    return total


@inline_sum
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


@inline_sum
def _sums(g, x, i, n, mean):
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
def _active_sums(g, y, x, i, n, mean):
    """Σ g and Σ g (x − mean) where y ≠ 0."""
    zero = x.dtype.type(0)
    total, product = 0.0, 0.0
    for start in range(i, i + n, RUN):
        stop = min(start + RUN, i + n)
        gs, ys, xs = g[start:stop], y[start:stop], x[start:stop]
        p, q = zero, zero
        for k in range(len(gs)):
            v = gs[k] if ys[k] != zero else zero
            p += v
            q += v * (xs[k] - mean)
        total += p
        product += q
    return total, product


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
def normalize(x, mean, scale, shift, z, floor, y):
    """y = max((x − mean) scale + shift + z, floor), each row with its own; z may be empty."""
    m = len(x) // len(mean)
    for c in range(len(mean)):
        xs, ys = x[c * m : (c + 1) * m], y[c * m : (c + 1) * m]
        mu, a, b = mean[c], scale[c], shift[c]
        if len(z):
            zs = z[c * m : (c + 1) * m]
            for k in range(m):
                value = (xs[k] - mu) * a + b + zs[k]
                ys[k] = floor if value < floor else value  # NaN stays
        else:
            for k in range(m):
                value = (xs[k] - mu) * a + b
                ys[k] = floor if value < floor else value


@jit
def sums(g, y, x, mean, r, s, t):
    """s = Σ g and t = Σ g (x − mean) r of each row, where y ≠ 0; everywhere if y is empty."""
    m = len(x) // len(mean)
    for c in range(len(mean)):
        if len(y):
            s[c], product = _active_sums(g, y, x, c * m, m, mean[c])
        else:
            s[c], product = _sums(g, x, c * m, m, mean[c])
        t[c] = product * r[c]


@jit
def gradient(g, y, x, mean, a, b, d, gx):
    """gx = a g + b (x − mean) + d, each row with its own, with 0 for g where y = 0; y may be
    empty."""
    zero = x.dtype.type(0)
    m = len(x) // len(mean)
    for c in range(len(mean)):
        gs, xs, out = g[c * m : (c + 1) * m], x[c * m : (c + 1) * m], gx[c * m : (c + 1) * m]
        mu, ac, bc, dc = mean[c], a[c], b[c], d[c]
        if len(y):
            ys = y[c * m : (c + 1) * m]
            for k in range(m):
                v = gs[k] if ys[k] != zero else zero
                out[k] = ac * v + (bc * (xs[k] - mu) + dc)
        else:
            for k in range(m):
                out[k] = ac * gs[k] + (bc * (xs[k] - mu) + dc)

"""Batch norm along rows of flat (C, M) memory: a channel's M values are contiguous, so all passes
but the first find them in cache. :mod:`minigrad.ops.norm` has the mathematics and the names."""

from __future__ import annotations

from math import inf, sqrt

from . import inline_sum, jit

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
def moments(x, i, n, near):
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


@jit
def forward(x, w, b, z, eps, floor, batch, mean, var, r, scale, y):
    """y = max((x − mean) scale + b + z, floor) with r = 1 / √(var + eps) and scale = w r, for each
    row. With ``batch`` the row's own mean and (biased) var are computed and written.

    w, b and z may be empty.
    """
    m = len(x) // len(mean)
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for c in range(len(mean)):
        if batch:
            some = min(m, RUN)
            near = x.dtype.type(add(x, c * m, some, zero) / some)
            total, squares = moments(x, c * m, m, near)
            away = total / m
            exact, spread = near + away, squares / m - away**2
            # Unless the first values' mean is too far away, or the sum of a run has overflowed.
            if not away**2 <= spread < inf:
                exact = add(x, c * m, m, 0.0) / m
                spread = add_squares(x, c * m, m, exact, 0.0) / m
            mean[c], var[c] = exact, spread
        r[c] = one / sqrt(var[c] + eps)
        scale[c] = r[c] * w[c] if len(w) else r[c]
        mu, a, shift = mean[c], scale[c], b[c] if len(b) else zero
        xs, ys = x[c * m : (c + 1) * m], y[c * m : (c + 1) * m]
        if len(z):
            zs = z[c * m : (c + 1) * m]
            for k in range(m):
                value = (xs[k] - mu) * a + shift + zs[k]
                ys[k] = floor if value < floor else value  # NaN stays
        else:
            for k in range(m):
                value = (xs[k] - mu) * a + shift
                ys[k] = floor if value < floor else value


@jit
def backward(g, y, x, batch, mean, r, scale, s, t, gx, h):
    """h = g where y ≠ 0, else 0; s = Σ h and t = Σ h (x − mean) r of each row, and
    gx = scale (h − s/m − (x − mean) r t/m), or scale h unless ``batch``.

    If y is empty, h equals g and is not written. h has all rows, or only one if the caller does not
    need it. gx may be empty.
    """
    m = len(x) // len(mean)
    for c in range(len(mean)):
        i = j = c * m
        source = g
        if len(y):
            j %= len(h)
            s[c], product = _active_sums(g, y, x, i, m, mean[c], h, j)
            source = h
        else:
            s[c], product = sums(g, x, i, m, mean[c])
        t[c] = product * r[c]
        if len(gx) == 0:
            continue
        hs, xs, out = source[j : j + m], x[i : i + m], gx[i : i + m]
        mu, a = mean[c], scale[c]
        if batch:
            slope, offset = -a * r[c] * t[c] / m, -a * s[c] / m
            for k in range(m):
                out[k] = a * hs[k] + (slope * (xs[k] - mu) + offset)
        else:
            for k in range(m):
                out[k] = a * hs[k]

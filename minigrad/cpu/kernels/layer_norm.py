"""Layer and group norm along contiguous memory (outer, k, pixels, inner): the k · pixels values of
an outer and an inner index have one mean and variance, and a weight and a bias for each of the k
channels. :mod:`minigrad.ops.layer_norm` has the mathematics.

Weights are of shape (groups, k) for ``outer`` a multiple of ``groups``. The kernels for ``rows``
take memory whose inner size is 1, those for ``columns`` any other. Each takes a part of the work:
rows, or strips of columns, number ``first`` to ``last``. ``shape`` is (k, pixels, inner, fold,
width): strips are ``width`` wide, and of ``fold`` pixels that lie side by side, where these are
narrow, the columns are added last.

Unless ``centred``, values are divided by their length, or by eps if that is larger: see
:mod:`minigrad.ops.normalize`. In place of means there are lengths then, and no mean is subtracted.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from . import inline, inline_sum
from .memory import allocate, free
from .norm import RUN, add, add_squares, sums
from .team import parallel_for


@inline
def _mean_and_rate(squares, n, exact, mean, centred, eps):
    """What to keep, of n numbers whose distances from ``mean`` have this sum of squares."""
    if centred:
        # x − mean contains the rounding error of the mean, which is not variance.
        return mean, 1.0 / sqrt(squares / n - (exact - mean) ** 2 + eps)
    length = type(mean)(sqrt(squares))
    return length, 1.0 / (eps if length < eps else length)  # NaN stays


ROWS = 32  # whose gradients of weights are added in their own dtype


@parallel_for
def forward_rows(x, w, b, shape, centred, eps, mean, r, y, first, last):
    """y = (x − mean) r w + b with r = 1 / √(variance + eps)."""
    k, pixels, _, _, _ = shape
    n, zero = k * pixels, x.dtype.type(0)
    for row in range(first, last):
        at, channel = row * n, row * k % len(w)
        exact = add(x, at, n, 0.0) / n if centred else 0.0
        mu = x.dtype.type(exact)
        squares = add_squares(x, at, n, mu, zero)
        mean[row], r[row] = _mean_and_rate(squares, n, exact, mu, centred, eps)
        a = r[row]
        if pixels == 1:
            xs, ys = x[at : at + n], y[at : at + n]
            ws, bs = w[channel : channel + k], b[channel : channel + k]
            for i in range(n):
                ys[i] = (xs[i] - mu) * a * ws[i] + bs[i]
            continue
        for c in range(channel, channel + k):
            xs, ys = x[at : at + pixels], y[at : at + pixels]
            scale, shift = a * w[c], b[c]
            for i in range(pixels):
                ys[i] = (xs[i] - mu) * scale + shift
            at += pixels


@parallel_for
def backward_rows(g, x, w, shape, centred, eps, mean, r, found, gx, part, first, last):
    """Add the gradients of the weights and biases to those found by the part, and write that of x
    to gx, unless it is empty."""
    gw, gb = found[part, 0], found[part, 1]
    k, pixels, _, _, _ = shape
    n, zero = k * pixels, x.dtype.type(0)
    memory = allocate(2 * len(w), x)
    memory[:] = 0.0
    of_run = memory.reshape((2, len(w)))  # of few rows
    for row in range(first, last):
        at, channel = row * n, row * k % len(w)
        mu, a = mean[row] if centred else zero, r[row]
        total, product = 0.0, 0.0
        if pixels == 1:
            to = slice(channel, channel + k)
            total, product = _weighted_sums(g, x, at, mu, a, w[to], of_run[0, to], of_run[1, to])
            if (row - first) % ROWS == ROWS - 1 or row == last - 1:
                for i in range(len(w)):
                    gw[i] += of_run[0, i]
                    gb[i] += of_run[1, i]
                of_run[:] = 0.0
        else:
            for c in range(k):
                s, t = sums(g, x, at + c * pixels, pixels, mu)
                gw[channel + c] += t * a
                gb[channel + c] += s
                total += s * w[channel + c]
                product += t * w[channel + c]
        if len(gx) == 0:
            continue
        offset, slope = _line(total, product, n, mean[row], a, centred, eps)
        if pixels == 1:
            gs, xs, out = g[at : at + n], x[at : at + n], gx[at : at + n]
            ws = w[channel : channel + k]
            for i in range(n):
                out[i] = gs[i] * a * ws[i] - (slope * (xs[i] - mu) + offset)
            continue
        for c in range(channel, channel + k):
            gs, xs, out = g[at : at + pixels], x[at : at + pixels], gx[at : at + pixels]
            scale = a * w[c]
            for i in range(pixels):
                out[i] = gs[i] * scale - (slope * (xs[i] - mu) + offset)
            at += pixels
    free(memory)


@inline
def _line(total, product, n, mean, r, centred, eps):
    """What to subtract of r w g: a number, and a multiple of x − mean."""
    number, slope = type(r), r * (r * (r * product))
    if centred:
        return number(r * total / n), number(slope / n)
    return number(0), number(slope if mean >= eps else 0)


@inline_sum
def _weighted_sums(g, x, at, mean, r, w, gw, gb):
    """Σ g w and Σ g w (x − mean) of the row at ``at``; g (x − mean) r and g are added to gw and
    gb."""
    total, product = 0.0, 0.0
    for start in range(0, len(w), RUN):
        stop = min(start + RUN, len(w))
        gs, xs, ws = g[at + start : at + stop], x[at + start : at + stop], w[start:stop]
        by_w, by_b = gw[start:stop], gb[start:stop]
        p, q = x.dtype.type(0), x.dtype.type(0)
        for i in range(len(ws)):
            centred, h = xs[i] - mean, gs[i] * ws[i]
            p += h
            q += h * centred
            by_w[i] += gs[i] * (centred * r)
            by_b[i] += gs[i]
        total += p
        product += q
    return total, product


@parallel_for
def forward_columns(x, w, b, shape, centred, eps, mean, r, y, first, last):
    """:func:`forward_rows` for columns of memory."""
    k, pixels, inner, fold, width = shape
    rows, n, each = k * pixels, k * pixels * fold, -(-inner // width)
    added, exact = allocate(width, 0.0), allocate(width, 0.0)
    mu, a = allocate(width, x), allocate(width, x)
    for strip in range(first, last):
        outer, begin = strip // each, strip % each * width
        wide = min(width, inner - begin)
        at, channel = outer * rows * inner + begin, outer * k % len(w)
        added[:] = 0.0
        for row in range(rows if centred else 0):
            xs = x[at + row * inner : at + row * inner + wide]
            for i in range(wide):
                added[i] += xs[i]
        _add_folds(added, fold)
        for i in range(wide):
            exact[i] = added[i] / n
            mu[i] = exact[i]
            added[i] = 0.0
        for row in range(rows):
            xs = x[at + row * inner : at + row * inner + wide]
            for i in range(wide):
                distance = np.float64(xs[i] - mu[i])
                added[i] += distance * distance
        _add_folds(added, fold)
        start = (outer * inner + begin) // fold
        for i in range(wide):
            middle, a[i] = _mean_and_rate(added[i], n, exact[i], mu[i], centred, eps)
            if i < wide // fold:
                mean[start + i], r[start + i] = middle, a[i]
        for row in range(rows):
            scale, shift = w[channel + row // pixels], b[channel + row // pixels]
            xs = x[at + row * inner : at + row * inner + wide]
            ys = y[at + row * inner : at + row * inner + wide]
            for i in range(wide):
                ys[i] = (xs[i] - mu[i]) * a[i] * scale + shift
    free(added)
    free(exact)
    free(mu)
    free(a)


@parallel_for
def backward_columns(g, x, w, shape, centred, eps, mean, r, found, gx, part, first, last):
    """:func:`backward_rows` for columns of memory."""
    gw, gb = found[part, 0], found[part, 1]
    k, pixels, inner, fold, width = shape
    rows, n, each = k * pixels, k * pixels * fold, -(-inner // width)
    zero = x.dtype.type(0)
    s, t = allocate(width, 0.0), allocate(width, 0.0)
    total, product = allocate(width, 0.0), allocate(width, 0.0)
    mu, a, kept = allocate(width, x), allocate(width, x), allocate(width, x)
    offset, slope = allocate(width, x), allocate(width, x)
    for strip in range(first, last):
        outer, begin = strip // each, strip % each * width
        wide = min(width, inner - begin)
        at, channel = outer * rows * inner + begin, outer * k % len(w)
        start = (outer * inner + begin) // fold
        for i in range(wide):
            kept[i], a[i] = mean[start + i % (wide // fold)], r[start + i % (wide // fold)]
            mu[i] = kept[i] if centred else zero
        total[:], product[:] = 0.0, 0.0
        for c in range(k):
            s[:], t[:] = 0.0, 0.0
            for row in range(c * pixels, (c + 1) * pixels):
                gs = g[at + row * inner : at + row * inner + wide]
                xs = x[at + row * inner : at + row * inner + wide]
                for i in range(wide):
                    s[i] += gs[i]
                    t[i] += gs[i] * (xs[i] - mu[i])
            by_w, by_b = _add_columns(s[:wide], t, a, w[channel + c], total, product)
            gw[channel + c] += by_w
            gb[channel + c] += by_b
        if len(gx) == 0:
            continue
        _add_folds(total, fold)
        _add_folds(product, fold)
        for i in range(wide):
            offset[i], slope[i] = _line(total[i], product[i], n, kept[i], a[i], centred, eps)
        for row in range(rows):
            scale = w[channel + row // pixels]
            gs = g[at + row * inner : at + row * inner + wide]
            xs = x[at + row * inner : at + row * inner + wide]
            out = gx[at + row * inner : at + row * inner + wide]
            for i in range(wide):
                out[i] = gs[i] * a[i] * scale - (slope[i] * (xs[i] - mu[i]) + offset[i])
    free(s)
    free(t)
    free(total)
    free(product)
    free(mu)
    free(a)
    free(kept)
    free(offset)
    free(slope)


@inline_sum
def _add_columns(s, t, r, scale, total, product):
    """Σ t r and Σ s; s and t are added to ``total`` and ``product`` with the weight ``scale``."""
    p, q = 0.0, 0.0
    for i in range(len(s)):
        p += t[i] * r[i]
        q += s[i]
        total[i] += s[i] * scale
        product[i] += t[i] * scale
    return p, q


@inline_sum
def _add_folds(v, fold):
    """Put the sum of the ``fold`` parts of v into each of them."""
    n = len(v) // fold
    for part in range(1, fold):
        for i in range(n):
            v[i] += v[part * n + i]
    for part in range(1, fold):
        for i in range(n):
            v[part * n + i] = v[i]


FORMS = {"rows": (forward_rows, backward_rows), "columns": (forward_columns, backward_columns)}

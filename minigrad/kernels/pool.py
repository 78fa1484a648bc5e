"""Pooling of flat (C, H, W, N) memory; sizes as in :mod:`minigrad.ops.conv`."""

from __future__ import annotations

from . import inline, jit

FEW = 8  # images; a loop over fewer costs more to begin than it does


@inline
def _runs(offset, step, w, n, ow):
    """Where output columns j see an input column, j · step + offset, that is there: the first j,
    how many runs of neighbouring elements they see, and how long each is."""
    first = max(0, -(offset // step))
    last = min(ow, (w - 1 - offset) // step + 1)
    count = max(0, last - first)
    return (first, 1, count * n) if step == 1 else (first, count, n)


@inline
def _take_larger(x, i, left, best, where, j, n):
    xs, ys, places = x[i : i + n], best[j : j + n], where[j : j + n]
    for k in range(n):
        v, u = xs[k], ys[k]
        larger = (v > u) | ((v != v) & (u == u))
        ys[k] = v if larger else u
        places[k] = left if larger else places[k]


@inline
def _add_where(g, where, j, left, gx, i, n):
    gs, places, out = g[j : j + n], where[j : j + n], gx[i : i + n]
    for k in range(n):
        out[k] += gs[k] if places[k] == left else gx.dtype.type(0)


@jit
def largest(x, first, last, h, w, n, oh, ow, kernel, stride, pads, dilation, lowest, y, place):
    """y = the largest of each window of channels first … last − 1, and where it is: the number of
    places in the window from there to its end. The first of equals, or the first NaN."""
    kh, kw = kernel
    for c in range(first, last):
        for i in range(oh):
            at = (c * oh + i) * ow * n
            best, where = y[at : at + ow * n], place[at : at + ow * n]
            for k in range(ow * n):
                best[k], where[k] = lowest, kh * kw
            for a in range(kh):
                row = i * stride[0] - pads[0] + a * dilation[0]
                for b in range(kw if 0 <= row < h else 0):
                    offset, left = b * dilation[1] - pads[1], place.dtype.type(kh * kw - a * kw - b)
                    start, runs, length = _runs(offset, stride[1], w, n, ow)
                    for j in range(start, start + runs):
                        seen = ((c * h + row) * w + j * stride[1] + offset) * n
                        _take_larger(x, seen, left, best, where, j * n, length)


@jit
def spread(g, place, first, last, h, w, n, oh, ow, kernel, stride, pads, dilation, gx):
    """gx = Σ of g over the windows whose largest element is there, channels first … last − 1."""
    kh, kw = kernel
    zero = gx.dtype.type(0)
    for c in range(first, last):
        channel = gx[c * h * w * n : (c + 1) * h * w * n]
        for k in range(len(channel)):
            channel[k] = zero
        for i in range(oh):
            at = (c * oh + i) * ow * n
            gs, where = g[at : at + ow * n], place[at : at + ow * n]
            if n < FEW and stride[1] > 1:
                for j in range(ow * n):
                    a, b = divmod(kh * kw - where[j], kw)
                    row = i * stride[0] - pads[0] + a * dilation[0]
                    column = j // n * stride[1] - pads[1] + b * dilation[1]
                    if 0 <= row < h and 0 <= column < w:
                        channel[(row * w + column) * n + j % n] += gs[j]
                continue
            for a in range(kh):
                row = i * stride[0] - pads[0] + a * dilation[0]
                for b in range(kw if 0 <= row < h else 0):
                    offset, left = b * dilation[1] - pads[1], kh * kw - a * kw - b
                    start, runs, length = _runs(offset, stride[1], w, n, ow)
                    for j in range(start, start + runs):
                        seen = (row * w + j * stride[1] + offset) * n
                        _add_where(gs, where, j * n, left, channel, seen, length)


@inline
def _inside(i, step, pad, length, size):
    """First and last + 1 of the elements of an axis of ``size`` that its window i sees."""
    first = i * step - pad
    return max(0, first), min(size, first + length)


@jit
def mean(x, first, last, h, w, n, oh, ow, kernel, stride, pads, scale, y):
    """y = Σ of each window of channels first … last − 1, times the window's ``scale`` (OH · OW)."""
    for c in range(first, last):
        for i in range(oh):
            top, bottom = _inside(i, stride[0], pads[0], kernel[0], h)
            for j in range(ow):
                left, right = _inside(j, stride[1], pads[1], kernel[1], w)
                at, factor = ((c * oh + i) * ow + j) * n, scale[i * ow + j]
                total = y[at : at + n]
                for k in range(n):
                    total[k] = x.dtype.type(0)
                for row in range(top, bottom):
                    for column in range(left, right):
                        start = ((c * h + row) * w + column) * n
                        tap = x[start : start + n]
                        for k in range(n):
                            total[k] += tap[k]
                for k in range(n):
                    total[k] *= factor


@jit
def share(g, first, last, h, w, n, oh, ow, kernel, stride, pads, scale, gx):
    """gx = Σ of scale · g over the windows that see it, channels first … last − 1."""
    for c in range(first, last):
        channel = gx[c * h * w * n : (c + 1) * h * w * n]
        for k in range(len(channel)):
            channel[k] = g.dtype.type(0)
        for i in range(oh):
            top, bottom = _inside(i, stride[0], pads[0], kernel[0], h)
            for j in range(ow):
                left, right = _inside(j, stride[1], pads[1], kernel[1], w)
                at, factor = ((c * oh + i) * ow + j) * n, scale[i * ow + j]
                gs = g[at : at + n]
                for row in range(top, bottom):
                    for column in range(left, right):
                        start = (row * w + column) * n
                        out = channel[start : start + n]
                        for k in range(n):
                            out[k] += gs[k] * factor

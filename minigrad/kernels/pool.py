"""Pooling of flat (C, H, W, N) memory; sizes as in :mod:`minigrad.ops.conv`."""

from __future__ import annotations

from . import inline, jit

FEW = 8  # images; a loop over fewer costs more to begin than it does


@jit
def largest(x, first, last, h, w, n, oh, ow, kernel, stride, pads, dilation, lowest, y, place):
    """y = the largest of each window of channels first … last − 1, and where it is: the number of
    places in the window from there to its end. The first of equals, or the first NaN."""
    kh, kw = kernel
    for c in range(first, last):
        for i in range(oh):
            for j in range(ow):
                at = ((c * oh + i) * ow + j) * n
                best, where = y[at : at + n], place[at : at + n]
                for k in range(n):
                    best[k], where[k] = lowest, kh * kw
                for a in range(kh):
                    row = i * stride[0] - pads[0] + a * dilation[0]
                    for b in range(kw):
                        column = j * stride[1] - pads[1] + b * dilation[1]
                        if row < 0 or row >= h or column < 0 or column >= w:
                            continue
                        start = ((c * h + row) * w + column) * n
                        tap, left = x[start : start + n], place.dtype.type(kh * kw - a * kw - b)
                        for k in range(n):
                            v, u = tap[k], best[k]
                            larger = (v > u) | ((v != v) & (u == u))
                            best[k] = v if larger else u
                            where[k] = left if larger else where[k]


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
            for j in range(ow):
                at = ((c * oh + i) * ow + j) * n
                for k in range(n if n < FEW else 0):
                    a, b = divmod(kh * kw - place[at + k], kw)
                    row = i * stride[0] - pads[0] + a * dilation[0]
                    column = j * stride[1] - pads[1] + b * dilation[1]
                    if 0 <= row < h and 0 <= column < w:
                        channel[(row * w + column) * n + k] += g[at + k]
                if n < FEW:
                    continue
                gs, where = g[at : at + n], place[at : at + n]
                for a in range(kh):
                    row = i * stride[0] - pads[0] + a * dilation[0]
                    for b in range(kw):
                        column = j * stride[1] - pads[1] + b * dilation[1]
                        if row < 0 or row >= h or column < 0 or column >= w:
                            continue
                        start = (row * w + column) * n
                        out, left = channel[start : start + n], kh * kw - a * kw - b
                        for k in range(n):
                            out[k] += gs[k] if where[k] == left else zero


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

"""Pooling of flat (C, H, W, N) memory. Sizes are named as in :mod:`minigrad.ops.conv`."""

from __future__ import annotations

import numpy as np

from . import inline, jit

U = np.uint64  # an index of this type never counts from an array's end
MIN_LOOP_IMAGES = 8  # starting a loop over fewer costs more than the loop itself


@inline
def _columns_inside(offset, step, w, first, last):
    """The first, and the number, of those output columns j = first … last − 1 whose input column
    j · step + offset lies inside the image."""
    if last - first == 1:  # without a division
        return first, 1 if 0 <= first * step + offset < w else 0
    first = max(first, -(offset // step))
    return first, max(0, min(last, (w - 1 - offset) // step + 1) - first)


@inline
def _take_larger(x, i, apart, left, best, where, j, n):
    """best = max(best, x), and where = ``left`` where that is x, for n elements: every ``apart``-th
    from i on, and those from j on."""
    xs, ys, places = x[i : i + n * apart], best[j : j + n], where[j : j + n]
    for k in range(U(n)):
        v, u = xs[k * U(apart)], ys[k]
        larger = (v > u) | ((v != v) & (u == u))
        ys[k] = v if larger else u
        places[k] = left if larger else places[k]


@inline
def _largest_of_four(x, i, apart, down, right, best, where, j, n):
    """best = the largest of the four pixels at i, i + right, i + down and i + down + right, and
    where = the number of positions from it to the last one, plus 1. Then i is ``apart`` on."""
    a, b = x[i : i + n * apart], x[i + right : i + right + n * apart]
    i += down
    c, d = x[i : i + n * apart], x[i + right : i + right + n * apart]
    ys, places = best[j : j + n], where[j : j + n]
    four, three = where.dtype.type(4), where.dtype.type(3)
    two, one = where.dtype.type(2), where.dtype.type(1)
    for k in range(U(n)):
        e = k * U(apart)
        u, at = a[e], four
        v = b[e]
        larger = (v > u) | ((v != v) & (u == u))
        u, at = v if larger else u, three if larger else at
        v = c[e]
        larger = (v > u) | ((v != v) & (u == u))
        u, at = v if larger else u, two if larger else at
        v = d[e]
        larger = (v > u) | ((v != v) & (u == u))
        ys[k], places[k] = v if larger else u, one if larger else at


@inline
def _put_where(g, where, j, left, gx, i, n):
    """gx = g where ``where`` equals ``left``, else 0, for n elements from i and j on."""
    gs, places, out = g[j : j + n], where[j : j + n], gx[i : i + n]
    for k in range(n):
        out[k] = gs[k] if places[k] == left else gx.dtype.type(0)


@inline
def _add_where(g, where, j, left, gx, i, n):
    """gx += g where ``where`` equals ``left``, for n elements from i and j on."""
    gs, places, out = g[j : j + n], where[j : j + n], gx[i : i + n]
    for k in range(n):
        out[k] += gs[k] if places[k] == left else gx.dtype.type(0)


# Along a row, one step is one output pixel (n elements). At stride 1 it is the whole row, because
# the pixels that one kernel offset reads are then contiguous; `largest` takes a whole row of one
# image too, whose pixels are ``apart``.


@jit
def largest(x, first, last, h, w, n, oh, ow, kernel, stride, pads, dilation, lowest, y, place):
    """y = the largest element of each window of channels first … last − 1, and place = the number
    of positions from it to the window's end. Among equals, and among NaNs, the first counts."""
    kh, kw = kernel
    step = ow if stride[1] == 1 or n == 1 else 1
    apart = stride[1] if n == 1 else 1
    for c in range(first, last):
        for i in range(oh):
            top = i * stride[0] - pads[0]
            for j in range(0, ow, step):
                row_start = (c * oh + i) * ow
                at = (row_start + j) * n
                left_edge = j * stride[1] - pads[1]
                if kh == 2 and kw == 2 and top >= 0 and left_edge >= 0:
                    down, right = dilation
                    if top + down < h and left_edge + (step - 1) * stride[1] + right < w:
                        start = ((c * h + top) * w + left_edge) * n
                        below = down * w * n
                        _largest_of_four(
                            x, start, apart, below, right * n, y, place, at, step * n
                        )  # fmt: skip
                        continue
                best, where = y[at : at + step * n], place[at : at + step * n]
                for k in range(step * n):
                    best[k], where[k] = lowest, kh * kw
                for a in range(kh):
                    row = i * stride[0] - pads[0] + a * dilation[0]
                    for b in range(kw if 0 <= row < h else 0):
                        offset = b * dilation[1] - pads[1]
                        low, count = _columns_inside(offset, stride[1], w, j, j + step)
                        start = ((c * h + row) * w + low * stride[1] + offset) * n
                        left = place.dtype.type(kh * kw - a * kw - b)
                        at_low = (row_start + low) * n
                        _take_larger(x, start, apart, left, y, place, at_low, count * n)


@jit
def spread(g, place, first, last, h, w, n, oh, ow, kernel, stride, pads, dilation, gx):
    """gx = Σ of g over the windows whose largest element it is, for channels first … last − 1."""
    kh, kw = kernel
    zero = gx.dtype.type(0)
    step = ow if stride[1] == 1 else 1
    apart = stride[0] >= kh and stride[1] >= kw and dilation == (1, 1)  # no pixel is in two windows
    gapless = apart and kernel == stride and pads == (0, 0) and n >= MIN_LOOP_IMAGES
    for c in range(first, last):
        channel = gx[c * h * w * n : (c + 1) * h * w * n]
        # Zero where no window is: behind the last of each row, and below.
        for row in range(h):
            covered = min(w, ow * kw) if gapless and row < oh * kh else 0
            for k in range((row * w + covered) * n, (row + 1) * w * n):
                channel[k] = zero
        for i in range(oh):
            for j in range(0, ow, step):
                row_start = (c * oh + i) * ow
                if step == 1 and n < MIN_LOOP_IMAGES:
                    for k in range(n):
                        at = (row_start + j) * n + k
                        a, b = divmod(kh * kw - place[at], kw)
                        row = i * stride[0] - pads[0] + a * dilation[0]
                        column = j * stride[1] - pads[1] + b * dilation[1]
                        if 0 <= row < h and 0 <= column < w:
                            channel[(row * w + column) * n + k] += g[at]
                    continue
                for a in range(kh):
                    row = i * stride[0] - pads[0] + a * dilation[0]
                    for b in range(kw if 0 <= row < h else 0):
                        offset, left = b * dilation[1] - pads[1], kh * kw - a * kw - b
                        low, count = _columns_inside(offset, stride[1], w, j, j + step)
                        start = (row * w + low * stride[1] + offset) * n
                        at = (row_start + low) * n
                        if apart:
                            _put_where(g, place, at, left, channel, start, count * n)
                        else:
                            _add_where(g, place, at, left, channel, start, count * n)


@inline
def _inside(i, step, pad, length, size):
    """Start and end of window i along an axis of ``size``, cropped to the axis."""
    first = i * step - pad
    return max(0, first), min(size, first + length)


@inline
def _add_eight(x, i, n, sums):
    """sums += eight neighbouring pixels, which are added to each other in their own dtype."""
    a, b, c, d = (
        x[i : i + n],
        x[i + n : i + 2 * n],
        x[i + 2 * n : i + 3 * n],
        x[i + 3 * n : i + 4 * n],
    )
    i += 4 * n
    e, f, g, h = (
        x[i : i + n],
        x[i + n : i + 2 * n],
        x[i + 2 * n : i + 3 * n],
        x[i + 3 * n : i + 4 * n],
    )
    for k in range(n):
        sums[k] += ((a[k] + b[k]) + (c[k] + d[k])) + ((e[k] + f[k]) + (g[k] + h[k]))


@jit
def mean(x, first, last, h, w, n, oh, ow, kernel, stride, pads, scale, y, sums):
    """y = the sum of each window of channels first … last − 1, times the window's ``scale`` (OH,
    OW), summed in the dtype of ``sums`` (N)."""
    for c in range(first, last):
        for i in range(oh):
            top, bottom = _inside(i, stride[0], pads[0], kernel[0], h)
            for j in range(ow):
                left, right = _inside(j, stride[1], pads[1], kernel[1], w)
                at, factor = ((c * oh + i) * ow + j) * n, scale[i * ow + j]
                out = y[at : at + n]
                for k in range(n):
                    sums[k] = sums.dtype.type(0)
                for row in range(top, bottom):
                    column = left
                    while column + 8 <= right:
                        _add_eight(x, ((c * h + row) * w + column) * n, n, sums)
                        column += 8
                    for rest in range(column, right):
                        start = ((c * h + row) * w + rest) * n
                        pixels = x[start : start + n]
                        for k in range(n):
                            sums[k] += pixels[k]
                for k in range(n):
                    out[k] = sums[k] * factor


@jit
def share(g, first, last, h, w, n, oh, ow, kernel, stride, pads, scale, gx):
    """gx = Σ of scale · g over the windows that contain it, for channels first … last − 1."""
    for c in range(first, last):
        channel = gx[c * h * w * n : (c + 1) * h * w * n]
        for k in range(len(channel)):
            channel[k] = gx.dtype.type(0)
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

"""Pooling of flat (C, H, W, N) memory. Sizes are named as in :mod:`minigrad.ops.conv`."""

from __future__ import annotations

import numpy as np

from . import inline, jit

U = np.uint64  # an index of this type never counts from an array's end
MIN_LOOP_IMAGES = 8  # starting a loop over fewer costs more than the loop itself
MIN_ROW_IMAGES = 32  # of fewer, sums of rows are faster than those of window after window
FEW_PLACES = 8  # of a window, up to which a comparison for each is faster than a look-up


@inline
def _clear(y):
    for k in range(U(len(y))):
        y[k] = y.dtype.type(0)


@inline
def _columns(offset, phases, w, step, first, count):
    """Of the output columns j = first … first + count − 1, those whose input column j · step ·
    phases + offset lies inside the image: where the first of these columns is in a row that is
    split, that j, and how many there are."""
    phase, wide = 0, w
    if phases > 1:
        phase, each = offset % phases, (w + phases - 1) // phases
        offset, wide = (offset - phase) // phases, (w - phase + phases - 1) // phases
        phase *= each
    if count == 1:  # without a division
        column = first * step + offset
        return phase + column, first, 1 if 0 <= column < wide else 0
    low = max(first, -(offset // step))
    found = max(0, min(first + count, (wide - 1 - offset) // step + 1) - low)
    return phase + low * step + offset, low, found


@inline
def _take_larger(x, i, left, best, where, j, n):
    """best = max(best, x), and where = ``left`` where that is x, for n elements from i and from j
    on."""
    xs, ys, places = x[i : i + n], best[j : j + n], where[j : j + n]
    for k in range(U(n)):
        v, u = xs[k], ys[k]
        larger = (v > u) | ((v != v) & (u == u))
        ys[k] = v if larger else u
        places[k] = left if larger else places[k]


@inline
def _largest_of_four(x, i, down, right, best, where, j, n):
    """best = the largest of the four pixels at i, i + right, i + down and i + down + right, and
    where = the number of positions from it to the last one, plus 1. Then i is 1 on."""
    a, b = x[i : i + n], x[i + right : i + right + n]
    i += down
    c, d = x[i : i + n], x[i + right : i + right + n]
    ys, places = best[j : j + n], where[j : j + n]
    four, three = where.dtype.type(4), where.dtype.type(3)
    two, one = where.dtype.type(2), where.dtype.type(1)
    for k in range(U(n)):
        u, at = a[k], four
        v = b[k]
        larger = (v > u) | ((v != v) & (u == u))
        u, at = v if larger else u, three if larger else at
        v = c[k]
        larger = (v > u) | ((v != v) & (u == u))
        u, at = v if larger else u, two if larger else at
        v = d[k]
        larger = (v > u) | ((v != v) & (u == u))
        ys[k], places[k] = v if larger else u, one if larger else at


@inline
def _put_where(g, where, j, left, gx, i, n):
    """gx = g where ``where`` equals ``left``, else 0, for n elements from i and j on."""
    gs, places, out = g[j : j + n], where[j : j + n], gx[i : i + n]
    for k in range(n):
        out[k] = gs[k] if places[k] == left else gx.dtype.type(0)


@jit
def split(x, rows, w, n, phases, out):
    """Rows of w pixels of n images, the columns of each one after another by their remainder modulo
    ``phases``: each part is as long as the first."""
    wide = (w + phases - 1) // phases
    for row in range(rows):
        for p in range(phases):
            count, at = (w - p + phases - 1) // phases, (row * w + p) * n
            to = out[(row * phases + p) * wide * n : ((row * phases + p) * wide + count) * n]
            from_ = x[at : at + (w - p) * n]
            if n == 1:
                for k in range(U(count)):
                    to[k] = from_[k * U(phases)]
            else:
                for q in range(U(count)):
                    for k in range(U(n)):
                        to[q * U(n) + k] = from_[q * U(phases * n) + k]


# Along a row, one step is one output pixel (n elements); or the whole row where the pixels that one
# kernel offset reads are contiguous: at stride 1, or after `split` by the stride.


@jit
def largest(x, channels, h, w, n, oh, ow, kernel, stride, pads, dilation, phases, lowest, y, place):
    """y = the largest element of each window, and place = the number of positions from it to the
    window's end. Among equals, and among NaNs, the first counts. Rows of x are :func:`split` if
    there are several ``phases``, as many as the stride."""
    kh, kw = kernel
    wide = (w + phases - 1) // phases
    pitch, across = phases * wide, stride[1] // phases
    step = ow if across == 1 else 1
    for c in range(channels):
        for i in range(oh):
            top = i * stride[0] - pads[0]
            for j in range(0, ow, step):
                row_start = (c * oh + i) * ow
                at = (row_start + j) * n
                if kh == 2 and kw == 2 and top >= 0 and top + dilation[0] < h:
                    first, low, count = _columns(-pads[1], phases, w, across, j, step)
                    second, _, more = _columns(dilation[1] - pads[1], phases, w, across, j, step)
                    if count == step and more == step:
                        start, right = ((c * h + top) * pitch + first) * n, (second - first) * n
                        below = dilation[0] * pitch * n
                        _largest_of_four(x, start, below, right, y, place, at, step * n)
                        continue
                best, where = y[at : at + step * n], place[at : at + step * n]
                for k in range(step * n):
                    best[k], where[k] = lowest, kh * kw
                for a in range(kh):
                    row = top + a * dilation[0]
                    for b in range(kw if 0 <= row < h else 0):
                        offset = b * dilation[1] - pads[1]
                        first, low, count = _columns(offset, phases, w, across, j, step)
                        start = ((c * h + row) * pitch + first) * n
                        left = place.dtype.type(kh * kw - a * kw - b)
                        _take_larger(x, start, left, y, place, (row_start + low) * n, count * n)


@jit
def spread(g, place, channels, h, w, n, oh, ow, kernel, stride, pads, dilation, steps, gx):
    """gx = Σ of g over the windows whose largest element it is. ``steps`` holds, for each place in
    a window, how many pixels behind the window's first it lies."""
    kh, kw = kernel
    tiled = kernel == stride and pads == (0, 0) and dilation == (1, 1)  # each pixel in one window
    put = tiled and kh * kw <= FEW_PLACES and n >= MIN_LOOP_IMAGES
    for c in range(channels):
        channel = gx[c * h * w * n : (c + 1) * h * w * n]
        # Zero where no window is: behind the last of each row, and below.
        for row in range(h):
            covered = min(w, ow * kw) if put and row < oh * kh else 0
            _clear(channel[(row * w + covered) * n : (row + 1) * w * n])
        for i in range(oh):
            top = i * stride[0] - pads[0]
            for j in range(ow):
                at, edge = ((c * oh + i) * ow + j) * n, j * stride[1] - pads[1]
                if put:
                    for a in range(min(kh, h - top)):
                        for b in range(min(kw, w - edge)):
                            to = ((top + a) * w + edge + b) * n
                            _put_where(g, place, at, kh * kw - a * kw - b, channel, to, n)
                    continue
                # In a window of −∞ the first place stands, even where it is padding.
                none = kh * kw if top < 0 or edge < 0 else 0
                first, gs, places = U((top * w + edge) * n), g[at : at + n], place[at : at + n]
                for k in range(U(n)):
                    if places[k] != none:
                        channel[first + steps[U(places[k])] * U(n) + k] += gs[k]


@inline
def _cell(i, size, count):
    """Start and end of cell i of ``count`` that cover an axis of ``size`` evenly."""
    return i * size // count, ((i + 1) * size + count - 1) // count


@jit
def largest_of_cells(x, channels, h, w, n, oh, ow, y, place):
    """y = the largest element of each cell of an even grid, and place = the pixel where it is."""
    for c in range(channels):
        for i in range(oh):
            top, bottom = _cell(i, h, oh)
            for j in range(ow):
                left, right = _cell(j, w, ow)
                at, first = ((c * oh + i) * ow + j) * n, top * w + left
                best, where = y[at : at + n], place[at : at + n]
                start = (c * h * w + first) * n
                for k in range(n):
                    best[k], where[k] = x[start + k], first
                for row in range(top, bottom):
                    for column in range(left, right):
                        pixel = row * w + column
                        start = (c * h * w + pixel) * n
                        _take_larger(x, start, place.dtype.type(pixel), y, place, at, n)


@jit
def spread_from_cells(g, place, channels, pixels, n, cells, gx):
    """gx = Σ of g over the cells whose largest element it is."""
    for c in range(channels):
        channel = gx[c * pixels * n : (c + 1) * pixels * n]
        _clear(channel)
        for cell in range(c * cells, (c + 1) * cells):
            gs, places = g[cell * n : (cell + 1) * n], place[cell * n : (cell + 1) * n]
            for k in range(U(n)):
                channel[U(places[k]) * U(n) + k] += gs[k]


@inline
def _inside(i, step, pad, length, size):
    """Start and end of window i along an axis of ``size``, cropped to the axis."""
    first = i * step - pad
    return max(0, first), min(size, first + length)


@inline
def _add_eight(x, i, n, sums):
    """sums += eight neighbours of n numbers, which are added to each other in their own dtype."""
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


@inline
def _add(x, i, sums):
    xs = x[i : i + len(sums)]
    for k in range(U(len(sums))):
        sums[k] += xs[k]


@jit
def mean(x, channels, h, w, n, oh, ow, kernel, stride, pads, scale, y, scratch):
    """y = the sum of each window times the window's ``scale`` (OH, OW), summed in the dtype of
    ``scratch``, which holds (W + 1, N): with few images first down, then across."""
    columns, sums = scratch[: w * n], scratch[w * n :]
    for c in range(channels):
        for i in range(oh):
            top, bottom = _inside(i, stride[0], pads[0], kernel[0], h)
            if n < MIN_ROW_IMAGES:
                _clear(columns)
                row = top
                while row + 8 <= bottom:
                    _add_eight(x, (c * h + row) * w * n, w * n, columns)
                    row += 8
                for rest in range(row, bottom):
                    _add(x, (c * h + rest) * w * n, columns)
            for j in range(ow):
                left, right = _inside(j, stride[1], pads[1], kernel[1], w)
                at, factor = ((c * oh + i) * ow + j) * n, scale[i * ow + j]
                out = y[at : at + n]
                if n < MIN_LOOP_IMAGES:
                    for k in range(U(n)):
                        total = scratch.dtype.type(0)
                        for column in range(U(left), U(right)):
                            total += columns[column * U(n) + k]
                        out[k] = total * factor
                    continue
                _clear(sums)
                if n < MIN_ROW_IMAGES:
                    for column in range(left, right):
                        _add(columns, column * n, sums)
                else:
                    for row in range(top, bottom):
                        column = left
                        while column + 8 <= right:
                            _add_eight(x, ((c * h + row) * w + column) * n, n, sums)
                            column += 8
                        for rest in range(column, right):
                            _add(x, ((c * h + row) * w + rest) * n, sums)
                for k in range(U(n)):
                    out[k] = sums[k] * factor


@jit
def share(g, channels, h, w, n, oh, ow, kernel, stride, pads, scale, gx):
    """gx = Σ of scale · g over the windows that contain it."""
    for c in range(channels):
        channel = gx[c * h * w * n : (c + 1) * h * w * n]
        _clear(channel)
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

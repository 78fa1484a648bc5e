"""Convolution whose columns are the image itself, shifted.

The image lies in a frame of zeros, so that the pixels which a kernel offset, "tap", reads for all
outputs are one run of the frame, ``shifts[p]`` elements on. Nothing is gathered. A channel of the
frame holds one image or several, beside each other: with a stride, one for each row and column
modulo the stride.

``image`` holds (channels, H, W, N). ``frame`` holds the steps of the image's pixels down and right,
the number of rows of each of its images, the elements of a row, and those of a channel. ``tops``
and ``lefts`` say at which row and column of the image those in the frame begin: at negative ones
where zeros lie around.
"""

from __future__ import annotations

import numpy as np

from . import inline, jit
from .team import parallel_for
from .vector import BLOCK_BYTES, LINES, ROWS, clear, dots, lines, move, move_between, outer_shifted

U = np.uint64  # an index of this type never counts from an array's end


@inline
def _fill(x, image, frame, tops, lefts, start, rows, framed):
    """Copy the channels of x into a frame, of whose images only ``rows`` rows from ``start`` on are
    there."""
    channels, height, width, n = image
    down, right, pitch, row, plane = frame
    lanes = BLOCK_BYTES // 2 // x.itemsize
    for c in range(channels):
        for k in range(len(tops) * len(lefts)):
            top, left = tops[k // len(lefts)], lefts[k % len(lefts)]
            to = c * plane + k * pitch * row
            # Columns of the frame that are of the image.
            low = max(0, -(left // right))
            high = max(low, min(row // n, -((left - width) // right)))
            for i in range(start, start + rows):
                source = i * down + top
                if source < 0 or source >= height or high == low:
                    clear(framed, to, row)
                elif right == 1:
                    at = ((c * height + source) * width + left) * n
                    for e in range(0, row, lanes):  # the last vector ends within the next row
                        move_between(x, at + e, low * n - e, high * n - e, framed, to + e)
                else:
                    at = ((c * height + source) * width + low * right + left) * n
                    clear(framed, to, row)
                    if n == 1:
                        for j in range(U(high - low)):
                            framed[U(to + low) + j] = x[U(at) + j * U(right)]
                    else:
                        for j in range(low, high):
                            for e in range(U(n)):
                                framed[U(to + j * n) + e] = x[U(at) + e]
                            at += right * n
                to += row


@jit
def fill(x, image, frame, tops, lefts, framed):
    """A whole frame, and zeros up to the end of each channel."""
    _, _, pitch, row, plane = frame
    _fill(x, image, frame, tops, lefts, 0, pitch, framed)
    used = len(tops) * len(lefts) * pitch * row
    for c in range(image[0]):
        clear(framed, c * plane + used, plane - used)


@inline
def _correlate(
    x, image, frame, tops, lefts, w, to_filter, to_channel, places, shifts, bias, outputs, y,
    layout, first, last, more, together, scratch,
):  # fmt: skip
    """Rows first … last − 1 of all outputs: bias plus the products of filters with the frame.

    Filters lie where they are (:func:`vector.outer_shifted`). An output reads ``more`` rows of the
    frame beside its own. ``layout`` holds the number of pixels in a row, and where y has pixel (i,
    j) of output o: its begin, and the steps of o, i and j. Each row is cut into vectors, or all
    together where they follow each other in the frame; any two vectors are summed together.
    ``scratch`` holds the frame of these rows, and the sums of ROWS outputs in ``together`` rows, an
    even number of vectors.
    """
    channels, n = image[0], image[3]
    row, plane = frame[3], frame[4]
    width, begin, to_output, to_row, to_pixel = layout
    lanes, size = BLOCK_BYTES // 2 // x.itemsize, width * n
    flat = to_pixel == n and to_row == size
    _fill(x, image, frame, tops, lefts, first, last - first + more, scratch)
    for start in range(first, last, together):
        count = min(together, last - start)
        lines = 1 if row == size else count
        across = (count // lines * size + lanes - 1) // lanes
        vectors = lines * across
        own = (vectors + 1) // 2 * 2 * lanes
        whole = flat and vectors * lanes == count * size and vectors % 2 == 0
        for o in range(0, outputs, ROWS):
            filters, place = min(ROWS, outputs - o), begin + o * to_output + start * to_row
            there = whole and filters == ROWS
            sums = y if there else scratch
            at, pitch = (place, to_output) if there else (channels * plane, own)
            for v in range(0, vectors, 2):
                u = min(v + 1, vectors - 1)
                outer_shifted(
                    w, o * to_filter, to_filter, to_channel, places, filters, scratch,
                    (start - first + v // across) * row + v % across * lanes,
                    (start - first + u // across) * row + u % across * lanes,
                    plane, shifts, len(shifts), channels, sums, at + v * lanes, pitch, bias, o,
                )  # fmt: skip
            for r in range(0 if there else filters):
                for i in range(count):
                    source, to = at + r * own + i * size, place + r * to_output + i * to_row
                    if lines > 1:
                        source = at + r * own + i * across * lanes
                    if to_pixel == n:
                        move(scratch, source, y, to, size)
                    else:
                        for j in range(width):
                            for e in range(U(n)):
                                y[U(to + j * to_pixel) + e] = scratch[U(source + j * n) + e]


@parallel_for
def correlate(
    xs, image, frame, tops, lefts, filters, to_filter, to_channel, places, shifts, biases, outputs,
    ys, layout, rows, more, together, scratches, seat, first, last,
):  # fmt: skip
    """Of each group in turn all parts of its outputs' rows, number ``first`` to ``last``: see
    :func:`_correlate`. A part is (first row, last + 1); a group has a row of xs, filters, biases
    and ys."""
    for number in range(first, last):
        k, part = divmod(number, len(rows))
        _correlate(
            xs[k], image, frame, tops, lefts, filters[k], to_filter, to_channel, places, shifts,
            biases[k], outputs, ys[k], layout, rows[part, 0], rows[part, 1], more, together,
            scratches[seat],
        )  # fmt: skip


@inline
def _weight_gradient(
    framed, plane, channels, shifts, g, image, frame, begin, size, step, w, each, scratch
):
    """w[o, c, p] = Σ over ``size`` elements of the frame of g[o] · (x[c], shifted by tap p), for
    ``each`` channels c, ``step`` elements at a time.

    Elements make whole vectors, and there are frames of ``channels``, a multiple of
    :func:`vector.lines`. ``image``, ``frame`` and ``begin`` are those of g. ``scratch`` holds its
    frames, and the sums of as many outputs as a multiple of LINES.
    """
    outputs, taps, across = image[0], len(shifts), lines(framed.itemsize)
    pitch, g_plane = frame[2] * frame[3], frame[4]
    rows, width = (outputs + LINES - 1) // LINES * LINES, taps * channels
    sums = rows * g_plane
    _fill(g, image, frame, begin, begin, 0, frame[2], scratch)
    for o in range(outputs):
        clear(scratch, o * g_plane + pitch, g_plane - pitch)
    clear(scratch, outputs * g_plane, (rows - outputs) * g_plane + rows * width)
    for start in range(0, size, step):
        vectors = 2 * min(step, size - start) * framed.itemsize // BLOCK_BYTES
        for o in range(0, rows, LINES):
            for p in range(taps):
                for c in range(0, channels, across):
                    dots(
                        scratch, o * g_plane + start, g_plane,
                        framed, c * plane + shifts[p] + start, plane, vectors,
                        scratch, sums + o * width + p * channels + c, width, False,
                    )  # fmt: skip
    for o in range(outputs):
        for c in range(each):
            to, at = (o * each + c) * taps, sums + o * width + c
            for p in range(U(taps)):
                w[U(to) + p] = scratch[U(at) + p * U(channels)]


@parallel_for
def weight_gradient(
    framed, plane, channels, shifts, g, image, frame, begin, size, step, w, each, filters,
    scratches, seat, first, last,
):  # fmt: skip
    """Parts ``first`` to ``last`` of the filters: see :func:`_weight_gradient`. A part is (first
    filter, last + 1)."""
    pixels, numbers = image[1] * image[2] * image[3], each * len(shifts)
    for part in range(first, last):
        low, high = filters[part]
        _weight_gradient(
            framed, plane, channels, shifts, g[low * pixels : high * pixels],
            (high - low, image[1], image[2], image[3]), frame, begin, size, step,
            w[low * numbers : high * numbers], each, scratches[seat],
        )  # fmt: skip

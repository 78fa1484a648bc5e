"""Convolution at stride 1 whose columns are the image itself, shifted.

The image lies in a frame of zeros: channels of rows that are ``row`` elements long, so that the
pixels which a kernel offset, "tap", reads for all outputs are one run of the frame, ``shifts[p]``
elements on. Nothing is gathered.
"""

from __future__ import annotations

from . import jit
from .vector import BLOCK_BYTES, LINES, ROWS, clear, dots, lines, move, outer_shifted


@jit
def frame(x, channels, height, width, before, row, plane, framed):
    """Copy the channels of x, ``height`` rows of ``width`` elements each, into a frame with
    ``plane`` elements per channel, where the first row begins at ``before``."""
    for c in range(channels):
        at, source = c * plane, c * height * width
        clear(framed, at, before)
        at += before
        for _ in range(height):
            move(x, source, framed, at, width)
            clear(framed, at + width, row - width)
            source += width
            at += row
        clear(framed, at, (c + 1) * plane - at)


@jit
def correlate(
    framed, plane, row, channels, shifts, packed, bias, outputs, height, width, first, last, y, sums
):
    """Rows first … last − 1 of all outputs, ``height`` rows of ``width`` elements per channel: bias
    plus the products of filters with the shifted frame.

    Filters are packed as :func:`minigrad.cpu.kernels.direct.pack` does; there is a number of
    ``bias`` for each. A row is cut into vectors, of which any two are summed together. ``sums``
    holds those of ROWS outputs, an even number for each.
    """
    lanes = BLOCK_BYTES // 2 // framed.itemsize
    taps, across = len(shifts), (width + lanes - 1) // lanes
    vectors, pitch = (last - first) * across, len(sums) // ROWS
    for o in range(0, outputs, ROWS):
        for v in range(0, vectors, 2):
            u = min(v + 1, vectors - 1)
            outer_shifted(
                packed, o * taps * channels, framed,
                (first + v // across) * row + v % across * lanes,
                (first + u // across) * row + u % across * lanes,
                shifts, taps, plane, channels, sums, v * lanes, pitch, bias, o,
            )  # fmt: skip
        for r in range(min(ROWS, outputs - o)):
            for i in range(last - first):
                to = ((o + r) * height + first + i) * width
                move(sums, r * pitch + i * across * lanes, y, to, width)


@jit
def weight_gradient(
    framed, plane, channels, shifts, g, g_plane, first, last, start, stop, w, width
):
    """w[o, p, c] += Σ over elements start … stop − 1 of the frames of g[o] · (x[c], shifted by tap
    p), for outputs o = first … last − 1.

    Elements make whole vectors, outputs are a multiple of LINES, and ``channels`` is one of
    :func:`vector.lines`. Rows of w are ``width`` long.
    """
    across = lines(framed.itemsize)
    vectors = 2 * (stop - start) * framed.itemsize // BLOCK_BYTES
    for o in range(first, last, LINES):
        for p in range(len(shifts)):
            for c in range(0, channels, across):
                dots(
                    g, o * g_plane + start, g_plane, framed, c * plane + shifts[p] + start, plane,
                    vectors, w, o * width + p * channels + c, width, False,
                )  # fmt: skip

"""Convolution at stride 1 whose columns are the image itself, shifted.

The image lies in a frame of zeros: channels of rows that are ``row`` elements long, so that the
pixels which a kernel offset, "tap", reads for all outputs are one run of the frame, ``shifts[p]``
elements on. Nothing is gathered. In return, ``row`` − OW·N sums of each row mean nothing.
"""

from __future__ import annotations

from . import jit
from .vector import BLOCK_BYTES, LINES, ROWS, clear, dots, lines, move, outer


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
    ``bias`` for each. ``sums`` holds ROWS rows of what the rows of an output take in the frame, in
    whole blocks.
    """
    block = BLOCK_BYTES // framed.itemsize
    taps = len(shifts)
    blocks = ((last - first - 1) * row + width + block - 1) // block
    pitch = len(sums) // ROWS
    for o in range(0, outputs, ROWS):
        for part in range(0, blocks * block, block):
            for p in range(taps):
                outer(
                    packed, (o * taps + p * ROWS) * channels, framed,
                    first * row + shifts[p] + part, plane, channels,
                    sums, part, pitch, bias, o, p == 0,
                )  # fmt: skip
        for r in range(min(ROWS, outputs - o)):
            for i in range(last - first):
                to = ((o + r) * height + first + i) * width
                move(sums, r * pitch + i * row, y, to, width)


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

"""Convolution of few pixels, with filters read where they lie.

The pixels that a filter multiplies for one output of one image are copied into a row, in the order
of the filter's own numbers: ``depth`` = C · KH · KW. With P = OH · OW · N rows, filters w (O,
depth) and g = dL/dy (O, P),

    y[o, p] = w[o] · rows[p],   dL/drows[p] = Σ_o g[o, p] w[o],   dL/dw[o] = Σ_p g[o, p] rows[p].

All arrays are flat. ``sources`` says for each row and kernel offset, "tap", at which place of a
channel's plane (H, W, N) its pixel lies; it is negative for padding.
"""

from __future__ import annotations

import numpy as np

from .team import parallel_for
from .vector import BLOCK_BYTES, LINES, ROWS, dots, lines, outer

PLANES = 1 << 12  # elements of channels that are copied together, to fit the first-level cache
DEPTH = 1 << 10  # numbers of a filter that are multiplied together, for the same reason
PIXELS = 64  # rows that are multiplied together, to fit the second-level cache
SUMMED = 16  # outputs that are summed together

U = np.uint64  # an index of this type never counts from an array's end


@parallel_for
def gather(x, channels, plane, sources, taps, rows, first, last):
    """Rows first … last − 1 of the images x, ``channels`` planes."""
    together = max(1, PLANES // plane)
    for start in range(0, channels, together):
        stop = min(start + together, channels)
        for p in range(first, last):
            for tap in range(taps):
                source, to = sources[p * taps + tap], U((p * channels + start) * taps + tap)
                if source < 0:
                    for c in range(U(stop - start)):
                        rows[to + c * U(taps)] = x.dtype.type(0)
                else:
                    at = U(source + start * plane)
                    for c in range(U(stop - start)):
                        rows[to + c * U(taps)] = x[at + c * U(plane)]


@parallel_for
def scatter(rows, channels, plane, sources, taps, x, first, last):
    """Add the numbers of all rows to the pixels of channels first … last − 1 that they are of."""
    together = max(1, PLANES // plane)
    for start in range(first, last, together):
        stop = min(start + together, last)
        for k in range(len(sources)):
            source = sources[k]
            if source >= 0:
                p, tap = k // taps, k % taps
                at, to = U((p * channels + start) * taps + tap), U(source + start * plane)
                for c in range(U(stop - start)):
                    x[to + c * U(plane)] += rows[at + c * U(taps)]


@parallel_for
def correlate(w, rows, depth, pixels, y, first, last):
    """y[o, p] += w[o] · rows[p] for o = first … last − 1, a multiple of LINES, and all p, a
    multiple of :func:`vector.lines`."""
    lanes = BLOCK_BYTES // 2 // w.itemsize
    across = lines(w.itemsize)
    for some in range(0, pixels, PIXELS):
        for k in range(0, depth, DEPTH):
            vectors = min(DEPTH, depth - k) // lanes
            for o in range(first, last, LINES):
                for p in range(some, min(some + PIXELS, pixels), across):
                    dots(
                        w, o * depth + k, depth, rows, p * depth + k, depth, vectors,
                        y, o * pixels + p, pixels, False,
                    )  # fmt: skip


@parallel_for
def input_gradient(g, outputs, w, depth, pixels, zeros, rows, first, last):
    """dL/drows[p, k] for k = first … last − 1, whole blocks: g packed in blocks of ROWS pixels,
    (blocks, O, ROWS)."""
    block = BLOCK_BYTES // w.itemsize
    for some in range(first, last, DEPTH):
        for o in range(0, outputs, SUMMED):
            count = min(SUMMED, outputs - o)
            for k in range(some, min(some + DEPTH, last), block):
                for p in range(0, pixels, ROWS):
                    outer(
                        g, p * outputs + o * ROWS, w, o * depth + k, depth, count,
                        rows, p * depth + k, depth, zeros, 0, o == 0,
                    )  # fmt: skip


@parallel_for
def weight_gradient(g, pixels, rows, depth, zeros, w, first, last):
    """dL/dw[o] for o = first … last − 1: g packed in blocks of ROWS outputs, (blocks, P, ROWS)."""
    block = BLOCK_BYTES // w.itemsize
    for some in range(0, depth, DEPTH):
        for o in range(first, last, ROWS):
            for k in range(some, min(some + DEPTH, depth), block):
                outer(
                    g, o * pixels, rows, k, depth, pixels,
                    w, o * depth + k, depth, zeros, 0, True,
                )  # fmt: skip

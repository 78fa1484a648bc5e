"""The filters of a convolution as one matrix, and back; :mod:`minigrad.cpu.conv_dense` says why.

``taps`` (outputs, pixels) holds the kernel offset by which an output of an image reads a pixel, or
−1 where it does not read it. w is flat (O, C, KH · KW), m flat (O, outputs, pixels, C).
"""

from __future__ import annotations

from .team import parallel_for


@parallel_for
def spread(w, count, channels, taps, m, first, last):
    """m = the numbers of filters ``first`` to ``last``, of ``count`` offsets, by output and pixel;
    zeros where an output does not read a pixel."""
    outputs, pixels = taps.shape
    for o in range(first, last):
        own = w[o * channels * count : (o + 1) * channels * count]
        for p in range(outputs):
            for q in range(pixels):
                at, tap = ((o * outputs + p) * pixels + q) * channels, taps[p, q]
                row = m[at : at + channels]
                if tap < 0:
                    row[:] = 0
                else:
                    for c in range(channels):
                        row[c] = own[c * count + tap]


@parallel_for
def gather(m, count, channels, taps, w, first, last):
    """w = for filters ``first`` to ``last`` and each offset the sum of what m holds for it."""
    outputs, pixels = taps.shape
    for o in range(first, last):
        own = w[o * channels * count : (o + 1) * channels * count]
        own[:] = 0
        for p in range(outputs):
            for q in range(pixels):
                at, tap = ((o * outputs + p) * pixels + q) * channels, taps[p, q]
                row = m[at : at + channels]
                if tap >= 0:
                    for c in range(channels):
                        own[c * count + tap] += row[c]

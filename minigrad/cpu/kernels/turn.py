"""Copies between two memory orders, in squares that stay in vector registers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from . import jit
from .vector import WIDTH, Code

TILE = 64  # a multiple of the numbers in a vector


@intrinsic
def _turn_square(typing, x, i, pitch, y, j, y_pitch):
    """Write the transpose of the square of x at i, with as many rows as a vector has lanes, to y at
    j. Rows lie ``pitch`` and ``y_pitch`` apart."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(context, builder, signature, values)
        x, y = code.pointer(0), code.pointer(3)
        i, pitch, j, y_pitch = (code.index(k) for k in (1, 2, 4, 5))
        rows = [code.load(x, code.row(i, pitch, k)) for k in range(code.lanes)]
        # Each round swaps the off-diagonal quarters of squares half as large as the last round's.
        half = code.lanes // 2
        while half:
            low = [k if not k & half else k - half + code.lanes for k in range(code.lanes)]
            high = [lane + half for lane in low]
            for k in range(code.lanes):
                if not k & half:
                    a, b = rows[k], rows[k + half]
                    rows[k], rows[k + half] = code.shuffle(a, b, low), code.shuffle(a, b, high)
            half //= 2
        for k, row in enumerate(rows):
            code.store(row, y, code.row(j, y_pitch, k))
        return context.get_dummy_value()

    return types.void(x, i, pitch, y, j, y_pitch), generate


@jit
def turn(out, x, sizes, to, from_, high, lift, wide, step, first, last):
    """Copy blocks of (high, wide) numbers: number (i, j) of a block is ``x[f + i + j·step]`` and
    becomes ``out[t + i·lift + j]``.

    Blocks lie along axes of ``sizes``, with the strides ``to`` in out and ``from_`` in x. Each is
    cut into bands of TILE values of i. Bands number ``first`` to ``last`` are copied.
    """
    lanes, bands = WIDTH // x.itemsize, (high + TILE - 1) // TILE
    for band in range(first, last):
        rest = band // bands
        top = (band - rest * bands) * TILE
        tall = min(TILE, high - top)
        t, f, whole = top * lift, top, tall - tall % lanes
        for axis in range(len(sizes) - 1, -1, -1):
            above = rest // sizes[axis]
            place = rest - above * sizes[axis]
            t, f, rest = t + place * to[axis], f + place * from_[axis], above
        if wide == lift == 2:  # two rows of x become pairs, which LLVM writes as vectors
            pairs, a, b = out[t : t + 2 * tall], x[f : f + tall], x[f + step : f + step + tall]
            for i in range(np.uint64(tall)):
                pairs[2 * i], pairs[2 * i + np.uint64(1)] = a[i], b[i]
            continue
        for left in range(0, wide, TILE):
            end = min(left + TILE, wide)
            squares = end - (end - left) % lanes
            for j in range(left, squares, lanes):
                for i in range(0, whole, lanes):
                    _turn_square(x, f + i + j * step, step, out, t + i * lift + j, lift)
                for i in range(whole, tall):
                    row, at = out[t + i * lift + j : t + i * lift + j + lanes], f + i + j * step
                    for k in range(lanes):
                        row[k] = x[np.uint64(at + k * step)]
            for j in range(squares, end):
                row = x[f + j * step : f + j * step + tall]
                for i in range(tall):
                    out[np.uint64(t + j + i * lift)] = row[i]

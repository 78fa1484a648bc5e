"""Copies between two memory orders, in squares that stay in vector registers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from .memory import allocate, free
from .team import parallel_for
from .vector import WIDTH, Code

TILE = 64  # a multiple of the numbers in a vector


def _square(part: int) -> Any:
    """The function that writes the transpose of the square of x at i, with as many rows as a vector
    has lanes, or a ``part`` of them, to y at j. Rows lie ``pitch`` and ``y_pitch`` apart."""

    @intrinsic
    def square(typing, x, i, pitch, y, j, y_pitch):
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = Code(context, builder, signature, values)
            x, y, size = code.pointer(0), code.pointer(3), code.lanes // part
            i, pitch, j, y_pitch = (code.index(k) for k in (1, 2, 4, 5))
            rows = [code.load(x, code.row(i, pitch, k), size) for k in range(size)]
            half = size // 2
            while half:  # swap two quarters of each square of 2 · half rows
                low = [k if not k & half else k - half + size for k in range(size)]
                high = [lane + half for lane in low]
                for k in range(size):
                    if not k & half:
                        a, b = rows[k], rows[k + half]
                        rows[k], rows[k + half] = code.shuffle(a, b, low), code.shuffle(a, b, high)
                half //= 2
            for k, row in enumerate(rows):
                code.store(row, y, code.row(j, y_pitch, k), size)
            return context.get_dummy_value()

        return types.void(x, i, pitch, y, j, y_pitch), generate

    return square


turned, _half = _square(1), _square(2)


@parallel_for
def turn(out, x, sizes, to, from_, high, lift, wide, step, first, last):
    """Copy blocks of (high, wide) numbers: number (i, j) of a block is ``x[f + i + j·step]`` and
    becomes ``out[t + i·lift + j]``.

    Blocks lie along axes of ``sizes``, with the strides ``to`` in out and ``from_`` in x. Each is
    cut into bands of TILE values of i. Bands number ``first`` to ``last`` are copied.
    """
    lanes, bands = WIDTH // x.itemsize, (high + TILE - 1) // TILE
    places = allocate(len(sizes), 0)  # of a block, which begins at `to_` and `at_`
    rest, to_, at_ = first // bands, 0, 0
    for axis in range(len(sizes) - 1, -1, -1):
        rest, places[axis] = rest // sizes[axis], rest % sizes[axis]
        to_, at_ = to_ + places[axis] * to[axis], at_ + places[axis] * from_[axis]
    top = (first % bands - 1) * TILE
    for _ in range(first, last):
        top += TILE
        if top >= high:  # on to the next block; to divide would take longer than to copy a few
            top, axis, ends = 0, len(sizes) - 1, True
            while ends and axis >= 0:
                places[axis] += 1
                to_, at_ = to_ + to[axis], at_ + from_[axis]
                ends = places[axis] == sizes[axis]
                if ends:
                    to_, at_ = to_ - sizes[axis] * to[axis], at_ - sizes[axis] * from_[axis]
                    places[axis] = 0
                axis -= 1
        tall, t, f = min(TILE, high - top), to_ + top * lift, at_ + top
        if wide == lift == 2:  # two rows of x become pairs, which LLVM writes as vectors
            pairs, a, b = out[t : t + 2 * tall], x[f : f + tall], x[f + step : f + step + tall]
            for i in range(np.uint64(tall)):
                pairs[2 * i], pairs[2 * i + np.uint64(1)] = a[i], b[i]
            continue
        for left in range(0, wide, TILE):
            end = min(left + TILE, wide)
            j, few = left, lanes // 2
            while j < end:
                room = min(end - j, tall)
                size, i = lanes if room >= lanes else few if room >= few else 1, 0
                while size == lanes and i + lanes <= tall:
                    turned(x, f + i + j * step, step, out, t + i * lift + j, lift)
                    i += lanes
                while size == few and i + few <= tall:
                    _half(x, f + i + j * step, step, out, t + i * lift + j, lift)
                    i += few
                if size == 1:
                    row = x[f + j * step : f + j * step + tall]
                    for k in range(tall):
                        out[np.uint64(t + j + k * lift)] = row[k]
                    i = tall
                for below in range(i, tall):
                    at = t + below * lift + j
                    row, at = out[at : at + size], f + below + j * step
                    for k in range(size):
                        row[k] = x[np.uint64(at + k * step)]
                j += size
    free(places)

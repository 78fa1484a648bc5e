"""A matrix turned, in squares that stay in vector registers."""

from __future__ import annotations

from typing import Any

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
def turn(out, x, rows, columns, top, bottom, left, right):
    """Write rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of ``out``, (rows,
    columns), from x, (columns, rows)."""
    lanes = WIDTH // x.itemsize
    for r in range(top, bottom, TILE):
        low = min(r + TILE, bottom)
        whole = low - (low - r) % lanes
        for c in range(left, right, TILE):
            end = min(c + TILE, right)
            squares = end - (end - c) % lanes
            for j in range(c, squares, lanes):
                for i in range(r, whole, lanes):
                    _turn_square(x, j * rows + i, rows, out, i * columns + j, columns)
                for i in range(whole, low):
                    for k in range(j, j + lanes):
                        out[i * columns + k] = x[k * rows + i]
            for j in range(squares, end):
                for i in range(r, low):
                    out[i * columns + j] = x[j * rows + i]

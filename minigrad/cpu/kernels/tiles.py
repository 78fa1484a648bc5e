"""The two-dimensional transforms of Winograd convolution F(4 x 4, 3 x 3), tile by tile.

:mod:`minigrad.cpu.conv_winograd` explains the transforms. Here each is a function of the rows of a
matrix, which does to columns what it does to numbers. A tile is transformed in vector registers,
for as many images at once as a vector has lanes: first its columns, then its rows. A loop over
memory for each of the two would read and write everything twice.

Images lie next to each other in memory, ``pixel`` elements from one pixel of a row to the next, and
``row`` from row to row. The 36 points of a tile lie ``plane`` elements apart. Arrays are flat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import types
from numba.extending import intrinsic

from .vector import Code


class _Vector:
    """A vector in a formula."""

    def __init__(self, code: Code, value: Any) -> None:
        self.code, self.value = code, value

    def __add__(self, other: _Vector) -> _Vector:
        return _Vector(self.code, self.code.add(self.value, other.value))

    def __sub__(self, other: _Vector) -> _Vector:
        return _Vector(self.code, self.code.subtract(self.value, other.value))

    def __rmul__(self, number: float) -> _Vector:
        return _Vector(self.code, self.code.scale(number, self.value))


Vectors = tuple[_Vector, ...]


def _bt(d0: _Vector, d1: _Vector, d2: _Vector, d3: _Vector, d4: _Vector, d5: _Vector) -> Vectors:
    """Bᵀ d."""
    even, odd = d4 - 2.25 * d2, 0.5 * (d3 - 2.25 * d1)
    even_q, odd_q = d4 - 0.25 * d2, 1.5 * (d3 - 0.25 * d1)
    return (
        d4 - 2.5 * d2 + 0.5625 * d0,
        *(even + odd, even - odd),
        *(even_q + odd_q, even_q - odd_q),
        d5 - 2.5 * d3 + 0.5625 * d1,
    )


def _at(m0: _Vector, m1: _Vector, m2: _Vector, m3: _Vector, m4: _Vector, m5: _Vector) -> Vectors:
    """Aᵀ m."""
    even, odd, even_q, odd_q = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return (
        m0 + even + even_q,
        0.5 * odd + 1.5 * odd_q,
        0.25 * even + 2.25 * even_q,
        0.125 * odd + 3.375 * odd_q + m5,
    )


def _a(g0: _Vector, g1: _Vector, g2: _Vector, g3: _Vector) -> Vectors:
    """A g."""
    even, odd = g0 + 0.25 * g2, 0.5 * g1 + 0.125 * g3
    even_q, odd_q = g0 + 2.25 * g2, 1.5 * g1 + 3.375 * g3
    return g0, even + odd, even - odd, even_q + odd_q, even_q - odd_q, g3


def _both_ways(transform: Callable[..., Vectors], columns: list[Vectors]) -> list[Vectors]:
    """The rows of T d Tᵀ, from the columns of d."""
    half = [transform(*column) for column in columns]
    return [transform(*row) for row in zip(*half, strict=True)]


def _to_points(transform: Callable[..., Vectors], size: int, *groups: tuple[int, ...]) -> Any:
    """The function that writes the points of a tile of ``size`` x ``size`` pixels. Those outside of
    rows ``top`` … ``bottom`` − 1 and columns ``left`` … ``right`` − 1 are zero, and are not read:
    ``zeros`` holds a row of them. The next tile begins ``ahead`` elements behind this one.

    The rows of points in one of ``groups`` are made together. All at once would need more vectors
    than there are registers."""

    @intrinsic
    def points(typing, x, i, row, pixel, top, bottom, left, right, ahead, zeros, v, j, plane):
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = Code(context, builder, signature, values)
            x, zeros, v = code.pointer(0), code.pointer(9), code.pointer(10)
            i, row, pixel, top, bottom, left, right, ahead = (code.index(k) for k in range(1, 9))
            j, plane = code.index(11), code.index(12)
            starts = [
                builder.select(
                    code.within(r, top, bottom), builder.gep(x, [code.row(i, row, r)]), zeros
                )
                for r in range(size)
            ]
            # A tile is too little of a row for the processor to foresee the next.
            for s in range(size):
                for start in starts:
                    code.prefetch(start, code.row(ahead, pixel, s))
            for rows in groups:
                columns = []
                for s in range(size):
                    before = builder.block
                    with builder.if_then(code.within(s, left, right)):
                        at = builder.mul(pixel, code.constant(s))
                        column = [_Vector(code, code.load(start, at)) for start in starts]
                        made = transform(*column)
                        there = builder.block
                    columns.append([code.either(made[r].value, there, before) for r in rows])
                for r, line in zip(rows, zip(*columns, strict=True), strict=True):
                    first = code.row(j, plane, 6 * r)
                    for s, value in enumerate(transform(*(_Vector(code, v) for v in line))):
                        code.store(value.value, v, code.row(first, plane, s))
            return context.get_dummy_value()

        given = x, i, row, pixel, top, bottom, left, right, ahead, zeros, v, j, plane
        return types.void(*given), generate

    return points


input_tile = _to_points(_bt, 6, (0, 5), (1, 2), (3, 4))
gradient_tile = _to_points(_a, 4, (0, 1, 2, 3, 4, 5))


@intrinsic
def output_tile(typing, m, i, plane, shift, y, j, row, pixel, down, wide):
    """Aᵀ m A + shift, of which ``down`` rows and ``wide`` columns are written."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(context, builder, signature, values)
        m, y, shift = code.pointer(0), code.pointer(4), code.copies(values[3])
        i, plane, j, row, pixel, down, wide = (code.index(k) for k in (1, 2, 5, 6, 7, 8, 9))
        none = code.constant(0)
        columns = [
            tuple(_Vector(code, code.load(m, code.row(i, plane, 6 * r + s))) for r in range(6))
            for s in range(6)
        ]
        for r, line in enumerate(_both_ways(_at, columns)):
            with builder.if_then(code.within(r, none, down)):
                start = code.row(j, row, r)
                for s, value in enumerate(line):
                    with builder.if_then(code.within(s, none, wide)):
                        code.store(code.add(value.value, shift), y, code.row(start, pixel, s))
        return context.get_dummy_value()

    return types.void(m, i, plane, shift, y, j, row, pixel, down, wide), generate

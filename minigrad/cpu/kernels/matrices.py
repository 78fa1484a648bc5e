"""Products of matrices that stay in a core's cache: y = alpha a b, in the vector registers.

b is copied DEPTH rows and two vectors of columns at a time, to lie in the fastest cache in the
order in which it is read. ROWS rows of a are multiplied with that copy at a time. Their products
are summed in registers, one row of b after another, so an element of y is the same whatever
other rows and columns the matrices have, and however threads share them.

A matrix is given as an address and how many numbers lie between its rows and between its columns,
so that it may be a view of any kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, register_jitable

from . import inline, subroutine
from .memory import array_of
from .team import parallel_for
from .turn import turned
from .vector import BLOCK_BYTES, WIDTH, Code, move_vector

BEATS_BLAS = WIDTH == 64  # with vectors half as long it measured as fast as OpenBLAS
ROWS = 8 if WIDTH == 64 else 6  # of sums, two vectors long: of 16 registers they leave 4
DEPTH = 256  # rows of a copy, which then takes up to 32 KiB
U = np.uint64


@register_jitable
def scratch_size(itemsize: int) -> int:
    """Numbers that :func:`multiply_to` needs for itself: a copy of b's, and a block of results."""
    return (DEPTH + ROWS) * BLOCK_BYTES // itemsize


@intrinsic
def numbers_at(typing, address, start, like):
    """The numbers at an address from number ``start`` on, as an array of the dtype of ``like``,
    another array."""
    array = types.Array(like.dtype, 1, "C")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        size = ir.Constant(ir.IntType(64), array.dtype.bitwidth // 8)
        first = context.cast(builder, args[1], signature.args[1], types.int64)
        place = builder.add(args[0], builder.mul(first, size))
        memory = builder.inttoptr(place, ir.IntType(8).as_pointer())
        return array_of(context, builder, array, memory, ir.Constant(ir.IntType(64), 0))

    return array(types.int64, start, like), code


def _block(vectors: int) -> Any:
    @intrinsic
    def block(typing, a, i, down, right, rows, x, count, y, k, pitch, fresh):
        """y[r, e] (+)= Σ_t a[r, t] x[t, e] for r below ROWS, e in so many vectors and t below
        ``count``, at least 1.

        Number (r, t) of a is at i + r · down + t · right. There are ``rows`` of them; the last one
        stands for those that are missing up to ROWS. Rows of x follow each other; y begins at k
        with ``pitch`` from row to row. With ``fresh`` y is overwritten.
        """

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = Code(context, builder, signature, values)
            a, x, y = code.pointer(0), code.pointer(5), code.pointer(7)
            i, down, right, rows, count, k, pitch = map(code.index, (1, 2, 3, 4, 6, 8, 9))
            parts = [v * code.lanes for v in range(vectors)]
            places = [code.plus(code.row(k, pitch, r), v) for r in range(ROWS) for v in parts]
            is_fresh = context.cast(builder, values[10], signature.args[10], types.boolean)
            before = builder.block
            there, begun = map(builder.append_basic_block, ("there", "begun"))
            builder.cbranch(is_fresh, begun, there)
            builder.position_at_end(there)
            old = [code.load(y, place) for place in places]
            builder.branch(begun)
            builder.position_at_end(begun)
            starts = [code.either(value, there, before) for value in old]
            last, own = builder.sub(rows, code.constant(1)), []
            for r in range(ROWS):
                low = builder.icmp_signed("<", code.constant(r), last)
                row = builder.select(low, code.constant(r), last)
                own.append(builder.gep(a, [builder.add(i, builder.mul(row, down))]))
            zero, width = code.constant(0), code.constant(vectors * code.lanes)
            (at, source), sums, end = code.loop(count, [zero, zero], [right, width], starts)
            row = [code.load(x, code.plus(source, v)) for v in parts]
            new = []
            for r in range(ROWS):
                number, n = code.spread(own[r], at), vectors * r
                new += [code.multiply_add(number, row[v], sums[n + v]) for v in range(vectors)]
            end(new)
            for place, value in zip(places, new, strict=True):
                code.store(value, y, place)
            return context.get_dummy_value()

        return types.void(a, i, down, right, rows, x, count, y, k, pitch, fresh), generate

    return block


_wide_block, _narrow_block = _block(2), _block(1)


@subroutine
def _copy(b, at, down, right, depth, columns, alpha, width, copy):
    """copy (depth, width) = alpha times b's rows from ``at`` on. Only ``columns`` are written; what
    lies behind them is multiplied too, but is in no result."""
    lanes = WIDTH // b.itemsize
    square = lanes if down == 1 else 1
    if right == 1 and columns == width:
        for t in range(depth):
            for k in range(0, width, lanes):
                move_vector(b, at + t * down + k, copy, t * width + k)
    else:
        for k in range(0, width, square):
            there, t = min(square, columns - k), 0
            while there == square > 1 and t + square <= depth:
                turned(b, at + k * right + t, right, copy, t * width + k, width)
                t += square
            for rest in range(t, depth):
                for e in range(k, k + there):
                    copy[U(rest * width + e)] = b[U(at + rest * down + e * right)]
    if alpha != 1:
        for k in range(U(depth * width)):
            copy[k] *= alpha


@subroutine
def multiply_to(a, down, right, b, b_down, b_right, m, n, depth, alpha, y, pitch, fresh, scratch):
    """y (+)= alpha a b of a (m, depth) and b (depth, n), whose strides are (down, right) and
    (b_down, b_right). Rows of y lie ``pitch`` apart; with ``fresh`` y is overwritten. ``scratch``
    holds :func:`scratch_size` numbers."""
    lanes = WIDTH // y.itemsize
    results = scratch[DEPTH * 2 * lanes :]
    for first in range(0, depth, DEPTH):
        count, new = min(DEPTH, depth - first), fresh and first == 0
        for j in range(0, n, 2 * lanes):
            columns = min(2 * lanes, n - j)
            width = 2 * lanes if columns > lanes else lanes
            at = first * b_down + j * b_right
            _copy(b, at, b_down, b_right, count, columns, alpha, width, scratch)
            for i in range(0, m, ROWS):
                rows, to, at = min(ROWS, m - i), i * pitch + j, i * down + first * right
                whole = rows == ROWS and columns == width
                out, k, step = (y, to, pitch) if whole else (results, 0, width)
                for r in range(0 if whole or new else rows):
                    row, place = U(to + r * pitch), U(r * width)
                    for e in range(U(columns)):
                        results[place + e] = y[row + e]
                if width > lanes:
                    _wide_block(a, at, down, right, rows, scratch, count, out, k, step, new)
                else:
                    _narrow_block(a, at, down, right, rows, scratch, count, out, k, step, new)
                for r in range(0 if whole else rows):
                    row, place = U(to + r * pitch), U(r * width)
                    for e in range(U(columns)):
                        y[row + e] = results[place + e]


@inline
def _fill(y, pitch, m, n, shift, down, right, beta):
    """y (m, n) = beta ``shift``, whose numbers lie so far apart."""
    for i in range(m):
        row, at = U(i * pitch), U(i * down)
        for j in range(U(n)):
            y[row + j] = beta * shift[at + j * U(right)]


@parallel_for
def multiply(addresses, steps, layout, alpha, beta, scratches, seat, first, last):
    """Blocks number ``first`` to ``last`` of alpha a b + beta ``shift`` of stacks of matrices.

    The matrices lie at the ``addresses`` of a, b, y and the shift, plus a row of ``steps``, which
    has no number for a shift if there is none. ``layout`` is (m, n, depth, rows and columns of a
    block, at most), and how many numbers lie between rows and between columns of each of them.
    """
    scratch = scratches[seat]
    m, n, depth, height, width = layout[0], layout[1], layout[2], layout[3], layout[4]
    down, right, b_down, b_right, pitch = layout[5], layout[6], layout[7], layout[8], layout[9]
    across, shifts = (n + width - 1) // width, steps.shape[1] > 3
    blocks = across * ((m + height - 1) // height)
    for k in range(first, last):
        step, block = steps[k // blocks], k % blocks
        i, j = block // across * height, block % across * width
        rows, columns = min(height, m - i), min(width, n - j)
        a = numbers_at(addresses[0] + step[0], i * down, scratch)
        b = numbers_at(addresses[1] + step[1], j * b_right, scratch)
        y = numbers_at(addresses[2] + step[2], i * pitch + j, scratch)
        if shifts:
            start = i * layout[11] + j * layout[12]
            shift = numbers_at(addresses[3] + step[3], start, scratch)
            _fill(y, pitch, rows, columns, shift, layout[11], layout[12], beta)
        multiply_to(
            a, down, right, b, b_down, b_right, rows, columns, depth, alpha, y, pitch, not shifts,
            scratch,
        )  # fmt: skip

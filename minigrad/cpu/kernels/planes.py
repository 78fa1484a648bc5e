"""Pooling of images in C order: planes (H, W), one after another.

A row of outputs is made in two steps: down, the rows of its windows become one; across, its columns
become outputs. In between it lies in ``scratch``, between columns of padding. If windows are two
columns apart, the row is split into its even and odd columns, so that a vector of outputs reads
vectors. ``shifts`` says where output 0 reads, for each column of a window. Where it is empty,
outputs are made number by number. Each thread has its own ``scratches``.

``rows`` has for each row of outputs the first row of x that its windows read, how many they read
inside the image, the place of the first, and that of none of them. ``columns`` has for each column
of outputs the first column of ``scratch`` that it reads, and how many.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from . import inline
from .team import parallel_for
from .vector import WIDTH, Code, clear

U = np.uint64  # an index of this type never counts from an array's end


def _put(code: Code, values: list[Any], y: Any, even: Any, odd: Any, split: bool) -> None:
    """Write two vectors in a row at ``even``, or their even and odd lanes at those places."""
    lanes = list(range(0, 2 * code.lanes, 2))
    if split:
        values = [code.shuffle(values[0], values[1], [k + odd for k in lanes]) for odd in (0, 1)]
    else:
        odd = code.plus(even, code.lanes)
    for value, place in zip(values, (even, odd), strict=True):
        kind = value.type.as_pointer()
        at = code.builder.bitcast(code.builder.gep(y, [place]), kind)
        code.builder.store(value, at, align=code.itemsize)


def _sum_down(split: bool, all_there: bool = False) -> Any:
    @intrinsic
    def down(typing, x, i, pitch, count, width, y, even, odd):
        """The sums of ``count`` rows, at least one, of two vectors of x from i on, ``pitch``
        apart, of which ``width`` columns are there, unless all are.

        CPUs wait for what was written a moment ago before they read a part of it."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = Code(context, builder, signature, values)
            x, y = code.pointer(0), code.pointer(5)
            i, pitch, count, width, even, odd = map(code.index, (1, 2, 3, 4, 6, 7))
            parts = (0, code.lanes)
            there = [code.lanes_below(width, part) for part in parts]
            (at,), sums, end = code.loop(count, [i], [pitch], [code.zero()] * 2)
            read = [
                code.load(x, code.plus(at, part))
                if all_there
                else code.load_where(inside, x, code.plus(at, part), code.zero())
                for inside, part in zip(there, parts, strict=True)
            ]
            new = [code.add(old, value) for old, value in zip(sums, read, strict=True)]
            end(new)
            _put(code, new, y, even, odd, split)
            return context.get_dummy_value()

        return types.void(x, i, pitch, count, width, y, even, odd), generate

    return down


@intrinsic
def _sum_across(typing, x, i, shifts, taps, scale, k, y, j):
    """The vector of y at j: the sum of those of x at i + each of ``shifts``, times that of
    ``scale`` at k."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(context, builder, signature, values)
        x, shifts, scale, y = (code.pointer(n) for n in (0, 2, 4, 6))
        i, taps, k, j = map(code.index, (1, 3, 5, 7))
        zero, one = code.constant(0), code.constant(1)
        (tap,), (total,), end = code.loop(taps, [zero], [one], [code.zero()])
        shift = builder.load(builder.gep(shifts, [tap]))
        new = code.add(total, code.load(x, builder.add(i, shift)))
        end([new])
        code.store(builder.fmul(new, code.load(scale, k)), y, j)
        return context.get_dummy_value()

    return types.void(x, i, shifts, taps, scale, k, y, j), generate


def _largest_down(split: bool) -> Any:
    @intrinsic
    def down(
        typing, x, i, pitch, count, width, lowest, none, first, step, beside, y, where, even,
        odd,
    ):  # fmt: skip
        """The largest of each column, as in :func:`_sum_down`; and its place, which is ``first`` in
        the first row, and grows by ``step`` from row to row and by ``beside`` from column to
        column. If no number is larger, it is ``lowest``, at ``none``."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = Code(context, builder, signature, values)
            x, y, where = (code.pointer(n) for n in (0, 10, 11))
            i, pitch, count, width = map(code.index, (1, 2, 3, 4))
            none, first, step, beside, even, odd = map(code.index, (6, 7, 8, 9, 12, 13))
            number = ir.IntType(8 * code.itemsize)
            least = code.copies(values[5])
            parts = (0, code.lanes)
            there = [code.lanes_below(width, part) for part in parts]
            none, beside = (code.copies(code.short(n), number) for n in (none, beside))
            right = [
                builder.mul(beside, ir.Constant(none.type, list(range(part, part + code.lanes))))
                for part in parts
            ]
            starts = [least, least, *(builder.add(none, n) for n in right)]
            (at, place), old, end = code.loop(count, [i, first], [pitch, step], starts)
            place, best, places = code.copies(code.short(place), number), [], []
            for k, part in enumerate(parts):
                value = code.load_where(there[k], x, code.plus(at, part), least)
                larger = _larger(code, value, old[k])
                best.append(builder.select(larger, value, old[k]))
                places.append(builder.select(larger, builder.add(place, right[k]), old[2 + k]))
            end([*best, *places])
            _put(code, best, y, even, odd, split)
            _put(code, places, where, even, odd, split)
            return context.get_dummy_value()

        kinds = (
            x, i, pitch, count, width, lowest, none, first, step, beside, y, where, even, odd,
        )  # fmt: skip
        return types.void(*kinds), generate

    return down


def _larger(code: Code, v: Any, u: Any) -> Any:
    """Whether v is larger than u, as NaN is than all numbers."""
    ordered = code.builder.fcmp_ordered("ord", u, u)
    return code.builder.and_(code.builder.fcmp_unordered(">", v, u), ordered)


def _better_of(code: Code, new: Any, old: Any) -> tuple[Any, Any]:
    """The larger of two vectors of numbers, with its places. Among equals the lowest counts."""
    builder, (v, p), (u, q) = code.builder, new, old
    odd = builder.fcmp_unordered("uno", v, v)
    as_large = builder.or_(builder.fcmp_ordered(">=", v, u), odd)
    sooner = builder.icmp_signed("<", p, q)
    better = builder.select(sooner, as_large, _larger(code, v, u))
    return builder.select(better, v, u), builder.select(better, p, q)


@intrinsic
def _largest_across(typing, x, where, i, shifts, taps, y, j, place, k):
    """The largest of the vectors of x at i + each of ``shifts``, to y at j; and its place, that in
    ``where`` plus the number of the shift, to ``place`` at k. Among equals the lowest place
    counts."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(context, builder, signature, values)
        x, where, shifts, y, place = (code.pointer(n) for n in (0, 1, 3, 5, 7))
        i, taps, j, k = map(code.index, (2, 4, 6, 8))
        number, zero, one = ir.IntType(8 * code.itemsize), code.constant(0), code.constant(1)
        whole = ir.VectorType(number, code.lanes)

        def read(tap: Any) -> tuple[Any, Any]:
            at = builder.add(i, builder.load(builder.gep(shifts, [tap])))
            pointer = builder.bitcast(builder.gep(where, [at]), whole.as_pointer())
            places = builder.load(pointer, align=code.itemsize)
            return code.load(x, at), builder.add(places, code.copies(code.short(tap), number))

        (tap,), old, end = code.loop(taps, [zero], [one], list(read(zero)))
        best = _better_of(code, read(tap), old)
        end(list(best))
        code.store(best[0], y, j)
        kept, places = ir.IntType(code.types[7].dtype.bitwidth), best[1]
        if kept.width < number.width:
            places = builder.trunc(places, ir.VectorType(kept, code.lanes))
        pointer = builder.bitcast(builder.gep(place, [k]), places.type.as_pointer())
        builder.store(places, pointer, align=kept.width // 8)
        return context.get_dummy_value()

    return types.void(x, where, i, shifts, taps, y, j, place, k), generate


@intrinsic
def _halve(typing, x, where, i, j):
    """The larger of each pair of two vectors of x at i, to x at j; and likewise ``where``."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(context, builder, signature, values)
        (x, where), i, j = map(code.pointer, (0, 1)), code.index(2), code.index(3)
        whole = ir.VectorType(ir.IntType(8 * code.itemsize), code.lanes)
        lanes = list(range(0, 2 * code.lanes, 2))
        pairs = []
        for array, kind in ((x, code.vector()), (where, whole)):
            two = []
            for at in (i, code.plus(i, code.lanes)):
                pointer = builder.bitcast(builder.gep(array, [at]), kind.as_pointer())
                two.append(builder.load(pointer, align=code.itemsize))
            a, b = two
            pairs.append([code.shuffle(a, b, [k + odd for k in lanes]) for odd in (0, 1)])
        (u, v), (q, p) = pairs
        for value, array in zip(_better_of(code, (v, p), (u, q)), (x, where), strict=True):
            pointer = builder.bitcast(builder.gep(array, [j]), value.type.as_pointer())
            builder.store(value, pointer, align=code.itemsize)
        return context.get_dummy_value()

    return types.void(x, where, i, j), generate


def _write_pairs(code: Code, a: Any, b: Any, y: Any, j: Any) -> None:
    """Write a[0], b[0], a[1], b[1] ... to y at j."""
    for part in (0, code.lanes):
        lanes = [part // 2 + k // 2 + k % 2 * code.lanes for k in range(code.lanes)]
        code.store(code.shuffle(a, b, lanes), y, code.plus(j, part))


def _doubler(all_there: bool) -> Any:
    @intrinsic
    def double(typing, x, i, width, scale, k, y, j):
        """Each of the numbers of x at i, times that of ``scale`` at k, twice to y at j: of a
        vector, of which ``width`` numbers are there, unless all are."""

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = Code(context, builder, signature, values)
            x, scale, y = (code.pointer(n) for n in (0, 3, 5))
            i, width, k, j = map(code.index, (1, 2, 4, 6))
            if all_there:
                value = code.load(x, i)
            else:
                value = code.load_where(code.lanes_below(width), x, i, code.zero())
            value = builder.fmul(value, code.load(scale, k))
            _write_pairs(code, value, value, y, j)
            return context.get_dummy_value()

        return types.void(x, i, width, scale, k, y, j), generate

    return double


@intrinsic
def _put_pairs(typing, g, i, width, place, first, y, j):
    """A pair for each of the numbers of g at i, to y at j: the number first if its ``place`` is
    ``first``, second if it is the next, and zeros. Of a vector ``width`` numbers are there."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        code = Code(context, builder, signature, values)
        (g, place, y), kind = (code.pointer(n) for n in (0, 3, 5)), ir.IntType(8)
        i, width, first, j = map(code.index, (1, 2, 4, 6))
        value = code.load_where(code.lanes_below(width), g, i, code.zero())
        whole = ir.VectorType(kind, code.lanes)
        pointer = builder.bitcast(builder.gep(place, [i]), whole.as_pointer())
        places, pair = builder.load(pointer, align=1), []
        for k in (0, 1):
            own = code.copies(builder.trunc(code.plus(first, k), kind), kind)
            same = builder.icmp_signed("==", places, own)
            pair.append(builder.select(same, value, code.zero()))
        _write_pairs(code, pair[0], pair[1], y, j)
        return context.get_dummy_value()

    return types.void(g, i, width, place, first, y, j), generate


_sum_rows, _sum_split_rows, _sum_own_rows = (
    _sum_down(False),
    _sum_down(True),
    _sum_down(False, True),
)
_double, _double_own = _doubler(False), _doubler(True)
_largest_rows, _largest_split_rows = _largest_down(False), _largest_down(True)


@parallel_for
def mean(
    x, h, w, rows, columns, shifts, split, even, odd, scale, scratches, y, seat, first, last
):  # fmt: skip
    """y = the sum of each window times its ``scale``, of planes ``first`` to ``last``.

    Column 0 of a row is written to ``even`` in ``scratch``; if it is ``split``, column 1 is written
    to ``odd``. The last vector of ``scratch`` is for outputs.
    """
    oh, ow, size, scratch = len(rows), len(columns), WIDTH // x.itemsize, scratches[seat]
    end, spare = last * oh * ow, len(scratch) - size
    clear(scratch, 0, len(scratch))
    for plane in range(first, last):
        for i in range(oh):
            start, count = (plane * h + rows[i, 0]) * w, rows[i, 1]
            for c in range(0, w, 2 * size):
                if split:
                    a, b = even + c // 2, odd + c // 2
                    _sum_split_rows(x, start + c, w, count, w - c, scratch, a, b)
                else:
                    _sum_rows(x, start + c, w, count, w - c, scratch, even + c, 0)
            at = (plane * oh + i) * ow
            if len(shifts) == 0:
                for j in range(ow):
                    total, begin = x.dtype.type(0), U(columns[j, 0])
                    for k in range(U(columns[j, 1])):
                        total += scratch[begin + k]
                    y[at + j] = total * scale[i * ow + j]
                continue
            for j in range(0, ow, size):
                # The vector may reach into the next row, which is written later.
                to, k = at + j, i * ow + j
                if to + size <= end:
                    _sum_across(scratch, j, shifts, len(shifts), scale, k, y, to)
                else:
                    _sum_across(scratch, j, shifts, len(shifts), scale, k, scratch, spare)
                    for k in range(end - to):
                        y[to + k] = scratch[spare + k]


@parallel_for
def share(g, h, w, oh, owners, columns, doubled, scale, scratches, gx, seat, first, last):
    """gx = Σ of scale · g over the windows that contain it.

    ``owners`` has for each row of gx the first row of windows that contain it, and how many there
    are. Rows of windows are ``doubled`` so often to become rows of gx, if at all. ``scratch`` holds
    the rows of windows, two rows more, and two vectors. The last vector of ``scale`` holds ones.
    """
    ow, size, scratch = len(columns), WIDTH // g.itemsize, scratches[seat]
    end, spare, ones = last * h * w, len(scratch) - 2 * size, len(scale) - size
    wide, apart = w + 2 * size, doubled > 0
    for r in range(h):
        apart = apart and owners[r, 1] == 1
    times = doubled - 1 if apart else doubled  # the last time on the way to gx
    for plane in range(first, last):
        for i in range(oh):
            start, own = (plane * oh + i) * ow, i * ow
            for k in range(times):
                to = i * wide if k == times - 1 else (oh + k % 2) * wide
                at = (oh + (k + 1) % 2) * wide
                for j in range(0, ow << k, size):
                    if k == 0:
                        _double(g, start + j, ow - j, scale, own + j, scratch, to + 2 * j)
                    else:
                        _double_own(scratch, at + j, 0, scale, ones, scratch, to + 2 * j)
            if doubled == 0:
                row = scratch[i * wide : i * wide + w]
                clear(row, 0, w)
                for j in range(ow):
                    value, begin = g[start + j] * scale[own + j], U(columns[j, 0])
                    for k in range(U(columns[j, 1])):
                        row[begin + k] += value
        for r in range(h):
            for c in range(0, w, 2 * size):
                at, i, j = (plane * h + r) * w + c, owners[r, 0], c // 2
                beyond = at + 2 * size > end
                of, here, count = i * ow + j, i * wide + c, owners[r, 1]
                if apart and not beyond and doubled == 1:
                    _double(g, plane * oh * ow + of, ow - j, scale, of, gx, at)
                elif apart and not beyond:
                    _double_own(scratch, i * wide + j, 0, scale, ones, gx, at)
                elif apart:
                    for k in range(end - at):
                        of = i * ow + ((c + k) >> doubled)
                        gx[at + k] = g[plane * oh * ow + of] * scale[of]
                elif count == 0:
                    clear(gx, at, min(2 * size, end - at))
                elif not beyond:
                    _sum_own_rows(scratch, here, wide, count, 0, gx, at, 0)
                else:
                    _sum_own_rows(scratch, here, wide, count, 0, scratch, spare, 0)
                    for k in range(end - at):
                        gx[at + k] = scratch[spare + k]


@inline
def _better(v, p, u, q):
    """Whether v, at p, counts before u, at q."""
    if p < q:
        return v >= u or v != v
    return v > u or (v != v and u == u)


@parallel_for
def largest(
    x, h, w, rows, columns, shifts, split, even, odd, halved, pitch, step, beside, lowest,
    scratches, wheres, spares, y, place, seat, first, last,
):  # fmt: skip
    """y = the largest number of each window, and place = where in the window it is. Among equals,
    and among NaNs, the first counts.

    Rows of a window lie ``pitch`` numbers apart. Places grow by ``step`` from row to row, and by
    one from column to column: of the image if ``beside``, otherwise of the window. Rows are
    ``halved`` so often to become outputs, if at all. ``scratch`` is as in :func:`mean`, ``where``
    holds the places of its columns, and ``spare`` those of a vector.
    """
    oh, ow, size = len(rows), len(columns), WIDTH // x.itemsize
    scratch, where, spare = scratches[seat], wheres[seat], spares[seat]
    end, behind = last * oh * ow, len(scratch) - size
    for k in range(len(scratch)):
        scratch[k], where[k] = lowest, 0
    for plane in range(first, last):
        for i in range(oh):
            start, count = (plane * h + rows[i, 0]) * w, rows[i, 1]
            for c in range(0, w, 2 * size):
                at, room, a = start + c, w - c, even + c
                none, p = rows[i, 3] + c * beside, rows[i, 2] + c * beside
                if split:
                    a, b = even + c // 2, odd + c // 2
                    _largest_split_rows(
                        x,
                        at,
                        pitch,
                        count,
                        room,
                        lowest,
                        none,
                        p,
                        step,
                        beside,
                        scratch,
                        where,
                        a,
                        b,
                    )
                else:
                    _largest_rows(
                        x,
                        at,
                        pitch,
                        count,
                        room,
                        lowest,
                        none,
                        p,
                        step,
                        beside,
                        scratch,
                        where,
                        a,
                        0,
                    )
            at = (plane * oh + i) * ow
            for k in range(halved):
                for j in range(0, w >> k, 2 * size):
                    _halve(scratch, where, j, j // 2)
            for j in range(ow if halved else 0):
                y[at + j], place[at + j] = scratch[j], where[j]
            if halved:
                continue
            if len(shifts) == 0:
                for j in range(ow):
                    begin, step_of = U(columns[j, 0]), 1 - beside
                    best, found = scratch[begin], where[begin]
                    for k in range(1, columns[j, 1]):
                        v, p = scratch[begin + U(k)], where[begin + U(k)] + k * step_of
                        if _better(v, p, best, found):
                            best, found = v, p
                    y[at + j], place[at + j] = best, found
                continue
            for j in range(0, ow, size):
                to = at + j
                if to + size <= end:
                    _largest_across(scratch, where, j, shifts, len(shifts), y, to, place, to)
                else:
                    _largest_across(
                        scratch, where, j, shifts, len(shifts), scratch, behind, spare, 0
                    )
                    for k in range(end - to):
                        y[to + k], place[to + k] = scratch[behind + k], spare[k]


@parallel_for
def spread(
    g, place, h, w, oh, ow, tiled, stride, pads, steps, scratches, gx, seat, first, last
):  # fmt: skip
    """gx = Σ of g over the windows whose largest number it is. ``steps`` says for each place in a
    window how far from its first pixel it lies. If windows are ``tiled``, they are two pixels wide
    and cover the image. Behind the last place is room for a vector, and ``scratch`` holds two."""
    size, end, scratch = WIDTH // g.itemsize, last * h * w, scratches[seat]
    for plane in range(first, last):
        if tiled:
            for r in range(h):
                i, a = r // stride[0], r % stride[0]
                at, row = (plane * oh + i) * ow, (plane * h + r) * w
                for j in range(0, ow, size):
                    to = row + 2 * j
                    if to + 2 * size <= end:
                        _put_pairs(g, at + j, ow - j, place, 2 * a, gx, to)
                    else:
                        _put_pairs(g, at + j, ow - j, place, 2 * a, scratch, 0)
                        for k in range(end - to):
                            gx[to + k] = scratch[k]
            continue
        channel = gx[plane * h * w : (plane + 1) * h * w]
        for k in range(len(channel)):
            channel[k] = 0
        for i in range(oh):
            top, at = i * stride[0] - pads[0], U((plane * oh + i) * ow)
            for j in range(ow):
                edge, k = j * stride[1] - pads[1], place[at + U(j)]
                # In a window of −∞ the first place counts, even where it is padding.
                if (top >= 0 and edge >= 0) or k != 0:
                    channel[U(top * w + edge) + steps[U(k)]] += g[at + U(j)]

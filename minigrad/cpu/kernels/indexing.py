"""Numbers picked and added at indices along the middle of contiguous memory (outer, n, inner).

:mod:`minigrad.ops.indexing` has the mathematics. Sums are added in the order of the indices: in
float64, unless they have few terms. Places are unsigned: they cannot be counted from the end, which
takes time to find out.
"""

from __future__ import annotations

import numpy as np

from . import jit
from .memory import allocate, free
from .team import parallel_for_each

RUN = 1024  # numbers of a row that are added at a time


@parallel_for_each
def extent(found, index, part, first, last):
    """The least and the largest number of ``index`` from ``first`` to ``last``, for each part."""
    some = index[first:last]
    low = high = some[0]
    for k in range(len(some)):
        low, high = min(low, some[k]), max(high, some[k])
    found[part, 0], found[part, 1] = low, high


@jit
def sort(index, starts, places):
    """Fill ``places`` with the positions in ``index`` of each number from 0 to n − 1, those of i
    from ``starts[i]`` to ``starts[i + 1]``."""
    n = len(starts) - 1
    for i in range(n + 1):
        starts[i] = 0
    for k in range(len(index)):
        starts[index[k] + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    at = allocate(n, starts)
    for i in range(n):
        at[i] = starts[i]
    for k in range(len(index)):
        i = index[k]
        places[at[i]] = k
        at[i] += 1
    free(at)


@parallel_for_each
def add_rows(out, start, g, starts, places, inner, first, last):
    """Rows number ``first`` to ``last`` of ``out``, (outer · n, inner): those of ``start``, or
    zeros if that is empty, with the rows of ``g``, (outer, indices, inner), added at the places
    that :func:`sort` found."""
    n, many = len(starts) - 1, len(places)
    sums, zero = allocate(min(inner, RUN), 0.0), out.dtype.type(0)
    for q in range(first, last):
        block = q // n
        begin, end = starts[q - block * n], starts[q - block * n + 1]
        for low in range(0, inner, RUN):
            wide, here = np.uint64(min(RUN, inner - low)), np.uint64(q * inner + low)
            if end > begin + 1:
                for k in range(wide):
                    sums[k] = start[here + k] if len(start) else 0.0
                for j in range(begin, end):
                    at = np.uint64((block * many + places[j]) * inner + low)
                    for k in range(wide):
                        sums[k] += g[at + k]
                for k in range(wide):
                    out[here + k] = sums[k]
            elif end > begin:  # the sum of two numbers is rounded once in either dtype
                at = np.uint64((block * many + places[begin]) * inner + low)
                for k in range(wide):
                    out[here + k] = start[here + k] + g[at + k] if len(start) else g[at + k]
            else:
                for k in range(wide):
                    out[here + k] = start[here + k] if len(start) else zero
    free(sums)


@parallel_for_each
def add_few(out, start, g, index, step, n, many, first, last):
    """Blocks number ``first`` to ``last`` of ``out``, (outer, n, 1): those of ``start``, or zeros
    if that is empty, with the numbers of ``g`` added, which are few at each place. The indices of
    the next block stand ``step`` behind."""
    zero = out.dtype.type(0)
    for block in range(first, last):
        here, row, places = np.uint64(block * n), np.uint64(block * many), np.uint64(block * step)
        for i in range(np.uint64(n)):
            out[here + i] = start[here + i] if len(start) else zero
        for j in range(np.uint64(many)):
            out[here + np.uint64(index[places + j])] += g[row + j]


@parallel_for_each
def add_each(out, start, g, index, n, many, inner, width, first, last):
    """``start``, or zeros if that is empty, with the numbers of ``g``, (outer, many, inner), added
    at ``index`` of the same shape: strips of ``width`` columns, number ``first`` to ``last``."""
    each = (inner + width - 1) // width
    sums = allocate(n * width, 0.0)
    sums[:] = 0.0
    for strip in range(first, last):
        block, column = strip // each, strip % each * width
        wide = np.uint64(min(width, inner - column))
        begin, number = block * n * inner + column, np.uint64(block * many * inner + column)
        # Rows, or all of them if they are side by side.
        rows, length = (1, np.uint64(n) * wide) if width >= inner else (n, wide)
        if len(start):
            for i in range(rows):
                at, to = np.uint64(begin + i * inner), np.uint64(i) * length
                for k in range(length):
                    sums[to + k] = start[at + k]
        if inner == 1:
            for k in range(np.uint64(many)):
                sums[np.uint64(index[number + k])] += g[number + k]
        else:
            for _ in range(many):
                for k in range(wide):
                    sums[np.uint64(index[number + k]) * wide + k] += g[number + k]
                number += np.uint64(inner)
        for i in range(rows):
            at, to = np.uint64(begin + i * inner), np.uint64(i) * length
            for k in range(length):
                out[at + k] = sums[to + k]
                sums[to + k] = 0.0
    free(sums)


@parallel_for_each
def put_each(out, x, source, index, n, many, inner, width, first, last):
    """x, (outer, n, inner), with the numbers of ``source``, (outer, many, inner), or its only one,
    put at ``index``: strips of ``width`` columns, number ``first`` to ``last``. Of the numbers for
    one place the last stays."""
    each = (inner + width - 1) // width
    for strip in range(first, last):
        block, column = strip // each, strip % each * width
        wide = np.uint64(min(width, inner - column))
        begin, number = block * n * inner + column, np.uint64(block * many * inner + column)
        for i in range(n):
            at = np.uint64(begin + i * inner)
            for k in range(wide):
                out[at + k] = x[at + k]
        to, row = np.uint64(begin), np.uint64(inner)
        for _ in range(many):
            if len(source) > 1:
                for k in range(wide):
                    out[to + np.uint64(index[number + k]) * row + k] = source[number + k]
            else:
                for k in range(wide):
                    out[to + np.uint64(index[number + k]) * row + k] = source[0]
            number += row


@parallel_for_each
def place(out, g, index, n, inner, width, first, last):
    """The numbers of ``g``, (outer, n, inner), at ``index`` of the same shape, where each place
    comes once: strips of ``width`` columns, number ``first`` to ``last``. A strip is put together
    elsewhere, since rows a power of two apart share few places of a cache."""
    each, placed = (inner + width - 1) // width, allocate(n * width, out)
    for strip in range(first, last):
        block, column = strip // each, strip % each * width
        wide, number = min(width, inner - column), block * n * inner + column
        if inner == 1:
            to, row = out[number : number + n], g[number : number + n]
            places = index[number : number + n]
            for k in range(n):
                to[places[k]] = row[k]
            continue
        for at in range(number, number + n * inner, inner):
            row, places = g[at : at + wide], index[at : at + wide]
            for k in range(wide):
                placed[places[k] * wide + k] = row[k]
        for i in range(n):
            to, row = out[number + i * inner :], placed[i * wide : (i + 1) * wide]
            for k in range(wide):
                to[k] = row[k]
    free(placed)


@parallel_for_each
def pick(out, x, index, n, many, inner, first, last):
    """Rows number ``first`` to ``last`` of ``out``, (outer · many, inner), or if they are single
    numbers (outer, many): x at ``index`` of the same shape."""
    length, row = np.uint64(many if inner == 1 else inner), np.uint64(inner)
    for q in range(first, last):
        here = np.uint64(q) * length
        block = np.uint64((q if inner == 1 else q // many) * n * inner)
        if inner == 1:
            for k in range(length):
                out[here + k] = x[block + np.uint64(index[here + k])]
        else:
            for k in range(length):
                out[here + k] = x[block + np.uint64(index[here + k]) * row + k]


@parallel_for_each
def take(out, x, index, n, inner, first, last):
    """Rows number ``first`` to ``last`` of ``out``, (outer · indices, inner), or if they are single
    numbers (outer, indices): the rows of x at ``index``, a vector."""
    many = len(index)
    length = np.uint64(many if inner == 1 else inner)
    for q in range(first, last):
        here = np.uint64(q) * length
        if inner == 1:
            block = np.uint64(q * n)
            for k in range(length):
                out[here + k] = x[block + np.uint64(index[k])]
        else:
            at = np.uint64((q // many * n + index[q % many]) * inner)
            for k in range(length):
                out[here + k] = x[at + k]

"""Numbers picked and added at indices along the middle of contiguous memory (outer, n, inner).

:mod:`minigrad.ops.indexing` has the mathematics. Sums are added in the order of the indices: in
float64, unless they have few terms.
"""

from __future__ import annotations

import numpy as np

from . import jit

RUN = 1024  # numbers of a row that are added at a time


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
    at = starts.copy()
    for k in range(len(index)):
        i = index[k]
        places[at[i]] = k
        at[i] += 1


@jit
def add_rows(out, g, starts, places, inner, first, last):
    """To rows number ``first`` to ``last`` of ``out``, (outer · n, inner), the rows of ``g``,
    (outer, indices, inner), at the places that :func:`sort` found."""
    n, many = len(starts) - 1, len(places)
    sums = np.empty(min(inner, RUN), np.float64)
    for q in range(first, last):
        block = q // n
        begin, end = starts[q - block * n], starts[q - block * n + 1]
        if begin == end:
            continue
        for low in range(0, inner, RUN):
            wide = min(RUN, inner - low)
            to = out[q * inner + low : q * inner + low + wide]
            for k in range(wide):
                sums[k] = to[k]
            for j in range(begin, end):
                at = (block * many + places[j]) * inner + low
                row = g[at : at + wide]
                for k in range(wide):
                    sums[k] += row[k]
            for k in range(wide):
                to[k] = sums[k]


@jit
def add_few(out, g, index, step, n, many, first, last):
    """To blocks number ``first`` to ``last`` of ``out``, (outer, n, 1), the numbers of ``g``, which
    are few at each place. The indices of the next block stand ``step`` behind."""
    for block in range(first, last):
        to, row = out[block * n : (block + 1) * n], g[block * many : (block + 1) * many]
        places = index[block * step : block * step + many]
        for j in range(many):
            to[places[j]] += row[j]


@jit
def add_each(out, start, g, index, n, many, inner, width, first, last):
    """``start``, or zeros if that is empty, with the numbers of ``g``, (outer, many, inner), added
    at ``index`` of the same shape: strips of ``width`` columns, number ``first`` to ``last``."""
    each = (inner + width - 1) // width
    sums = np.zeros(n * width, np.float64)
    for strip in range(first, last):
        block, column = strip // each, strip % each * width
        wide = min(width, inner - column)
        at, number = block * n * inner + column, block * many * inner + column
        if len(start):
            for i in range(n):
                for k in range(wide):
                    sums[i * wide + k] = start[at + i * inner + k]
        if inner == 1:
            row, places = g[number : number + many], index[number : number + many]
            for j in range(many):
                sums[places[j]] += row[j]
        else:
            for _ in range(many):
                row, places = g[number : number + wide], index[number : number + wide]
                for k in range(wide):
                    sums[places[k] * wide + k] += row[k]
                number += inner
        if wide == inner:
            to = out[at : at + n * wide]
            for i in range(n * wide):
                to[i] = sums[i]
                sums[i] = 0.0
            continue
        for i in range(n):
            to = out[at + i * inner : at + i * inner + wide]
            for k in range(wide):
                to[k] = sums[i * wide + k]
                sums[i * wide + k] = 0.0


@jit
def put_each(out, x, source, index, n, many, inner, width, first, last):
    """x, (outer, n, inner), with the numbers of ``source``, (outer, many, inner), or its only one,
    put at ``index``: strips of ``width`` columns, number ``first`` to ``last``. Of the numbers for
    one place the last stays."""
    each = (inner + width - 1) // width
    for strip in range(first, last):
        block, column = strip // each, strip % each * width
        wide = min(width, inner - column)
        begin, number = block * n * inner + column, block * many * inner + column
        for i in range(n):
            at = begin + i * inner
            out[at : at + wide] = x[at : at + wide]
        to = out[begin:]
        for _ in range(many):
            places = index[number : number + wide]
            if len(source) > 1:
                row = source[number : number + wide]
                for k in range(wide):
                    to[places[k] * inner + k] = row[k]
            else:
                for k in range(wide):
                    to[places[k] * inner + k] = source[0]
            number += inner


@jit
def pick(out, x, index, n, many, inner, first, last):
    """Rows number ``first`` to ``last`` of ``out``, (outer · many, inner), or if they are single
    numbers (outer, many): x at ``index`` of the same shape."""
    for q in range(first, last):
        if inner == 1:
            here, row = slice(q * many, (q + 1) * many), x[q * n : (q + 1) * n]
            to, places = out[here], index[here]
            for k in range(many):
                to[k] = row[places[k]]
        else:
            here, block = slice(q * inner, (q + 1) * inner), x[q // many * n * inner :]
            to, places = out[here], index[here]
            for k in range(inner):
                to[k] = block[places[k] * inner + k]

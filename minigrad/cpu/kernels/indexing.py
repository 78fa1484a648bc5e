"""Numbers picked and added at indices along the middle of contiguous memory (outer, n, inner).

:mod:`minigrad.ops.indexing` has the mathematics. Sums are added in float64, in the order of the
indices.
"""

from __future__ import annotations

import numpy as np

from . import jit

RUN = 1024  # numbers of a row that are added at a time


@jit
def sort(index, starts, places):
    """Fill ``places`` with the positions in ``index`` of each number from 0 to n − 1, those of i
    from ``starts[i]`` to ``starts[i + 1]``. A negative index counts from the end."""
    n = len(starts) - 1
    for i in range(n + 1):
        starts[i] = 0
    for k in range(len(index)):
        i = index[k]
        starts[(i + n if i < 0 else i) + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    at = starts.copy()
    for k in range(len(index)):
        i = index[k]
        i = i + n if i < 0 else i
        places[at[i]] = k
        at[i] += 1


@jit
def add_rows(out, g, starts, places, inner, first, last):
    """Rows number ``first`` to ``last`` of ``out``, (outer · n, inner): the sums of the rows of
    ``g``, (outer, indices, inner), at the places that :func:`sort` found."""
    n, many = len(starts) - 1, len(places)
    sums = np.empty(min(inner, RUN), np.float64)
    for q in range(first, last):
        block = q // n
        i = q - block * n
        begin, end = starts[i], starts[i + 1]
        for low in range(0, inner, RUN):
            wide = min(RUN, inner - low)
            for k in range(wide):
                sums[k] = 0.0
            for j in range(begin, end):
                at = (block * many + places[j]) * inner + low
                row = g[at : at + wide]
                for k in range(wide):
                    sums[k] += row[k]
            to = out[q * inner + low : q * inner + low + wide]
            for k in range(wide):
                to[k] = sums[k]


@jit
def add_each(out, g, index, n, many, inner, width, first, last):
    """``g``, (outer, many, inner), added at ``index`` of the same shape: strips of ``width``
    columns, number ``first`` to ``last``."""
    each = (inner + width - 1) // width
    sums = np.empty(n * width, np.float64)
    for strip in range(first, last):
        block, column = strip // each, strip % each * width
        wide = min(width, inner - column)
        for k in range(len(sums)):
            sums[k] = 0.0
        for j in range(many):
            at = (block * many + j) * inner + column
            for k in range(wide):
                sums[index[at + k] * wide + k] += g[at + k]
        for i in range(n):
            for k in range(wide):
                out[(block * n + i) * inner + column + k] = sums[i * wide + k]


@jit
def pick_each(out, x, index, n, many, inner, first, last):
    """Rows number ``first`` to ``last`` of ``out``, (outer · many, inner): x at ``index``."""
    for q in range(first, last):
        block = q // many
        for k in range(inner):
            out[q * inner + k] = x[(block * n + index[q * inner + k]) * inner + k]

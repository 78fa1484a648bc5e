"""Copies of short rows, and of rows backwards, on which NumPy spends more than on their numbers;
and of one number, for which it takes twice as long."""

from __future__ import annotations

import numpy as np

from .team import parallel_for_each


@parallel_for_each
def fill(out, number, first, last):
    """``number`` from ``first`` to ``last``."""
    part = out[first:last]
    for k in range(len(part)):
        part[k] = number


@parallel_for_each
def reversed_rows(out, x, n, first, last):
    """Rows ``first`` to ``last`` of n numbers, backwards."""
    for row in range(first, last):
        to, from_ = out[row * n : (row + 1) * n], x[row * n : (row + 1) * n]
        for k in range(n):
            to[k] = from_[np.uint64(n - 1 - k)]  # which cannot be negative, so this is vectorised


@parallel_for_each
def triangles(out, x, rows, columns, diagonal, lower, first, last):
    """Rows ``first`` to ``last`` of matrices (rows, columns), with zeros above ``diagonal`` if
    ``lower``, else below it."""
    for row in range(first, last):
        to, from_ = out[row * columns : (row + 1) * columns], x[row * columns : (row + 1) * columns]
        edge = min(max(row % rows + diagonal + (1 if lower else 0), 0), columns)
        for k in range(edge):
            to[k] = from_[k] if lower else 0
        for k in range(edge, columns):
            to[k] = 0 if lower else from_[k]


@parallel_for_each
def frame(out, x, rows, columns, left, h, w, value, first, last):
    """Fill images ``first`` to ``last`` of ``out``, which have ``len(rows)`` times ``len(columns)``
    pixels, from x, whose images have h · w.

    Pixel (i, j) is that at (``rows[i]``, ``columns[j]``), or ``value`` where one of them is -1. The
    w columns from ``left`` on are those of x.
    """
    high, wide, plain = len(rows), len(columns), columns.min() < 0
    for image in range(first, last):
        for i in range(high):
            # Unsigned places cannot be counted from the end, which takes time to find out.
            to = np.uint64((image * high + i) * wide)
            if rows[i] < 0:
                for j in range(np.uint64(wide)):
                    out[to + j] = value
                continue
            at, begin = np.uint64((image * h + rows[i]) * w), to + np.uint64(left)
            for j in range(np.uint64(w)):
                out[begin + j] = x[at + j]
            for j in range(left):
                out[to + np.uint64(j)] = value if plain else x[at + np.uint64(columns[j])]
            for j in range(left + w, wide):
                out[to + np.uint64(j)] = value if plain else x[at + np.uint64(columns[j])]


@parallel_for_each
def unframe(out, g, rows, columns, left, h, w, first, last):
    """The derivative of :func:`frame`: images ``first`` to ``last`` of ``out``, with the sums of
    the pixels of g that are copies of theirs."""
    high, wide, plain = len(rows), len(columns), columns.min() < 0
    for image in range(first, last):
        whole = out[image * h * w : (image + 1) * h * w]
        for k in range(0 if plain else len(whole)):
            whole[k] = 0
        for i in range(high):
            if rows[i] < 0:
                continue
            begin = (image * high + i) * wide
            row, inside = whole[rows[i] * w : (rows[i] + 1) * w], g[begin + left : begin + left + w]
            if plain:
                for j in range(w):
                    row[j] = inside[j]
                continue
            for j in range(w):
                row[j] += inside[j]
            for j in range(left):
                row[columns[j]] += g[begin + j]
            for j in range(left + w, wide):
                row[columns[j]] += g[begin + j]

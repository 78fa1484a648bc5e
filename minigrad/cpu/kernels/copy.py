"""Copies of rows, on which NumPy spends more than on their numbers if they are short; one number,
for which it takes twice as long; and numbers evenly spaced, for which it makes several passes."""

from __future__ import annotations

import numpy as np

from . import inline
from .team import parallel_for, parallel_for_each, parallel_for_exactly


@parallel_for_each
def fill(out, number, first, last):
    """``number`` from ``first`` to ``last``."""
    part = out[first:last]
    for k in range(len(part)):
        part[k] = number


@parallel_for
def whole_ramp(out, start, step, first, last):
    """start + step · k from k = ``first`` to ``last``, in whole numbers."""
    part, start = out[first:last], start + step * first
    for k in range(len(part)):
        part[k] = start + step * k


@parallel_for_exactly
def ramp(out, start, step, first, last):
    """start + step · k from k = ``first`` to ``last``, in float64."""
    part, before = out[first:last], np.float64(first)
    for k in range(len(part)):
        part[k] = start + (before + np.float64(np.int32(k))) * step  # quick: of few bits


@parallel_for_each
def lines(out, x, sizes, to, from_, start, wide, step, first, last):
    """Numbers ``first`` to ``last`` of lines of ``wide`` numbers, side by side in ``out``, and in x
    each ``step`` behind the one before. The lines of axes of ``sizes``, from outermost to
    innermost, begin ``to`` apart in ``out``, and ``from_`` apart in x, the first at ``start``."""
    n, rise, lift = sizes[-1], to[-1], from_[-1]
    line, column, left = first // wide, first % wide, last - first
    while left > 0:
        rest, j = line // n, line % n
        a, b = j * rise, start + j * lift
        for k in range(len(sizes) - 2, -1, -1):
            a += rest % sizes[k] * to[k]
            b += rest % sizes[k] * from_[k]
            rest //= sizes[k]
        while j < n and left > 0:
            some = min(wide - column, left)
            # Unsigned places cannot be counted from the end, which takes time to find out.
            begin, at = np.uint64(a + column), np.uint64(b + column * step)
            if step == 1:
                for k in range(np.uint64(some)):
                    out[begin + k] = x[at + k]
            elif step == 0:
                number = x[at]
                for k in range(np.uint64(some)):
                    out[begin + k] = number
            else:
                for k in range(np.uint64(some)):
                    out[begin + k] = x[at + k * np.uint64(step)]
            a, b, j, line, left, column = a + rise, b + lift, j + 1, line + 1, left - some, 0


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


@inline
def has_negative(numbers):
    least = numbers[0]
    for number in numbers:
        least = min(least, number)
    return least < 0


@parallel_for_each
def frame(out, x, rows, columns, left, h, w, value, first, last):
    """Fill images ``first`` to ``last`` of ``out``, which have ``len(rows)`` times ``len(columns)``
    pixels, from x, whose images have h · w.

    Pixel (i, j) is that at (``rows[i]``, ``columns[j]``), or ``value`` where one of them is -1. The
    w columns from ``left`` on are those of x.
    """
    high, wide = len(rows), len(columns)
    # Unsigned places cannot be counted from the end, which takes time to find out.
    if has_negative(rows) or has_negative(columns):
        for image in range(first, last):
            whole = np.uint64(image * high * wide)
            for k in range(np.uint64(high * wide)):
                out[whole + k] = value
            for i in range(high):  # a second time, because the image stays in the cache
                if rows[i] >= 0:
                    to = np.uint64((image * high + i) * wide + left)
                    at = np.uint64((image * h + rows[i]) * w)
                    for j in range(np.uint64(w)):
                        out[to + j] = x[at + j]
        return
    for image in range(first, last):
        for i in range(high):
            to, at = np.uint64((image * high + i) * wide), np.uint64((image * h + rows[i]) * w)
            begin = to + np.uint64(left)
            for j in range(np.uint64(w)):
                out[begin + j] = x[at + j]
            for j in range(left):
                out[to + np.uint64(j)] = x[at + np.uint64(columns[j])]
            for j in range(left + w, wide):
                out[to + np.uint64(j)] = x[at + np.uint64(columns[j])]


@parallel_for_each
def unframe(out, g, rows, columns, left, h, w, first, last):
    """The derivative of :func:`frame`: images ``first`` to ``last`` of ``out``, with the sums of
    the pixels of g that are copies of theirs."""
    high, wide = len(rows), len(columns)
    if has_negative(rows) or has_negative(columns):
        for image in range(first, last):
            for i in range(high):
                if rows[i] >= 0:
                    to = np.uint64((image * h + rows[i]) * w)
                    at = np.uint64((image * high + i) * wide + left)
                    for j in range(np.uint64(w)):
                        out[to + j] = g[at + j]
        return
    for image in range(first, last):
        whole = np.uint64(image * h * w)
        for k in range(np.uint64(h * w)):
            out[whole + k] = 0
        for i in range(high):
            to, at = np.uint64((image * h + rows[i]) * w), np.uint64((image * high + i) * wide)
            inside = at + np.uint64(left)
            for j in range(np.uint64(w)):
                out[to + j] += g[inside + j]
            for j in range(left):
                out[to + np.uint64(columns[j])] += g[at + np.uint64(j)]
            for j in range(left + w, wide):
                out[to + np.uint64(columns[j])] += g[at + np.uint64(j)]

"""Rows as weighted sums of rows, and their numbers as sums of numbers, in contiguous memory
(outer, h, w, inner)."""

from __future__ import annotations

import numpy as np

from . import inline, jit_each
from .memory import allocate, free

# Short ways across an axis of single numbers: each is written twice, and the derivative of that,
# the sums of pairs; the numbers at a quarter and at three quarters between two, and the derivative.
TWICE, PAIRS, BETWEEN, AROUND = 1, 2, 3, 4
ONE, TWO = np.uint64(1), np.uint64(2)


@jit_each
def planes(out, x, tops, rows, shares, lefts, columns, weights, h, w, inner, first, last):
    """Rows number ``first`` to ``last`` of ``out``.

    Row i of an image is the sum over e from ``tops[i]`` to ``tops[i + 1]`` of ``shares[e]`` times
    the row ``rows[e]`` of h; its number j is that from ``lefts[j]`` to ``lefts[j + 1]`` of
    ``weights[e]`` times number ``columns[e]`` of w, each of which is ``inner`` numbers side by
    side.
    """
    high, wide, length = len(tops) - 1, len(lefts) - 1, w * inner
    line = allocate(length, x)
    for q in range(first, last):
        image = q // high
        i = q - image * high
        begin, end, row, at = tops[i], tops[i + 1], x, 0
        if end == begin + 1 and shares[begin] == 1:
            at = (image * h + rows[begin]) * length
        else:
            _sum(line, 0, x, image * h * length, rows, shares, begin, end, length)
            row = line
        for j in range(wide):
            place = (q * wide + j) * inner
            _sum(out, place, row, at, columns, weights, lefts[j], lefts[j + 1], inner)
    free(line)


@inline
def _sum(to, at, x, first, places, weights, begin, end, length):
    """Write the sum of rows of x behind ``first``, with these weights, to ``to`` at ``at``."""
    put, many = np.uint64(at), np.uint64(length)
    if begin == end:
        for k in range(many):
            to[put + k] = 0
    for e in range(begin, end):
        row, weight = np.uint64(first + places[e] * length), weights[e]
        if e == begin:
            for k in range(many):
                to[put + k] = weight * x[row + k]
        else:
            for k in range(many):
                to[put + k] += weight * x[row + k]


@jit_each
def images(
    out, x, tops, rows, shares, lefts, columns, weights, h, w, across_first, kind, first, last
):
    """:func:`planes` of images ``first`` to ``last`` as a whole, of single numbers: across rows
    first, or down columns, and the way ``kind`` across, if it is not 0."""
    high, wide = len(tops) - 1, len(lefts) - 1
    between = allocate(h * wide if across_first else high * w, x)
    for image in range(first, last):
        to = out[image * high * wide : (image + 1) * high * wide]
        from_ = x[image * h * w : (image + 1) * h * w]
        if across_first:
            _across(between, from_, lefts, columns, weights, w, kind)
            _down(to, between, tops, rows, shares, wide)
        else:
            _down(between, from_, tops, rows, shares, w)
            _across(to, between, lefts, columns, weights, w, kind)
    free(between)


@inline
def _down(to, x, tops, rows, shares, length):
    many = np.uint64(length)
    for i in range(len(tops) - 1):
        begin, end, at = tops[i], tops[i + 1], np.uint64(i * length)
        if end == begin + 2:
            a, b = np.uint64(rows[begin] * length), np.uint64(rows[begin + 1] * length)
            share, other = shares[begin], shares[begin + 1]
            for k in range(many):
                to[at + k] = share * x[a + k] + other * x[b + k]
        elif end == begin + 1 and shares[begin] == 1:
            a = np.uint64(rows[begin] * length)
            for k in range(many):
                to[at + k] = x[a + k]
        else:
            _sum(to, i * length, x, 0, rows, shares, begin, end, length)


@inline
def _across(to, x, lefts, columns, weights, w, kind):
    """Ways that look no farther than to neighbours go through all rows at once. The ends of rows
    are mended."""
    wide, count = len(lefts) - 1, len(x) // w
    quarter, most = x.dtype.type(0.25), x.dtype.type(0.75)
    if kind == TWICE:
        for k in range(np.uint64(len(x))):
            to[TWO * k], to[TWO * k + ONE] = x[k], x[k]
    elif kind == PAIRS:
        for k in range(np.uint64(len(to))):
            to[k] = x[TWO * k] + x[TWO * k + ONE]
    elif kind == BETWEEN:
        for k in range(np.uint64(len(x) - 1)):
            a, b = x[k], x[k + ONE]
            to[TWO * k + ONE], to[TWO * k + TWO] = most * a + quarter * b, quarter * a + most * b
        for i in range(count):
            begin, end = i * w, (i + 1) * w - 1
            to[2 * begin] = x[begin] + 0 * x[min(begin + 1, end)]
            to[2 * end + 1] = most * x[end] + quarter * x[end]
    elif kind == AROUND:
        for k in range(ONE, np.uint64(max(1, len(to) - 1))):
            near, far = x[TWO * k] + x[TWO * k + ONE], x[TWO * k - ONE] + x[TWO * k + TWO]
            to[k] = most * near + quarter * far
        for i in range(count):
            begin, end = i * wide, (i + 1) * wide - 1
            if end == begin:
                to[begin] = x[2 * begin] + x[2 * begin + 1]
                continue
            to[begin] = x[2 * begin] + most * x[2 * begin + 1] + quarter * x[2 * begin + 2]
            to[end] = quarter * x[2 * end - 1] + most * x[2 * end] + x[2 * end + 1]
    else:
        for i in range(count):
            line, row = to[i * wide : (i + 1) * wide], x[i * w : (i + 1) * w]
            for j in range(wide):
                begin, end = lefts[j], lefts[j + 1]
                total = x.dtype.type(0)
                if end > begin:
                    total = weights[begin] * row[columns[begin]]
                for e in range(begin + 1, end):
                    total += weights[e] * row[columns[e]]
                line[j] = total

"""Weighted sums of rows along the middle of contiguous memory (outer, n, inner)."""

from __future__ import annotations

from . import jit


@jit
def rows(out, x, begins, places, weights, n, inner, first, last):
    """Rows number ``first`` to ``last`` of ``out``, (outer · many, inner): row i of each block is
    the sum over e from ``begins[i]`` to ``begins[i + 1]`` of ``weights[e]`` times the row
    ``places[e]`` of x."""
    many = len(begins) - 1
    for q in range(first, last):
        block = q // many
        i = q - block * many
        to, begin, end = out[q * inner : (q + 1) * inner], begins[i], begins[i + 1]
        if begin == end:
            to[:] = 0
        for e in range(begin, end):
            row = (block * n + places[e]) * inner
            from_, weight = x[row : row + inner], weights[e]
            if e == begin:
                for k in range(inner):
                    to[k] = weight * from_[k]
            else:
                for k in range(inner):
                    to[k] += weight * from_[k]


@jit
def numbers(out, x, begins, places, weights, n, first, last):
    """:func:`rows` of single numbers: of each four blocks, number ``first`` to ``last``."""
    many, blocks = len(begins) - 1, len(x) // n
    for block in range(4 * first, min(4 * last, blocks), 4):
        # Of the last few, the first stands for those that are missing too.
        a = block
        b = block + 1 if block + 1 < blocks else a
        c = block + 2 if block + 2 < blocks else a
        d = block + 3 if block + 3 < blocks else a
        for i in range(many):
            begin, end = begins[i], begins[i + 1]
            if begin == end:
                out[a * many + i] = out[b * many + i] = out[c * many + i] = out[d * many + i] = 0
                continue
            weight, at = weights[begin], places[begin]
            s0, s1 = weight * x[a * n + at], weight * x[b * n + at]
            s2, s3 = weight * x[c * n + at], weight * x[d * n + at]
            for e in range(begin + 1, end):
                weight, at = weights[e], places[e]
                s0 += weight * x[a * n + at]
                s1 += weight * x[b * n + at]
                s2 += weight * x[c * n + at]
                s3 += weight * x[d * n + at]
            out[a * many + i], out[b * many + i] = s0, s1
            out[c * many + i], out[d * many + i] = s2, s3

"""Running sums and products along the middle of contiguous memory (outer, n, inner), in float64."""

from __future__ import annotations

import numpy as np

from . import jit

WIDE = 512  # neighbours that are added at a time


@jit
def scan(out, x, n, inner, product, backwards, first, last):
    """Strips of ``WIDE`` columns, number ``first`` to ``last``: sums, or products if ``product``,
    from the end on if ``backwards``."""
    each = (inner + WIDE - 1) // WIDE
    begin, step = 1.0 if product else 0.0, -inner if backwards else inner
    found = np.empty(min(WIDE, inner), np.float64)
    for strip in range(first, last):
        block, column = strip // each, strip % each * WIDE
        wide = min(WIDE, inner - column)
        at = (block * n + (n - 1 if backwards else 0)) * inner + column
        if inner == 1 and product:
            value = begin
            for _ in range(n):
                value *= x[at]
                out[at] = value
                at += step
            continue
        if inner == 1:
            value = begin
            for _ in range(n):
                value += x[at]
                out[at] = value
                at += step
            continue
        for k in range(wide):
            found[k] = begin
        for _ in range(n):
            row, to = x[at : at + wide], out[at : at + wide]
            if product:
                for k in range(wide):
                    found[k] *= row[k]
            else:
                for k in range(wide):
                    found[k] += row[k]
            for k in range(wide):
                to[k] = found[k]
            at += step

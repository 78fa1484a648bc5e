"""Running sums and products along the middle of contiguous memory (outer, n, inner), in float64."""

from __future__ import annotations

from . import inline
from .memory import allocate, free
from .team import parallel_for

WIDE = 512  # neighbours that are added at a time
ROWS = 4  # rows that are added at a time: a sum waits for the one before it


@inline
def many_rows(out, x, at, n, step, product):
    """``ROWS`` rows of n numbers, one of them from ``at``, the next one behind its end."""
    a, b, c, d = at, at + n, at + 2 * n, at + 3 * n
    if product:
        v, w, y, z = 1.0, 1.0, 1.0, 1.0
        for k in range(0, n * step, step):
            v, w, y, z = v * x[a + k], w * x[b + k], y * x[c + k], z * x[d + k]
            out[a + k], out[b + k], out[c + k], out[d + k] = v, w, y, z
    else:
        v, w, y, z = 0.0, 0.0, 0.0, 0.0
        for k in range(0, n * step, step):
            v, w, y, z = v + x[a + k], w + x[b + k], y + x[c + k], z + x[d + k]
            out[a + k], out[b + k], out[c + k], out[d + k] = v, w, y, z


@inline
def one_row(out, x, at, n, step, product):
    """The row from ``at``."""
    value = 1.0 if product else 0.0
    for k in range(at, at + n * step, step):
        value = value * x[k] if product else value + x[k]
        out[k] = value


@parallel_for
def scan(out, x, n, inner, product, backwards, first, last):
    """Strips of ``WIDE`` columns, number ``first`` to ``last``: sums, or products if ``product``,
    from the end on if ``backwards``."""
    each = (inner + WIDE - 1) // WIDE
    begin, step = 1.0 if product else 0.0, -inner if backwards else inner
    if inner == 1:
        behind = n - 1 if backwards else 0
        many = (last - first) // ROWS * ROWS
        for strip in range(first, first + many, ROWS):
            many_rows(out, x, strip * n + behind, n, step, product)
        for strip in range(first + many, last):
            one_row(out, x, strip * n + behind, n, step, product)
        return
    found = allocate(min(WIDE, inner), 0.0)
    for strip in range(first, last):
        block, column = strip // each, strip % each * WIDE
        wide = min(WIDE, inner - column)
        at = (block * n + (n - 1 if backwards else 0)) * inner + column
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
    free(found)

"""Sums of runs of contiguous memory, in float64."""

from __future__ import annotations

from math import isfinite

from . import jit
from .norm import add, add_squares


@jit
def sums(out, x, n, exact, first, last):
    """``out[q]`` = Σ x over run q of ``n`` numbers, for those from ``first`` to ``last``: in the
    dtype of x as far as is accurate, unless ``exact``."""
    zero = x.dtype.type(0)
    for q in range(first, last):
        many = min(n, len(x) - q * n)
        if not exact:
            out[q] = add(x, q * n, many, zero)
        if exact or not isfinite(out[q]):  # where the dtype of x may have overflowed
            out[q] = add(x, q * n, many, 0.0)


@jit
def squares(out, x, centres, n, first, last):
    """Likewise Σ (x − c)², with a centre c for each run."""
    for q in range(first, last):
        out[q] = add_squares(x, q * n, min(n, len(x) - q * n), centres[q], 0.0)

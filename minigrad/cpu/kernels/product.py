"""The sum of the products of two vectors."""

from __future__ import annotations

from . import inline_sum
from .team import parallel_for

RUN = 1024  # products that are added in their own dtype


@inline_sum
def add_products(a, b, zero):
    total = zero
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@parallel_for
def dot(sums, a, b, part, first, last):
    """``sums[part]`` = Σ a b."""
    total = 0.0
    for start in range(first, last, RUN):
        stop = min(start + RUN, last)
        total += add_products(a[start:stop], b[start:stop], a.dtype.type(0))
    sums[part] = total

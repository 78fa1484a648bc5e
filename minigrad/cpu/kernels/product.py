"""The sum of the products of two vectors."""

from __future__ import annotations

from .softmax import add_products
from .team import parallel_for

RUN = 1024  # products that are added in their own dtype


@parallel_for
def dot(sums, a, b, part, first, last):
    """``sums[part]`` = Σ a b."""
    total = 0.0
    for start in range(first, last, RUN):
        stop = min(start + RUN, last)
        total += add_products(a[start:stop], b[start:stop], a.dtype.type(0))
    sums[part] = total

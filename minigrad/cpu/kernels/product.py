"""Products of two vectors, and of a matrix and a vector. All arrays are flat.

A run of products is added in their own dtype, and runs in float64.
"""

from __future__ import annotations

from .softmax import add_products
from .team import parallel_for

RUN = 1024  # products


@parallel_for
def dot(sums, a, b, part, first, last):
    """``sums[part]`` = Σ a b."""
    total = 0.0
    for start in range(first, last, RUN):
        stop = min(start + RUN, last)
        total += add_products(a[start:stop], b[start:stop], a.dtype.type(0))
    sums[part] = total


@parallel_for
def by_vector(y, a, x, first, last):
    """y[i] = Σ_k a[i, k] x[k] for rows i = first … last − 1 of a."""
    n = len(x)
    for i in range(first, last):
        row, total = a[i * n : (i + 1) * n], 0.0
        for start in range(0, n, RUN):
            stop = min(start + RUN, n)
            total += add_products(row[start:stop], x[start:stop], a.dtype.type(0))
        y[i] = total

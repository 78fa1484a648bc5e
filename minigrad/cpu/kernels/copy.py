"""Copies that NumPy makes number by number."""

from __future__ import annotations

import numpy as np

from . import jit


@jit
def reversed_rows(out, x, n, first, last):
    """Rows ``first`` to ``last`` of n numbers, backwards."""
    for row in range(first, last):
        to, from_ = out[row * n : (row + 1) * n], x[row * n : (row + 1) * n]
        for k in range(n):
            to[k] = from_[np.uint64(n - 1 - k)]  # which cannot be negative, so this is vectorised

"""Softmax of blocks of attention scores, in place, and its derivative.

Row i of n scores is that of a query, number i % ``rows`` of its block; it has the first ``seen`` +
i % ``rows`` keys. :mod:`minigrad.ops.attention` has the mathematics.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from . import jit
from .scalar import REAL, bind, exp_falling
from .softmax import LONG, add, add_products, largest


@cache
def kernel(name: str, dtype: Any) -> Callable[..., Any]:
    """The function ``name`` below, compiled for arrays of ``dtype``."""
    return jit(bind(globals()[name], dtype.type))


def weights(scores, n, rows, seen, tops, factors):
    """e^(score − top) / Σ e^(score − top), and 0 for keys that are not seen; fill ``tops``, and
    ``factors`` with the inverses of the sums."""
    for i in range(len(tops)):
        begin, end = i * n, i * n + min(n, seen + i % rows)
        row, total = scores[begin:end], 0.0
        top = largest(row)
        top = top if top != -math.inf else REAL(0.0)
        for start in range(0, len(row), LONG):
            part = row[start : start + LONG]
            for k in range(len(part)):
                part[k] = exp_falling(part[k] - top)
            total += add(part, REAL(0.0))
        total = total if total != 0.0 else 1.0
        factor = REAL(1.0 / total)
        for k in range(len(row)):
            row[k] *= factor
        scores[end : begin + n] = 0.0
        tops[i], factors[i] = top, factor


def slopes(scores, g, n, rows, seen, tops, factors):
    """Turn scores into ``weights`` p, and the gradient g of these into that of the scores,
    p (g − Σ g p)."""
    for i in range(len(tops)):
        begin, end = i * n, i * n + min(n, seen + i % rows)
        p, gs, top, factor = scores[begin:end], g[begin:end], tops[i], factors[i]
        for k in range(len(p)):
            p[k] = exp_falling(p[k] - top) * factor
        total = 0.0
        for start in range(0, len(p), LONG):
            total += add_products(gs[start : start + LONG], p[start : start + LONG], REAL(0.0))
        mean = REAL(total)
        for k in range(len(p)):
            gs[k] = p[k] * (gs[k] - mean)
        scores[end : begin + n] = 0.0
        g[end : begin + n] = 0.0

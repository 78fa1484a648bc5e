"""Softmax, or its logarithm, along the middle of contiguous memory (outer, n, inner).

The columns are taken in strips of ``width``, short enough to stay in the core's cache.
:mod:`minigrad.ops.activation` has the mathematics. Sums are added in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import log
from typing import Any

import numpy as np

from . import jit
from .scalar import REAL, bind, exp


@cache
def kernel(name: str, dtype: Any) -> Callable[..., None]:
    """The function ``name`` below, compiled for arrays of ``dtype``."""
    return jit(bind(globals()[name], dtype.type))


def value_in_strips(out, x, n, inner, width, first, last, logarithm):
    """Strips number ``first`` to ``last``, where those of each outer index follow one another."""
    each = (inner + width - 1) // width
    top, sums = np.empty(width, x.dtype), np.empty(width, np.float64)
    for strip in range(first, last):
        at = strip // each * n * inner + strip % each * width
        wide = min(width, inner - strip % each * width)
        for k in range(wide):
            top[k], sums[k] = x[at + k], 0.0
        for i in range(1, n):
            row = x[at + i * inner : at + i * inner + wide]
            for k in range(wide):
                top[k] = row[k] if row[k] > top[k] else top[k]  # a NaN comes into the sum anyway
        for i in range(n):
            row = x[at + i * inner : at + i * inner + wide]
            y = out[at + i * inner : at + i * inner + wide]
            for k in range(wide):
                y[k] = e = exp(row[k] - top[k])
                sums[k] += e
        if logarithm:
            for k in range(wide):
                sums[k] = log(sums[k])
            for i in range(n):
                row = x[at + i * inner : at + i * inner + wide]
                y = out[at + i * inner : at + i * inner + wide]
                for k in range(wide):
                    y[k] = row[k] - top[k] - REAL(sums[k])
        else:
            for k in range(wide):
                top[k] = 1.0 / sums[k]
            for i in range(n):
                y = out[at + i * inner : at + i * inner + wide]
                for k in range(wide):
                    y[k] *= top[k]


def gradient_in_strips(out, y, g, n, inner, width, first, last, logarithm):
    each = (inner + width - 1) // width
    sums = np.empty(width, np.float64)
    for strip in range(first, last):
        at = strip // each * n * inner + strip % each * width
        wide = min(width, inner - strip % each * width)
        sums[:] = 0.0
        for i in range(n):
            ys = y[at + i * inner : at + i * inner + wide]
            gs = g[at + i * inner : at + i * inner + wide]
            for k in range(wide):
                sums[k] += gs[k] if logarithm else gs[k] * ys[k]
        for i in range(n):
            ys = y[at + i * inner : at + i * inner + wide]
            gs = g[at + i * inner : at + i * inner + wide]
            to = out[at + i * inner : at + i * inner + wide]
            if logarithm:
                for k in range(wide):
                    to[k] = gs[k] - exp(ys[k]) * REAL(sums[k])
            else:
                for k in range(wide):
                    to[k] = ys[k] * (gs[k] - REAL(sums[k]))

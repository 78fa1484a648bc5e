"""Element-wise kernels: one pass where NumPy needs two."""

from __future__ import annotations

from . import jit


@jit
def relu(out, x):
    """out = max(x, 0); NaN stays."""
    zero = x.dtype.type(0)
    for k in range(len(out)):
        out[k] = zero if x[k] < zero else x[k]


@jit
def relu_gradient(out, y, g):
    """out = g where y is not 0, else 0 (y = max(x, 0), or NaN)."""
    zero = g.dtype.type(0)
    for k in range(len(out)):
        out[k] = g[k] if y[k] != zero else zero


@jit
def masked(out, x, keep, scale):
    """out = x · scale where ``keep``, else x · 0 (which is NaN for NaN and infinity)."""
    for k in range(len(out)):
        out[k] = x[k] * (scale if keep[k] else x.dtype.type(0))

"""Remainders and whole quotients, for which NumPy calls the C library for every element.

The rounded quotient q gives n = ⌊q⌋, which is too large by 1 where q was rounded up to it; then the
remainder a − n b, which one fused operation rounds once, has the wrong sign. Each kernel returns
whether this held everywhere: not where q is NaN, or so large that it has lost its last bit.
"""

from __future__ import annotations

import numpy as np
from numba.extending import intrinsic

from . import jit


@intrinsic
def fused(context, a, b, c):
    """a b + c, rounded once."""

    def code(context, builder, signature, values):
        return builder.fma(*values)

    return a(a, b, c), code


@jit
def remainder(out, a, b, far):
    """out = a − b ⌊a / b⌋, where all \\|a / b\\| < ``far``."""
    zero, good = a.dtype.type(0), True
    for k in range(len(out)):
        q = a[k] / b[k]
        r = fused(-np.floor(q), b[k], a[k])
        out[k] = r + b[k] if ((r < zero) != (b[k] < zero)) & (r != zero) else r
        good &= (abs(q) < far) & (r == r)
    return good


@jit
def floor_divide(out, a, b, far):
    """out = ⌊a / b⌋, where all \\|a / b\\| < ``far``."""
    zero, one, good = a.dtype.type(0), a.dtype.type(1), True
    for k in range(len(out)):
        q = a[k] / b[k]
        n = np.floor(q)
        r = fused(-n, b[k], a[k])
        out[k] = n - one if ((r < zero) != (b[k] < zero)) & (r != zero) else n
        good &= (abs(q) < far) & (r == r)
    return good


@jit
def fmod(out, a, b, far):
    """out = a − b trunc(a / b), where all \\|a / b\\| < ``far``."""
    zero, good = a.dtype.type(0), True
    for k in range(len(out)):
        q = a[k] / b[k]
        r = fused(-np.trunc(q), b[k], a[k])
        back = b[k] if (a[k] < zero) == (b[k] < zero) else -b[k]
        out[k] = r + back if ((r < zero) != (a[k] < zero)) & (r != zero) else r
        good &= (abs(q) < far) & (r == r)
    return good

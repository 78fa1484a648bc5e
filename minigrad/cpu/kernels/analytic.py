"""Sine and cosine in float64, for which NumPy takes one number at a time; functions in one
pass, for which it needs several."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from . import inline
from .activation import loop
from .scalar import exp_falling, log1p, polynomial, sigmoid
from .team import Kernel, parallel_for_each

RUN = 1024  # numbers that are looked at before they are computed
# π/2 in three parts, of which the first two have so few bits that their products with n are exact
# for |x| ≤ FAR (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980).
FAR = 2.0**20
FIRST, SECOND = 1.57079632673412561417e00, 6.07710050630396597660e-11
THIRD = 2.02226624879595063154e-21
PER_QUARTER = 2 / math.pi
# (sin r − r) / r³ and (cos r − 1 + r²/2) / r⁴ as polynomials in r², for |r| ≤ π/4: those of S. L.
# Moshier's Cephes (sin.c).
SINE = (
    *(1.58962301576546568060e-10, -2.50507477628578072866e-8, 2.75573136213857245213e-6),
    *(-1.98412698295895385996e-4, 8.33333333332211858878e-3, -1.66666666666666307295e-1),
)
COSINE = (
    *(-1.13585365213876817300e-11, 2.08757008419747316778e-9, -2.75573141792967388112e-7),
    *(2.48015872888517045348e-5, -1.38888888888730564116e-3, 4.16666666666665929218e-2),
)


@inline
def wave(x, quarter):
    """The sine of x + quarter · π/2, for |x| ≤ FAR: with x = n π/2 + r the sine or the cosine of r,
    or minus it."""
    total = x * PER_QUARTER + 6755399441055744.0  # as in `scalar.reduced`
    n = total - 6755399441055744.0
    r = ((x - n * FIRST) - n * SECOND) - n * THIRD
    z = r * r
    sine = r + r * z * polynomial(SINE, z)
    cosine = (1.0 - 0.5 * z) + z * z * polynomial(COSINE, z)
    turn = np.float64(total).view(np.int64) + quarter
    y = cosine if turn & 1 else sine
    return -y if turn & 2 else y


@parallel_for_each
def waves(out, x, quarter, first, last):
    """out = sin(x + quarter · π/2) for quarter = 0 or 1. Runs with numbers beyond FAR, which need
    more of the digits of π, are left to C's library."""
    for start in range(first, last, RUN):
        part = slice(start, min(start + RUN, last))
        y, run = out[part], x[part]
        far = False
        for k in range(len(run)):
            far |= abs(run[k]) > FAR
        if far:
            for k in range(len(run)):
                y[k] = math.cos(run[k]) if quarter == 1 else math.sin(run[k])
        else:
            for k in range(len(run)):
                y[k] = wave(run[k], quarter)


@parallel_for_each
def frac(out, x, first, last):
    """out = x − trunc x."""
    out, x = out[first:last], x[first:last]
    for k in range(len(out)):
        out[k] = x[k] - np.trunc(x[k])


@cache
def blend(name: str, arrays: int, dtype: np.dtype[Any]) -> Kernel:
    """The kernel ``blend(out, *arrays, (), first, last)`` of one of the functions below."""
    return loop(arrays, globals()[name], dtype.type)


def logaddexp(a, b):
    """max(a, b) + ln(1 + e^−|a − b|)"""
    top = a if (a > b) | (a != a) else b
    y = top + log1p(exp_falling(-abs(a - b)))
    return y if y == y else top  # not the NaN of equal infinities


def share(a, b, g):
    """g / (1 + eᵇ⁻ᵃ)"""
    return g * sigmoid(a - b)

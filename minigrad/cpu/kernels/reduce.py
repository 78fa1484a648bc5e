"""Runs of n numbers of contiguous memory reduced, number ``first`` to ``last``; the last run may be
shorter. And columns reduced, in strips."""

from __future__ import annotations

from functools import cache
from math import isfinite
from types import FunctionType
from typing import Any

from . import inline, inline_sum, softmax
from .memory import allocate, free
from .norm import RUN, add, add_squares
from .scalar import INTEGER, LARGEST, bind, rank, ranked
from .team import Kernel, parallel_for

place = inline(softmax.place)
WIDE, FEW = 256, 32  # columns of a strip, and numbers of a column added in their own dtype


@parallel_for
def sums(out, x, n, exact, first, last):
    """``out[q]`` = Σ x over run q: in the dtype of x as far as is accurate, unless ``exact``."""
    zero = x.dtype.type(0)
    for q in range(first, last):
        many = min(n, len(x) - q * n)
        if not exact:
            out[q] = add(x, q * n, many, zero)
        if exact or not isfinite(out[q]):  # where the dtype of x may have overflowed
            out[q] = add(x, q * n, many, 0.0)


@parallel_for
def columns(out, x, n, inner, first, last):
    """Σ x along the middle of (outer, n, inner), for strips of WIDE columns: few numbers in their
    own dtype, their sums in float64."""
    some = allocate(min(WIDE, inner), x)
    for strip in range(first, last):
        start, begin, wide = place(strip, n, inner, WIDE)
        to = out[start : start + wide]
        to[:] = 0.0
        for i in range(0, n, FEW):
            some[:] = 0
            for j in range(i, min(i + FEW, n)):
                row = x[begin + j * inner : begin + j * inner + wide]
                for k in range(wide):
                    some[k] += row[k]
            for k in range(wide):
                to[k] += some[k]
    free(some)


@parallel_for
def column_squares(out, x, centres, n, inner, first, last):
    """Σ (x − c)² along the middle, in float64, with a centre c for each column."""
    for strip in range(first, last):
        start, begin, wide = place(strip, n, inner, WIDE)
        to = out[start : start + wide]
        to[:] = 0.0
        cs = centres[start : start + wide]
        for i in range(n):
            row = x[begin + i * inner : begin + i * inner + wide]
            for k in range(wide):
                to[k] += (row[k] - cs[k]) * (row[k] - cs[k])


@parallel_for
def squares(out, x, n, centres, first, last):
    """Σ (x − c)², with a centre c for each run, or one for all."""
    for q in range(first, last):
        centre = centres[q % len(centres)]
        out[q] = add_squares(x, q * n, min(n, len(x) - q * n), centre, 0.0)


@inline_sum
def _multiply(run, one):
    part = one
    for k in range(len(run)):
        part *= run[k]
    return part


@parallel_for
def products(out, x, n, first, last):
    """Π x."""
    one = x.dtype.type(1)
    for q in range(first, last):
        stop = min((q + 1) * n, len(x))
        total = 1.0
        for start in range(q * n, stop, RUN):
            total *= _multiply(x[start : min(start + RUN, stop)], one)
        out[q] = total


@parallel_for
def count_odd(out, x, n, first, last):
    """How many numbers are 0, infinite or NaN."""
    zero = x.dtype.type(0)
    for q in range(first, last):
        run = x[q * n : min((q + 1) * n, len(x))]
        count = 0
        for k in range(len(run)):
            count += run[k] == zero or run[k] - run[k] != zero
        out[q] = count


@cache
def extremes(dtype: Any) -> Kernel:
    """:func:`_extremes`, compiled for arrays of ``dtype``."""
    return parallel_for(bind(_extremes, dtype.type))


def _extremes(out, x, n, sign, first, last):
    """The largest number, or the smallest with ``sign`` −1; NaN if there is one."""
    for q in range(first, last):
        run = x[q * n : min((q + 1) * n, len(x))]
        most = INTEGER(-LARGEST)
        for k in range(len(run)):
            value = sign * run[k]
            other = rank(value) if value == value else INTEGER(LARGEST)  # which is NaN
            most = other if other > most else most
        out[q] = sign * ranked(most)


function: Any = None  # what a loop applies


@cache
def joining(name: str) -> Kernel:
    """:func:`_joined` by the function ``name``, one of the next three."""
    names = {**globals(), "function": inline(globals()[name])}
    made = FunctionType(_joined.__code__, names, name)
    made.__qualname__ = f"{name}_of_columns"  # names its file in the cache
    return parallel_for(made)


def maximum(a, b):
    return b if (b > a) | (b != b) else a


def minimum(a, b):
    return b if (b < a) | (b != b) else a


def multiply(a, b):
    return a * b


def _joined(out, x, n, inner, first, last):
    """The columns' numbers joined by a function of two."""
    for strip in range(first, last):
        start, begin, wide = place(strip, n, inner, WIDE)
        to = out[start : start + wide]
        for k in range(wide):
            to[k] = x[begin + k]
        for i in range(1, n):
            row = x[begin + i * inner : begin + i * inner + wide]
            for k in range(wide):
                to[k] = function(to[k], row[k])


@cache
def placing(dtype: Any) -> Kernel:
    """:func:`_places`, compiled for arrays of ``dtype``."""
    return parallel_for(bind(_places, dtype.type))


def _places(out, tops, x, sign, n, inner, first, last):
    """The first places of the columns' largest numbers, or smallest with ``sign`` −1, or of their
    first NaN; and these numbers."""
    most, at = allocate(min(WIDE, inner), x), allocate(min(WIDE, inner), INTEGER(0))
    for strip in range(first, last):
        start, begin, wide = place(strip, n, inner, WIDE)
        for k in range(wide):
            most[k], at[k] = sign * x[begin + k], INTEGER(0)
        for i in range(1, n):
            row = x[begin + i * inner : begin + i * inner + wide]
            for k in range(wide):
                value, top = sign * row[k], most[k]
                more = (value > top) | ((value != value) & (top == top))
                most[k] = value if more else top
                at[k] = INTEGER(i) if more else at[k]
        for k in range(wide):
            out[start + k], tops[start + k] = at[k], sign * most[k]
    free(most)
    free(at)

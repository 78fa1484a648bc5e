"""Softmax, or its logarithm, along the middle of contiguous memory (outer, n, inner).

Where inner is 1, its rows are taken one after another. Otherwise the columns are taken in strips of
``width``, short enough to stay in the core's cache. :mod:`minigrad.ops.activation` has the
mathematics. Short runs of numbers are added in their own dtype, the sums of runs in float64.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from . import inline, inline_sum, scalar
from .memory import allocate, free
from .scalar import REAL, bind, exp_falling, rank, ranked
from .team import Kernel, parallel_for

LONG, SHORT = 1024, 32  # numbers of a run: by one partial sum per vector lane, one after another
log = inline(bind(scalar.log, np.float64))


@cache
def kernel(name: str, dtype: Any) -> Kernel:
    """The function ``name`` below, compiled for arrays of ``dtype``."""
    return parallel_for(bind(globals()[name], dtype.type))


# ---------------------------------------------------------------------------- rows


def largest(row):
    """The maximum. A NaN may be left out: it comes into the sum anyway."""
    most = rank(row[0])
    for k in range(1, len(row)):
        other = rank(row[k])
        most = other if other > most else most
    return ranked(most)


@inline_sum
def add(a, zero):
    total = zero
    for k in range(len(a)):
        total += a[k]
    return total


@inline_sum
def add_products(a, b, zero):
    total = zero
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


def add_powers(row, top, powers):
    """Σ e^(x − top). The last LONG terms are left in ``powers``, or all, if it is long enough."""
    total, whole = 0.0, len(powers) >= len(row)
    for start in range(0, len(row), LONG):
        part = row[start : start + LONG]
        to = powers[start : start + len(part)] if whole else powers[: len(part)]
        for k in range(len(part)):
            to[k] = exp_falling(part[k] - top)
        total += add(to, REAL(0.0))
    return total


def value_in_rows(logarithm, out, x, n, inner, width, first, last):
    """Rows number ``first`` to ``last``."""
    powers = allocate(LONG, x)
    for i in range(first, last):
        row, y = x[i * n : (i + 1) * n], out[i * n : (i + 1) * n]
        top = largest(row)
        if logarithm:
            shift = REAL(log(add_powers(row, top, powers)))
            for k in range(n):
                y[k] = row[k] - top - shift
        else:
            factor = REAL(1.0 / add_powers(row, top, y))
            for k in range(n):
                y[k] *= factor
    free(powers)


def sum_in_rows(out, x, n, inner, width, first, last):
    """ln Σ eˣ of rows number ``first`` to ``last``."""
    powers = allocate(LONG, x)
    for i in range(first, last):
        row = x[i * n : (i + 1) * n]
        top = largest(row)
        if top - top == 0.0:
            out[i] = top + REAL(log(add_powers(row, top, powers)))
        else:
            out[i] = beyond(top, row)
    free(powers)


def beyond(top, row):
    """A maximum that is infinite or NaN, or NaN if ``row`` has one."""
    for k in range(len(row)):
        top = top if row[k] == row[k] else row[k]
    return top


def gradient_in_rows(logarithm, out, y, g, n, inner, width, first, last):
    for i in range(first, last):
        ys, gs, to = y[i * n : (i + 1) * n], g[i * n : (i + 1) * n], out[i * n : (i + 1) * n]
        total = 0.0
        for start in range(0, n, LONG):
            a, b = gs[start : start + LONG], ys[start : start + LONG]
            total += add(a, REAL(0.0)) if logarithm else add_products(a, b, REAL(0.0))
        shift = REAL(total)
        if logarithm:
            for k in range(n):
                to[k] = gs[k] - exp_falling(ys[k]) * shift
        else:
            for k in range(n):
                to[k] = ys[k] * (gs[k] - shift)


# ---------------------------------------------------------------------------- strips


def place(strip, n, inner, width):
    """(column, at, wide) of a strip: the number of its first column, where that begins, and how
    many there are. The strips of each outer index follow one another."""
    each = (inner + width - 1) // width
    block, skipped = strip // each, strip % each * width
    return block * inner + skipped, block * n * inner + skipped, min(width, inner - skipped)


def find_tops(tops, x, n, inner, at, wide):
    """The columns' maxima; see ``largest``."""
    for k in range(wide):
        tops[k] = x[at + k]
    for i in range(1, n):
        row = x[at + i * inner : at + i * inner + wide]
        for k in range(wide):
            tops[k] = row[k] if row[k] > tops[k] else tops[k]


def find_sums(sums, run, tops, x, powers, n, inner, at, wide):
    """The columns' sums of e^(x − top). These are written to ``powers``, unless it is empty."""
    sums[:wide] = 0.0
    for start in range(0, n, SHORT):
        run[:wide] = 0.0
        for i in range(start, min(start + SHORT, n)):
            row = x[at + i * inner : at + i * inner + wide]
            if len(powers):
                to = powers[at + i * inner : at + i * inner + wide]
                for k in range(wide):
                    to[k] = e = exp_falling(row[k] - tops[k])
                    run[k] += e
            else:
                for k in range(wide):
                    run[k] += exp_falling(row[k] - tops[k])
        for k in range(wide):
            sums[k] += run[k]


def value_in_strips(logarithm, out, x, n, inner, width, first, last):
    tops, run, sums = allocate(width, x), allocate(width, x), allocate(width, np.float64(0.0))
    for strip in range(first, last):
        _, at, wide = place(strip, n, inner, width)
        find_tops(tops, x, n, inner, at, wide)
        find_sums(sums, run, tops, x, run[:0] if logarithm else out, n, inner, at, wide)
        for k in range(wide):
            run[k] = log(sums[k]) if logarithm else 1.0 / sums[k]
        for i in range(n):
            row = x[at + i * inner : at + i * inner + wide]
            y = out[at + i * inner : at + i * inner + wide]
            if logarithm:
                for k in range(wide):
                    y[k] = row[k] - tops[k] - run[k]
            else:
                for k in range(wide):
                    y[k] *= run[k]
    free(tops)
    free(run)
    free(sums)


def sum_in_strips(out, x, n, inner, width, first, last):
    tops, run, sums = allocate(width, x), allocate(width, x), allocate(width, np.float64(0.0))
    for strip in range(first, last):
        start, at, wide = place(strip, n, inner, width)
        find_tops(tops, x, n, inner, at, wide)
        find_sums(sums, run, tops, x, run[:0], n, inner, at, wide)
        for k in range(wide):
            top = tops[k]
            if top - top == 0.0:
                out[start + k] = top + REAL(log(sums[k]))
            else:
                out[start + k] = beyond(top, x[at + k : at + (n - 1) * inner + k + 1 : inner])
    free(tops)
    free(run)
    free(sums)


def gradient_in_strips(logarithm, out, y, g, n, inner, width, first, last):
    run, sums = allocate(width, y), allocate(width, np.float64(0.0))
    for strip in range(first, last):
        _, at, wide = place(strip, n, inner, width)
        sums[:wide] = 0.0
        for start in range(0, n, SHORT):
            run[:wide] = 0.0
            for i in range(start, min(start + SHORT, n)):
                ys = y[at + i * inner : at + i * inner + wide]
                gs = g[at + i * inner : at + i * inner + wide]
                for k in range(wide):
                    run[k] += gs[k] if logarithm else gs[k] * ys[k]
            for k in range(wide):
                sums[k] += run[k]
        for k in range(wide):
            run[k] = sums[k]
        for i in range(n):
            ys = y[at + i * inner : at + i * inner + wide]
            gs = g[at + i * inner : at + i * inner + wide]
            to = out[at + i * inner : at + i * inner + wide]
            if logarithm:
                for k in range(wide):
                    to[k] = gs[k] - exp_falling(ys[k]) * run[k]
            else:
                for k in range(wide):
                    to[k] = ys[k] * (gs[k] - run[k])
    free(run)
    free(sums)

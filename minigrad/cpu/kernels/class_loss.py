"""Cross-entropy along the middle of contiguous memory (outer, n, inner), n classes, in the rows and
strips of :mod:`minigrad.cpu.kernels.softmax`: one pass for the losses, one for the gradient.

The target of class c and column m is t = w_c (own p_cm + rest), with probabilities p. For class
indices p is empty: then w_c own is added at the index, and columns that are not ``used`` count
nothing. A ``target`` is (index, used, p, w, own, rest). With ``from_log`` x is ln softmax already.
:mod:`minigrad.ops.loss` has the mathematics.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from . import jit
from .memory import allocate, free
from .scalar import REAL, bind, exp_falling
from .softmax import LONG, add, add_powers, find_sums, find_tops, largest, log, place
from .team import Kernel, parallel_for


@cache
def kernel(name: str, dtype: Any) -> Kernel:
    """The function ``name`` below, compiled for arrays of ``dtype``."""
    return parallel_for(bind(globals()[name], dtype.type))


# The rows of ``found``, with a number for each column: its loss, the maximum of x, ln Σ e^(x − top)
# and that sum (later the weight of its index), and what e^(x − top) is multiplied by in p Σ t.
LOSS, TOP, SHIFT, SUM, FACTOR = range(5)


@jit
def check(flat, classes, ignoring, ignored, index, used):
    """Fill ``index``, 0 where ``flat`` is ``ignored``, and ``used``, which is False there. Return
    the position of the first number that is no class, or −1."""
    for m in range(len(flat)):
        used[m] = not ignoring or flat[m] != ignored
        index[m] = flat[m] if used[m] else 0
        if index[m] < 0 or index[m] >= classes:
            return m
    return -1


def find_targets(to, p, w, own, rest):
    """Targets of one column and several classes, but for what is added at a class index."""
    if len(p):
        for k in range(len(to)):
            to[k] = w[k] * (own * p[k] + rest)
    else:
        for k in range(len(to)):
            to[k] = w[k] * rest


def find_targets_of_class(to, p, w, own, rest):
    """The same of several columns and one class."""
    if len(p):
        for k in range(len(to)):
            to[k] = w * (own * p[k] + rest)
    else:
        for k in range(len(to)):
            to[k] = w * rest


def add_indices(column, wide, at, step, stride, found, x, target):
    """Complete what was found of ``wide`` columns; return Σ loss and Σ w of their indices. Column k
    begins at ``at + k * step``, and its numbers are ``stride`` apart."""
    parts = slice(column, column + wide)
    loss, tops, shifts = found[LOSS, parts], found[TOP, parts], found[SHIFT, parts]
    sums, factors = found[SUM, parts], found[FACTOR, parts]
    index, used, _, weight, own, _ = target
    for k in range(wide):
        factors[k] /= sums[k]
    if len(index) == 0:
        return add(loss, np.float64(0.0)), 0.0
    for k in range(wide):
        m = column + k
        w = weight[index[m]]
        t = w * own
        log_p = x[at + k * step + index[m] * stride] - tops[k] - shifts[k]
        value = loss[k] - (t if t == 0.0 else t * log_p)
        loss[k] = value if used[m] else 0.0
        factors[k] += t / sums[k]
        sums[k] = w if used[m] else 0.0
    return add(loss, np.float64(0.0)), add(sums, np.float64(0.0))


def correct_indices(from_log, column, wide, at, step, stride, out, found, x, target, g, n):
    """Complete the gradient of the columns at their indices."""
    tops, factors = found[TOP], found[FACTOR]
    index, used, _, weight, own, rest = target
    for k in range(wide if len(index) else 0):
        m, start = column + k, at + k * step
        if used[m]:
            w, j = weight[index[m]], start + index[m] * stride
            share = 0.0 if from_log else exp_falling(x[j] - tops[m]) * factors[m]
            out[j] = (share - w * (own + rest)) * g[m]  # w may be infinite, and rest 0
        else:
            for c in range(n):
                out[start + c * stride] = 0.0


# ---------------------------------------------------------------------------- rows


def value_in_rows(from_log, found, sums, x, target, n, inner, width, part, first, last):
    """Fill ``found`` of rows ``first`` to ``last``, and ``sums`` with Σ loss and Σ w of the indices
    of the part."""
    _, _, p, weight, own, rest = target
    products, targets = allocate(LONG, x), allocate(LONG, x)
    top, shift, powers, dense = REAL(0.0), REAL(0.0), 1.0, len(p) > 0 or rest != 0.0
    for m in range(first, last):
        row, ps, total, term = x[m * n : (m + 1) * n], p[m * n : (m + 1) * n], 0.0, 0.0
        if not from_log:
            top = largest(row)
            powers = add_powers(row, top, products)
            shift = REAL(log(powers))
        for start in range(0, n if dense else 0, LONG):
            run, w = row[start : start + LONG], weight[start : start + LONG]
            t, terms = targets[: len(run)], products[: len(run)]
            find_targets(t, ps[start : start + LONG], w, own, rest)
            for k in range(len(t)):
                terms[k] = t[k] if t[k] == 0.0 else t[k] * (run[k] - top - shift)
            total += add(t, REAL(0.0))
            term += add(terms, REAL(0.0))
        found[LOSS, m], found[TOP, m], found[SHIFT, m] = -term, top, shift
        found[SUM, m], found[FACTOR, m] = powers, total
    where = first, last - first, first * n, n, 1
    sums[part, 0], sums[part, 1] = add_indices(*where, found, x, target)
    free(products)
    free(targets)


def gradient_in_rows(from_log, out, found, x, target, g, n, inner, width, first, last):
    """``out`` = g (p Σ t − t)."""
    _, _, p, weight, own, rest = target
    targets, dense = allocate(n, x), len(p) > 0 or rest != 0.0
    targets[:] = 0.0
    for m in range(first, last):
        row, to = x[m * n : (m + 1) * n], out[m * n : (m + 1) * n]
        top, factor, slope = found[TOP, m], found[FACTOR, m], g[m]
        if dense:
            find_targets(targets, p[m * n : (m + 1) * n], weight, own, rest)
        if from_log:
            for k in range(n):
                to[k] = -targets[k] * slope
        else:
            for k in range(n):
                to[k] = (exp_falling(row[k] - top) * factor - targets[k]) * slope
    where = first, last - first, first * n, n, 1
    correct_indices(from_log, *where, out, found, x, target, g, n)
    free(targets)


# ---------------------------------------------------------------------------- strips


def value_in_strips(from_log, found, sums, x, target, n, inner, width, part, first, last):
    _, _, p, weight, own, rest = target
    run, dense, exact = allocate(width, x), len(p) > 0 or rest != 0.0, np.float64(0.0)
    powers, totals, terms = allocate(width, exact), allocate(width, exact), allocate(width, exact)
    powers[:], totals[:], terms[:] = 1.0, 0.0, 0.0
    losses, weights = 0.0, 0.0
    for strip in range(first, last):
        column, at, wide = place(strip, n, inner, width)
        parts = slice(column, column + wide)
        loss, tops, shifts = found[LOSS, parts], found[TOP, parts], found[SHIFT, parts]
        each, factors = found[SUM, parts], found[FACTOR, parts]
        if from_log:
            tops[:] = shifts[:] = 0.0
        else:
            find_tops(tops, x, n, inner, at, wide)
            find_sums(powers, run, tops, x, run[:0], n, inner, at, wide)
            for k in range(wide):
                shifts[k] = log(powers[k])
        if dense:
            totals[:wide] = terms[:wide] = 0.0
            t = run[:wide]
            for i in range(n):
                row = x[at + i * inner : at + i * inner + wide]
                find_targets_of_class(t, p[at + i * inner :], weight[i], own, rest)
                for k in range(wide):
                    totals[k] += t[k]
                    terms[k] += t[k] if t[k] == 0.0 else t[k] * (row[k] - tops[k] - shifts[k])
        for k in range(wide):
            loss[k], each[k], factors[k] = -terms[k], powers[k], totals[k]
        one, other = add_indices(column, wide, at, 1, inner, found, x, target)
        losses, weights = losses + one, weights + other
    sums[part, 0], sums[part, 1] = losses, weights
    free(run)
    free(powers)
    free(totals)
    free(terms)


def gradient_in_strips(from_log, out, found, x, target, g, n, inner, width, first, last):
    _, _, p, weight, own, rest = target
    targets, dense = allocate(width, x), len(p) > 0 or rest != 0.0
    targets[:] = 0.0
    for strip in range(first, last):
        column, at, wide = place(strip, n, inner, width)
        parts = slice(column, column + wide)
        tops, factors, slopes = found[TOP, parts], found[FACTOR, parts], g[parts]
        for i in range(n):
            row = x[at + i * inner : at + i * inner + wide]
            to = out[at + i * inner : at + i * inner + wide]
            if dense:
                find_targets_of_class(targets[:wide], p[at + i * inner :], weight[i], own, rest)
            if from_log:
                for k in range(wide):
                    to[k] = -targets[k] * slopes[k]
            else:
                for k in range(wide):
                    to[k] = (exp_falling(row[k] - tops[k]) * factors[k] - targets[k]) * slopes[k]
        where = column, wide, at, 1, inner
        correct_indices(from_log, *where, out, found, x, target, g, n)
    free(targets)

"""Sums, products, quotients and slopes with numbers that repeat: a row for all rows of an array, a
number for each of its rows, or one for each channel of images."""

from __future__ import annotations

from functools import cache
from types import FunctionType
from typing import Any

from . import inline
from .team import Kernel, parallel_for_each

function: Any = None  # what a loop applies


@cache
def loop(name: str) -> Kernel:
    """The kernel of the function ``name``: ``loop(out, x, v, n, inner, repeat, first, last)``
    computes rows ``first`` … ``last`` − 1 of flat memory (outer, n, inner), for numbers v. A row is
    n numbers where inner is 1, and each n numbers v serve ``repeat`` rows; else a row is those of
    one of n numbers v, and x may be a single row, which repeats. ``out`` may be x."""
    names = {**globals(), "function": inline(FUNCTIONS[name])}
    made = FunctionType(_rows.__code__, names, name)
    made.__qualname__ = f"{name}_loop"  # names its file in the cache
    return parallel_for_each(made)


def _rows(out, x, v, n, inner, repeat, first, last):
    if inner == 1:
        at, left = first // repeat * n % len(v), repeat - first % repeat
        for row in range(first, last):
            y, xs = out[row * n : (row + 1) * n], x[row * n : (row + 1) * n]
            numbers = v[at : at + n]
            for k in range(n):
                y[k] = function(xs[k], numbers[k])
            left -= 1
            if left == 0:
                left = repeat
                at = at + n if at + n < len(v) else 0
    else:
        for row in range(first, last):
            at = row * inner % len(x)
            y, xs = out[row * inner : (row + 1) * inner], x[at : at + inner]
            number = v[row % n]
            for k in range(inner):
                y[k] = function(xs[k], number)


def add(x, v):
    return x + v


def subtract(x, v):
    return x - v


def subtract_from(x, v):
    return v - x


def multiply(x, v):
    return x * v


def divide(x, v):
    return x / v


def divide_by(x, v):
    return v / x


def prelu(x, v):
    return x if x > 0.0 else x * v


FUNCTIONS = {
    f.__name__: f for f in (add, subtract, subtract_from, multiply, divide, divide_by, prelu)
}

"""Optimisers: one call for all parameters, one pass over each parameter, its gradient and state.

A rule is a function of single numbers: a parameter, its gradient, its state, and what
:mod:`minigrad.optim.kernel_numbers` computes from the options. It returns the new parameter and the
new state. :func:`update` compiles it into a loop. Some options need not all of the state: a name
such as ``adam_110`` is the rule without the third array. A flag for that would not do: the loop
would mask reads and writes at address 0, and the processor takes ten times as long for these.
"""

from __future__ import annotations

from functools import cache
from math import sqrt
from types import FunctionType
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.unsafe.ndarray import to_fixed_tuple

from . import inline
from .memory import array_of
from .scalar import bind
from .team import Kernel, parallel_for

HEAD = object.__basicsize__  # bytes of a NumPy array before the address of its elements

# Each kernel has its own of these.
rule: Any = None
loop: Any = None
REAL, NUMBERS = np.float64, 0


@cache
def update(name: str, real: Any, state: int, numbers: int) -> Kernel:
    """The kernel ``update(table, numbers, start, stop)`` of the rule ``name`` for arrays of dtype
    ``real``, with ``state`` arrays of state and an array of ``numbers`` numbers.

    A column of ``table`` is a parameter: its size, its ``id``, and those of its gradient and its
    state, all in one memory order without gaps. The elements from ``start`` to ``stop`` are
    updated, as counted over all parameters.
    """
    bound = bind(globals()[name], real)
    names = {"rule": inline(bound), "REAL": real, "NUMBERS": numbers}
    names["loop"] = inline(_made(LOOPS[state], names, f"{bound.__qualname__}_loop"))
    return parallel_for(_made(_update, names, f"{bound.__qualname__}_update"))


def _made(template: Any, names: dict[str, Any], name: str) -> FunctionType:
    made = FunctionType(template.__code__, {**globals(), **names}, name)
    made.__qualname__ = name  # names its file in the cache
    return made


def _update(table, numbers, start, stop):
    values = to_fixed_tuple(numbers, NUMBERS)
    for i in range(table.shape[1]):
        size = table[0, i]
        low, high = max(start, 0), min(stop, size)
        if low < high:
            loop(table, i, low, high - low, values)
        start -= size
        stop -= size


@intrinsic
def part(context, array, low, count, real):
    """So many elements from ``low`` on of the array whose ``id`` is given."""
    kind = types.Array(real.instance_type, 1, "C")

    def code(context, builder, signature, values):
        word, (array, low, count, _) = ir.IntType(64), values
        place = builder.inttoptr(builder.add(array, word(HEAD)), word.as_pointer())
        number = context.get_data_type(kind.dtype).as_pointer()
        first = builder.gep(builder.inttoptr(builder.load(place), number), [low])
        return array_of(context, builder, kind, first, count)

    return kind(types.int64, types.int64, types.int64, real), code


def _with_none(table, i, low, count, numbers):
    p, g = part(table[1, i], low, count, REAL), part(table[2, i], low, count, REAL)
    for k in range(count):
        p[k] = rule(p[k], g[k], *numbers)


def _with_one(table, i, low, count, numbers):
    p, g = part(table[1, i], low, count, REAL), part(table[2, i], low, count, REAL)
    a = part(table[3, i], low, count, REAL)
    for k in range(count):
        p[k], a[k] = rule(p[k], g[k], a[k], *numbers)


def _with_two(table, i, low, count, numbers):
    p, g = part(table[1, i], low, count, REAL), part(table[2, i], low, count, REAL)
    a, b = part(table[3, i], low, count, REAL), part(table[4, i], low, count, REAL)
    for k in range(count):
        p[k], a[k], b[k] = rule(p[k], g[k], a[k], b[k], *numbers)


def _with_three(table, i, low, count, numbers):
    p, g = part(table[1, i], low, count, REAL), part(table[2, i], low, count, REAL)
    a, b = part(table[3, i], low, count, REAL), part(table[4, i], low, count, REAL)
    c = part(table[5, i], low, count, REAL)
    for k in range(count):
        p[k], a[k], b[k], c[k] = rule(p[k], g[k], a[k], b[k], c[k], *numbers)


LOOPS = (_with_none, _with_one, _with_two, _with_three)


# ---------------------------------------------------------------------------- rules


def sgd(p, g, b, lr, momentum, take, decay, sign, nesterov):
    """g ← sign g + decay p;  b ← momentum b + take g;  p ← p − lr b, or lr (g + momentum b)."""
    g = sign * g + decay * p
    b = momentum * b + take * g
    return p - lr * (g + momentum * b if nesterov != 0.0 else b), b


def sgd_0(p, g, lr, momentum, take, decay, sign, nesterov):
    return p - lr * (sign * g + decay * p)


def moments(p, g, m, v, keep1, take1, keep2, take2, decay, shrink, sign):
    """p ← shrink p;  g ← sign g + decay p;  update m, the mean of g, and v, the mean of g²."""
    p = shrink * p
    g = sign * g + decay * p
    return p, g, mean(m, g, keep1, take1), keep2 * v + take2 * (g * g)


def mean(m, g, keep, take):
    """keep m + take g with keep + take = 1, in the form that rounds the smaller term."""
    away = g - m
    return m + away * take if take < 0.5 else g - away * keep


def adam(p, g, m, v, top, rate, eps, keep1, take1, keep2, take2, decay, shrink, sign, amsgrad):
    """p, g, m and v as in ``moments``;  top ← max(top, v);  p ← p − rate m / (√top + eps)."""
    p, g, m, v = moments(p, g, m, v, keep1, take1, keep2, take2, decay, shrink, sign)
    top = top if v <= top else v
    return p - rate * (m / (sqrt(top) + eps)), m, v, top


def adam_110(p, g, m, v, *numbers):
    p, m, v, _ = adam(p, g, m, v, 0.0, *numbers)
    return p, m, v


def nadam(p, g, m, v, rate, ahead, eps, keep1, take1, keep2, take2, decay, shrink, sign):
    """p, g, m and v as in ``moments``;  p ← p − (rate g + ahead m) / (√v + eps)."""
    p, g, m, v = moments(p, g, m, v, keep1, take1, keep2, take2, decay, shrink, sign)
    return p - (rate * g + ahead * m) / (sqrt(v) + eps), m, v


def radam(p, g, m, v, rate, eps, keep1, take1, keep2, take2, decay, shrink, sign, rectified):
    """p, g, m and v as in ``moments``;  p ← p − rate m / (√v + eps), or at first rate m."""
    p, g, m, v = moments(p, g, m, v, keep1, take1, keep2, take2, decay, shrink, sign)
    return p - rate * (m / (sqrt(v) + eps if rectified != 0.0 else 1.0)), m, v


def adamax(p, g, m, u, rate, eps, keep1, take1, keep2, decay, sign):
    """g ← sign g + decay p;  update m, the mean of g;  u ← max(keep2 u, |g| + eps);
    p ← p − rate m / u."""
    g = sign * g + decay * p
    m, u, size = mean(m, g, keep1, take1), keep2 * u, abs(g) + eps
    u = size if size > u or size != size else u  # NaN stays
    return p - rate * (m / u), m, u


def rmsprop(p, g, v, b, centre, lr, keep, take, eps, decay, momentum, sign, centered):
    """g ← sign g + decay p;  update v, the mean of g², and centre, that of g, whose square
    is taken from v;  b ← momentum b + g / √v;  p ← p − lr b."""
    g = sign * g + decay * p
    v, centre = keep * v + take * (g * g), mean(centre, g, keep, take)
    spread = v - centre * centre if centered != 0.0 else v
    b = momentum * b + g / (sqrt(spread) + eps)
    return p - lr * b, v, b, centre


def rmsprop_100(p, g, v, *numbers):
    p, v, _, _ = rmsprop(p, g, v, 0.0, 0.0, *numbers)
    return p, v


def rmsprop_110(p, g, v, b, *numbers):
    p, v, b, _ = rmsprop(p, g, v, b, 0.0, *numbers)
    return p, v, b


def rmsprop_101(p, g, v, centre, *numbers):
    p, v, _, centre = rmsprop(p, g, v, 0.0, centre, *numbers)
    return p, v, centre


def adagrad(p, g, s, rate, eps, decay, sign):
    """g ← sign g + decay p;  s ← s + g²;  p ← p − rate g / (√s + eps)."""
    g = sign * g + decay * p
    s = s + g * g
    return p - rate * (g / (sqrt(s) + eps)), s


def adadelta(p, g, v, u, lr, keep, take, eps, decay, sign):
    """g ← sign g + decay p;  v ← keep v + take g²;  δ = √(u + eps) / √(v + eps) g;
    u ← keep u + take δ²;  p ← p − lr δ."""
    g = sign * g + decay * p
    v = keep * v + take * (g * g)
    delta = sqrt(u + eps) / sqrt(v + eps) * g
    return p - lr * delta, v, keep * u + take * (delta * delta)

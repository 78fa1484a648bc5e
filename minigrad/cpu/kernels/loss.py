"""Losses of two numbers a and b: one pass over a prediction and a target for the sum of the losses,
one for the gradient.

:mod:`minigrad.ops.pair_loss` says what each computes, NaN and infinities included.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from . import inline, inline_sum, jit
from .scalar import bind, exp_falling, log1p, sigmoid

RUN = 1024  # losses that are added in their own dtype; sums of runs are added in float64
function: Any = None  # what a loop applies
zero = 0.0  # of the dtype of a loop's arrays


class Passes(NamedTuple):
    """Compiled loops over flat arrays.

    Attributes:
        value: ``value(out, a, b, numbers)`` returns the sum of the losses. They are written to
            ``out``, which is as long as a and b or holds the last RUN losses only.
        gradient: ``gradient(out, a, b, g, numbers)``; g is one number.
    """

    value: Callable[..., float]
    gradient: Callable[..., None]


@cache
def passes(name: str, dtype: np.dtype[Any]) -> Passes:
    """The kernels of the functions ``name`` and ``name_gradient``, for arrays of ``dtype``."""
    return Passes(_loop(_value, name, dtype.type), gradient(name, dtype))


@cache
def gradient(name: str, dtype: np.dtype[Any]) -> Callable[..., None]:
    """The kernel ``gradient`` of :class:`Passes` alone."""
    return _loop(_gradient, f"{name}_gradient", dtype.type)


def _loop(template: Any, name: str, real: Any) -> Callable[..., Any]:
    bound = bind(globals()[name], real)
    names = {**globals(), "function": inline(bound), "zero": real(0)}
    made = FunctionType(template.__code__, names, name)
    made.__qualname__ = f"{bound.__qualname__}_loop"  # names its file in the cache
    return jit(made)


@inline_sum
def _sum(values, start):
    total = start
    for k in range(len(values)):
        total += values[k]
    return total


def _value(out, a, b, numbers):
    total, whole = 0.0, len(out) == len(a)
    for start in range(0, len(a), RUN):
        stop = min(start + RUN, len(a))
        x, t = a[start:stop], b[start:stop]
        y = out[start:stop] if whole else out[: stop - start]
        for k in range(len(x)):
            y[k] = function(x[k], t[k], *numbers)
        total += _sum(y, zero)
    return total


def _gradient(out, a, b, g, numbers):
    for k in range(len(out)):
        out[k] = g * function(a[k], b[k], *numbers)


# ---------------------------------------------------------------------------- by the difference


def difference(a, b, limit, half, scale, slope, shift, odd):
    """A parabola where |a − b| < limit, straight lines beyond."""
    d = a - b
    size = abs(d)
    return half * d * d / scale if size < limit else slope * (size - shift)


def difference_gradient(a, b, limit, half, scale, slope, shift, odd):
    """``odd`` where a − b is NaN, or 0 between two straight lines."""
    d = a - b
    far = slope if d > 0.0 else -slope if d < 0.0 else odd
    return (half + half) * d / scale if abs(d) < limit else far


# ---------------------------------------------------------------------------- of probabilities


def binary_cross_entropy_gradient(p, t, least):
    spread = p * (1.0 - p)
    return (p - t) / (least if spread < least else spread)


# ---------------------------------------------------------------------------- of logits


def bce_with_logits(x, t, more):
    low = -x if x < 0.0 else 0.0
    s = log1p(exp_falling(-x - 2.0 * low)) + low
    return (1.0 - t) * x + (1.0 + more * t) * s


def bce_with_logits_gradient(x, t, more):
    s = sigmoid(x)
    return s - t - more * t * (1.0 - s)

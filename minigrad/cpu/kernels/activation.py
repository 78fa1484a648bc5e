"""Element-wise kernels: one pass where NumPy needs two or more.

Most are made by :func:`passes` of two functions of one number: an activation's value, and its
derivative times ``g``. Options follow as further arguments. The definitions in
:mod:`minigrad.ops` say what each computes, NaN and infinities included.
"""

from __future__ import annotations

import math
from functools import cache
from math import copysign
from math import sqrt as root
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from . import inline, inline_sum, scalar
from .scalar import bind, exp, exp_falling, expm1, log1p, normal, sigmoid, tanh
from .team import Kernel, parallel_for, parallel_for_each

function: Any = None  # what a loop applies
TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)
SQRT_TWO_OVER_PI = math.sqrt(2 / math.pi)
DENSITY = 1 / math.sqrt(2 * math.pi)  # of the normal distribution at 0
RUN = 1024  # numbers that are added in their own dtype


class Passes(NamedTuple):
    """Compiled loops over flat arrays. ``out`` may be one of the others.

    Attributes:
        value: ``value(out, x, numbers, first, last)``.
        gradient: ``gradient(out, kept, g, numbers, first, last)``; kept is x, or the result y.
        keeps: "x" or "y".
        options: names of what ``numbers`` holds, in order.
    """

    value: Kernel
    gradient: Kernel
    keeps: str
    options: tuple[str, ...]


@cache
def passes(name: str, dtype: np.dtype[Any]) -> Passes:
    """The kernels of the functions ``name``, which may be one of :mod:`.scalar`, and
    ``name_gradient``, for arrays of ``dtype``."""
    value, gradient = getattr(scalar, name, None) or globals()[name], globals()[f"{name}_gradient"]
    keeps, _, *options = gradient.__code__.co_varnames[: gradient.__code__.co_argcount]
    loops = loop(1, value, dtype.type), loop(2, gradient, dtype.type)
    return Passes(*loops, keeps, tuple(options))


@cache
def blend(name: str, arrays: int, dtype: np.dtype[Any]) -> Kernel:
    """The kernel ``blend(out, *arrays, numbers, first, last)`` of the function ``name``."""
    return loop(arrays, globals()[name], dtype.type)


def loop(arrays: int, function: Any, real: Any) -> Kernel:
    """The loop over so many arrays of dtype ``real`` with ``function`` compiled into it."""
    bound = bind(function, real)
    names = {**globals(), "function": inline(bound)}
    made = FunctionType(LOOPS[arrays].__code__, names, function.__name__)
    made.__qualname__ = f"{bound.__qualname__}_loop"  # names its file in the cache
    return parallel_for_each(made)


def _of_one(out, x, numbers, first, last):
    out, x = out[first:last], x[first:last]
    for k in range(len(out)):
        out[k] = function(x[k], *numbers)


def _of_two(out, x, g, numbers, first, last):
    out, x, g = out[first:last], x[first:last], g[first:last]
    for k in range(len(out)):
        out[k] = function(x[k], g[k], *numbers)


def _of_three(out, a, b, c, numbers, first, last):
    out, a, b, c = out[first:last], a[first:last], b[first:last], c[first:last]
    for k in range(len(out)):
        out[k] = function(a[k], b[k], c[k], *numbers)


LOOPS = {1: _of_one, 2: _of_two, 3: _of_three}


# ---------------------------------------------------------------------------- two straight lines


def leaky_relu(x, slope):
    return x if x > 0.0 else x * slope


def leaky_relu_gradient(x, g, slope):
    return g if x > 0.0 else g * slope


def hardtanh(x, low, high):
    return low if x < low else high if x > high else x


def hardtanh_gradient(x, g, low, high):
    return 0.0 if x <= low or x >= high else g


def hardsigmoid(x):
    return hardtanh(x + 3.0, 0.0, 6.0) / 6.0


def hardsigmoid_gradient(x, g):
    return g / 6.0 if -3.0 < x < 3.0 else 0.0


def hardswish(x):
    return x * hardtanh(x + 3.0, 0.0, 6.0) / 6.0


def hardswish_gradient(x, g):
    slope = 1.0 if x >= 3.0 else x / 3.0 + 0.5
    return 0.0 if x <= -3.0 else g * slope


def clamp(x, low, high):
    y = low if x < low else x
    return high if y > high else y


def clamp_gradient(x, g, low, high):
    return g if low <= x <= high else 0.0


def nan_to_num(x, nan, high, low):
    return nan if x != x else high if x - x != 0.0 and x > 0.0 else low if x - x != 0.0 else x


def nan_to_num_gradient(x, g, nan, high, low):
    return g if x - x == 0.0 else 0.0


def abs(x):
    return copysign(x, 1.0)


def abs_gradient(x, g):
    return g if x > 0.0 else -g if x < 0.0 else 0.0 * g


def sign(x):
    return 1.0 if x > 0.0 else -1.0 if x < 0.0 else 0.0


def sign_gradient(y, g):
    return 0.0


# ---------------------------------------------------------------------------- smooth


def square(x):
    return x * x


def square_gradient(x, g):
    return g * (x + x)


def sqrt(x):
    return root(x)


def sqrt_gradient(y, g):
    return g / (y + y)


def reciprocal(x):
    return 1.0 / x


def reciprocal_gradient(y, g):
    return -g * y * y


def rsqrt(x):
    return 1.0 / root(x)


def rsqrt_gradient(y, g):
    return g * -0.5 * y * y * y


def exp_gradient(y, g):
    return g * y


def erf_gradient(x, g):
    return g * (TWO_OVER_SQRT_PI * exp_falling(-x * x))


def sigmoid_gradient(y, g):
    return g * y * (1.0 - y)


def tanh_gradient(y, g):
    return g * (1.0 - y * y)


def gelu(x):
    phi, _ = normal(x)
    return x * phi


def gelu_gradient(x, g):
    phi, e = normal(x)
    return g * (phi + x * e * DENSITY)


def gelu_tanh(x):
    return 0.5 * x * (1.0 + tanh(SQRT_TWO_OVER_PI * (x + 0.044715 * x * x * x)))


def gelu_tanh_gradient(x, g):
    t = tanh(SQRT_TWO_OVER_PI * (x + 0.044715 * x * x * x))
    inner = SQRT_TWO_OVER_PI * (1.0 + 0.134145 * x * x)
    return g * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner)


def silu(x):
    return x * sigmoid(x)


def silu_gradient(x, g):
    s = sigmoid(x)
    return g * s * (1.0 + x * (1.0 - s))


def mish(x):
    e = exp(20.0 if x > 20.0 else x)
    n = e * (e + 2.0)
    return x * (n / (n + 2.0))  # tanh(ln(1 + e))


def mish_gradient(x, g):
    e = exp(20.0 if x > 20.0 else x)
    n = e * (e + 2.0)
    t = n / (n + 2.0)
    return g * (t + x * (e / (1.0 + e)) * (1.0 - t * t))


def softplus(x, beta, threshold):
    z = x * beta
    y = ((0.0 if z < 0.0 else z) + log1p(exp_falling(-abs(z)))) / beta
    return x if z > threshold else y


def softplus_gradient(x, g, beta, threshold):
    return g if x * beta > threshold else g * sigmoid(x * beta)


def logsigmoid(x):
    return (0.0 if x > 0.0 else x) - log1p(exp_falling(-abs(x)))


def logsigmoid_gradient(x, g):
    return g * sigmoid(-x)


def elu(x, alpha, scale, rate):
    y = alpha * expm1(x * rate if x < 0.0 else 0.0)
    return (y if x <= 0.0 else x) * scale


def elu_gradient(x, g, alpha, scale, rate):
    slope = alpha * rate * exp(x * rate if x < 0.0 else 0.0)
    return g * ((slope if x <= 0.0 else 1.0) * scale)


# ---------------------------------------------------------------------------- of several arrays


def add(a, b):
    return a + b


def subtract(a, b):
    return a - b


def subtract_from(a, b):
    return b - a


def multiply(a, b):
    return a * b


def divide(a, b):
    return a / b


def divide_by(a, b):
    return b / a


def negative(a):
    return -a


def lerp(a, b, w):
    return a + w * (b - a) if -0.5 < w < 0.5 else b - (b - a) * (1.0 - w)


def addcmul(a, b, c, value):
    return a + value * b * c


def addcdiv(a, b, c, value):
    return a + value * b / c


# ---------------------------------------------------------------------------- of other shapes


@parallel_for_each
def relu(out, x, first, last):
    """out = max(x, 0); NaN stays."""
    zero = x.dtype.type(0)
    out, x = out[first:last], x[first:last]
    for k in range(len(out)):
        out[k] = zero if x[k] < zero else x[k]


@parallel_for_each
def relu_gradient(out, y, g, first, last):
    """out = g where y is not 0, else 0 (y = max(x, 0), or NaN)."""
    zero = g.dtype.type(0)
    out, y, g = out[first:last], y[first:last], g[first:last]
    for k in range(len(out)):
        out[k] = g[k] if y[k] != zero else zero


@inline_sum
def add_negative(x, g, zero):
    """Σ g x where x ≤ 0."""
    total = zero
    for k in range(len(x)):
        total += zero if x[k] > zero else g[k] * x[k]
    return total


@parallel_for
def prelu_gradient(out, found, x, g, v, n, inner, part, first, last):
    """out = g where x > 0, else g v, for rows ``first`` to ``last`` as in
    :mod:`minigrad.cpu.kernels.arithmetic`; the last may be shorter. Σ g x where x ≤ 0 is added to
    what was found: a number for each row, or where inner is 1 of each part for each column."""
    sums = found[part if inner == 1 else 0]
    zero, length = x.dtype.type(0), n if inner == 1 else inner
    for row in range(first, last):
        start, stop = row * length, min((row + 1) * length, len(x))
        to, xs, gs = out[start:stop], x[start:stop], g[start:stop]
        if inner == 1:
            for k in range(len(to)):
                to[k] = gs[k] if xs[k] > zero else gs[k] * v[k]
                sums[k] += zero if xs[k] > zero else gs[k] * xs[k]
            continue
        slope = v[row % n]
        for begin in range(0, len(to), RUN):
            run = slice(begin, begin + RUN)
            y, a, b = to[run], xs[run], gs[run]
            for k in range(len(y)):
                y[k] = b[k] if a[k] > zero else b[k] * slope
            sums[row] += add_negative(a, b, zero)


@parallel_for_each
def where(out, a, b, condition, first, last):
    """out = a where ``condition``, else b."""
    out, a, b, condition = out[first:last], a[first:last], b[first:last], condition[first:last]
    for k in range(len(out)):
        out[k] = a[k] if condition[k] else b[k]


@parallel_for_each
def where_or(out, a, condition, wanted, number, first, last):
    """out = a where ``condition`` is ``wanted``, else ``number``."""
    out, a, condition = out[first:last], a[first:last], condition[first:last]
    for k in range(len(out)):
        out[k] = a[k] if condition[k] == wanted else number


@parallel_for_each
def close(out, a, b, rtol, atol, equal_nan, first, last):
    """out = whether a and b are equal, or |a − b| ≤ atol + rtol |b|, in float64."""
    out, a, b = out[first:last], a[first:last], b[first:last]
    for k in range(len(out)):
        x, y = np.float64(a[k]), np.float64(b[k])
        far = np.abs(x - y)
        near = (far < math.inf) & (far <= atol + np.abs(rtol * y))
        out[k] = near | (x == y) | (equal_nan & (x != x) & (y != y))


@parallel_for_each
def masked(out, x, keep, scale, first, last):
    """out = x · scale where ``keep``, else x · 0 (which is NaN for NaN and infinity)."""
    out, x, keep = out[first:last], x[first:last], keep[first:last]
    for k in range(len(out)):
        out[k] = x[k] * (scale if keep[k] else x.dtype.type(0))

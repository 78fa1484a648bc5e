"""Exponentials, logarithms and trigonometric functions on the CPU, block by block without temporary
arrays: NumPy's functions, which are vectorised, or kernels where they are not.

The gradients are those of :mod:`minigrad.ops.elementwise`. Each fills ``out`` in passes over a
block that stays in a core's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import Array
from ..ops import arithmetic, rounding
from ..ops import elementwise as functions
from ..ops.arithmetic import Pair
from ..tape import Operation
from .along import COST
from .compiled import kernels
from .elementwise import elementwise
from .threads import MIN_PARALLEL_SIZE, workspace

LARGE = MIN_PARALLEL_SIZE // 2  # bytes; of a smaller array the definition is as fast
STEP = 1 << 16  # elements of a block that is passed over several times
Passes = Callable[..., Any]  # (out, *blocks), or as NumPy's functions


def _in_steps(passes: Passes) -> Passes:
    def run(out: Array, *arrays: Array) -> None:
        for start in range(0, len(out), STEP):
            part = slice(start, start + STEP)
            passes(out[part], *[a[part] for a in arrays])

    return run


def _filled(passes: Passes, *arrays: Array) -> Array:
    """A new array by several passes."""
    return elementwise(_in_steps(passes), *arrays, once=False)


# ---------------------------------------------------------------------------- values


def _by_ufunc(name: str) -> Passes:
    ufunc = getattr(np, name)
    return lambda out, x: ufunc(x, out=out)


def _wave(name: str, quarter: int) -> Passes:
    """NumPy's sine or cosine, or for float64 the kernel."""
    ufunc = getattr(np, name)

    def value(out: Array, x: Array) -> None:
        fast = kernels("analytic", x.dtype) if x.dtype == np.float64 else None
        if fast is None:
            ufunc(x, out=out)
        else:
            fast.waves(out, x, quarter, 0, len(x))

    return value


_sin, _cos = _wave("sin", 0), _wave("cos", 1)


# ---------------------------------------------------------------------------- gradients


def _linear(operator: Passes, factor: float, summand: float = 0) -> Passes:
    """g times, or divided by, factor · x + summand."""

    def gradient(out: Array, x: Array, g: Array) -> None:
        if factor != 1:
            x = np.multiply(x, factor, out=out)
        if summand:
            x = np.add(x, summand, out=out)
        operator(g, x, out=out)

    return gradient


def _quadratic(operator: Passes, sign: int, summand: float) -> Passes:
    """g times, or divided by, summand ± x²."""

    def gradient(out: Array, x: Array, g: Array) -> None:
        np.multiply(x, x, out=out)
        (np.add if sign > 0 else np.subtract)(summand, out, out=out)
        operator(g, out, out=out)

    return gradient


def _by_root(g: Array, square: Array, out: Array) -> None:
    np.divide(g, np.sqrt(square, out=out), out=out)


def _by_minus_root(g: Array, square: Array, out: Array) -> None:
    np.negative(np.sqrt(square, out=out), out=out)
    np.divide(g, out, out=out)


def _times(slope: Passes) -> Passes:
    """g · slope(x)."""

    def gradient(out: Array, x: Array, g: Array) -> None:
        slope(out, x)
        np.multiply(g, out, out=out)

    return gradient


def _of_cosine(out: Array, x: Array, g: Array) -> None:
    _sin(out, x)
    np.negative(out, out=out)
    np.multiply(g, out, out=out)


# ---------------------------------------------------------------------------- registrations


def _is_large(*arrays: Any) -> bool:
    """Whether these are large arrays of one shape and one floating dtype."""
    first = arrays[0]
    kinds = {(getattr(a, "shape", None), getattr(a, "dtype", None)) for a in arrays}
    return len(kinds) == 1 and first.nbytes >= LARGE and first.dtype.kind == "f"


def _register(operation: Operation, value: Passes, gradient: Passes, at: str = "x") -> None:
    """``value(out, x)``, and ``gradient(out, x or y, g)`` as ``at`` says."""

    def by_passes(x: Array) -> Pair:
        y = elementwise(value, x, cost=COST)
        kept = x if at == "x" else y
        return y, lambda g, needs: (_filled(gradient, kept, g),)

    by_passes.__name__ = f"{operation.name}_by_passes"
    operation.on("cpu", when=_is_large)(by_passes)


_log2, _log10 = math.log(2), math.log(10)
_register(arithmetic.log, _by_ufunc("log"), _linear(np.divide, 1))
_register(functions._log2_op, _by_ufunc("log2"), _linear(np.divide, _log2))
_register(functions._log10_op, _by_ufunc("log10"), _linear(np.divide, _log10))
_register(functions._log1p, _by_ufunc("log1p"), _linear(np.divide, 1, 1))
_register(functions._exp2, _by_ufunc("exp2"), _linear(np.multiply, _log2), "y")
_register(functions._expm1, _by_ufunc("expm1"), _linear(np.multiply, 1, 1), "y")
_register(functions._sin, _sin, _times(_cos))
_register(functions._cos, _cos, _of_cosine)
_register(functions._tan, _by_ufunc("tan"), _quadratic(np.multiply, 1, 1), "y")
_register(functions._asin, _by_ufunc("arcsin"), _quadratic(_by_root, -1, 1))
_register(functions._acos, _by_ufunc("arccos"), _quadratic(_by_minus_root, -1, 1))
_register(functions._atan, _by_ufunc("arctan"), _quadratic(np.divide, 1, 1))
_register(functions._sinh, _by_ufunc("sinh"), _times(_by_ufunc("cosh")))
_register(functions._cosh, _by_ufunc("cosh"), _times(_by_ufunc("sinh")))
_register(functions._asinh, _by_ufunc("arcsinh"), _quadratic(_by_root, 1, 1))
_register(functions._acosh, _by_ufunc("arccosh"), _quadratic(_by_root, 1, -1))
_register(functions._atanh, _by_ufunc("arctanh"), _quadratic(np.divide, -1, 1))


def _frac(out: Array, x: Array) -> None:
    np.subtract(x, np.trunc(x, out=out), out=out)


@rounding._frac.on("cpu", when=_is_large)
def frac(x: Array) -> Pair:
    fast = kernels("analytic", x.dtype)
    if fast is not None:
        return elementwise(fast.frac, x), lambda g, needs: (g,)
    return _filled(_frac, x), lambda g, needs: (g,)


def _logaddexp(out: Array, a: Array, b: Array) -> None:
    """max(a, b) + ln(1 + e^−|a − b|)"""
    t = workspace("logaddexp", out.shape, out.dtype)
    np.maximum(a, b, out=out)
    np.subtract(np.minimum(a, b, out=t), out, out=t)
    np.log1p(np.exp(t, out=t), out=t)
    np.fmax(out, np.add(out, t, out=t), out=out)  # not the NaN of equal infinities


def _share(out: Array, a: Array, b: Array, g: Array) -> None:
    """g / (1 + eᵇ⁻ᵃ)"""
    np.exp(np.subtract(b, a, out=out), out=out)
    out += 1
    np.divide(g, out, out=out)


def _blended(name: str, passes: Passes, *arrays: Array) -> Array:
    """By the kernel ``name``, or in NumPy."""
    dtype = arrays[0].dtype
    fast = kernels("analytic", dtype)
    if fast is None:
        return _filled(passes, *arrays)
    kernel = fast.blend(name, len(arrays), dtype)
    return elementwise(kernel, *arrays, options=((),), cost=COST)


@functions._logaddexp.on("cpu", when=_is_large)
def logaddexp(a: Array, b: Array) -> Pair:
    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        return (
            _blended("share", _share, a, b, g) if needs[0] else None,
            _blended("share", _share, b, a, g) if needs[1] else None,
        )

    return _blended("logaddexp", _logaddexp, a, b), backward

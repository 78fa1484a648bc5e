"""Sums as accurate as PyTorch's, in any memory order and dtype.

Along contiguous memory NumPy sums pairwise, so the rounding error grows with the logarithm of the
number of terms. Along any other axis it adds one slice after another, and the error grows with
their number: the mean of 10⁵ float32 values near 10⁴ then has a relative error of a thousandth.

float16 has a precision of eleven bits and a maximum of 65504, which is not enough for sums. So
float16 numbers are summed in float32, and the result is rounded once, as in PyTorch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .device import Array

HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)
MAX_RUN = 32  # terms that are added one after another in their own dtype


def adding_dtype(dtype: np.dtype[Any], terms: int = 1) -> np.dtype[Any]:
    """The dtype in which to add ``terms`` values of ``dtype`` one by one."""
    if dtype == HALF:
        return SINGLE
    return np.dtype(np.float64) if dtype.kind == "f" and terms > MAX_RUN else dtype


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let an operation on raw arrays (see :mod:`minigrad.tape`) compute float16 in float32.

    Applied below :func:`minigrad.tape.op`, it also applies to the operation's implementations.
    """

    def cast(x: Any, dtype: np.dtype[Any]) -> Any:
        return x.astype(dtype) if getattr(x, "dtype", None) in (HALF, SINGLE) else x

    @functools.wraps(function)
    def apply(*arrays: Any, **params: Any) -> Any:
        for x in arrays:
            if hasattr(x, "dtype") and x.dtype == HALF:
                break
        else:
            return function(*arrays, **params)
        y, backward = function(*(cast(x, SINGLE) for x in arrays), **params)

        def rounded(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
            return tuple(cast(d, HALF) for d in backward(cast(g, SINGLE), needs))

        return cast(y, HALF), rounded

    apply.adapt = in_float32  # type: ignore[attr-defined]
    return apply


def total(x: Array, axes: tuple[int, ...] | int, keepdims: bool = False) -> Array:
    """Σ x over ``axes``, an array of x's dtype.

    Axes that are not contiguous are summed in runs of at most :data:`MAX_RUN` slices, and the sums
    of the runs likewise, through views and without a copy of ``x``.
    """
    axes = (axes,) if isinstance(axes, int) else axes
    if x.dtype == HALF:
        return total(x.astype(SINGLE), axes, keepdims).astype(HALF)
    if not isinstance(x, np.ndarray):
        return x.sum(axis=axes, keepdims=keepdims)  # CuPy sums in a tree
    if len(axes) == x.ndim and x.flags.forc:  # contiguous, in C order or in Fortran's
        if keepdims:
            return x.sum(keepdims=True)
        y: Array = np.empty((), x.dtype)
        return np.add.reduce(x, None, None, y)  # in less time than x.sum()
    first = x.ndim - len(axes)
    if axes and x.size and x.flags.c_contiguous and axes == tuple(range(first, x.ndim)):
        y = x.reshape(*x.shape[:first], -1).sum(axis=first)  # of one run of memory each
        return y.reshape(y.shape + (1,) * len(axes)) if keepdims else np.asarray(y)
    if len(axes) == 1 and x.strides[axes[0]] == x.itemsize:  # a shortcut
        return np.asarray(x.sum(axis=axes, keepdims=keepdims))
    for axis in sorted(axes, key=lambda a: abs(x.strides[a])):
        while x.shape[axis] > MAX_RUN and x.strides[axis] != x.itemsize:
            x = _runs(x, axis)
        x = x.sum(axis=axis, keepdims=True)
    return x if keepdims else x.reshape([n for i, n in enumerate(x.shape) if i not in axes])


def _runs(x: Array, axis: int) -> Array:
    """The sums of runs along ``axis``, which all but the last have MAX_RUN slices."""
    n = x.shape[axis]
    count = n // MAX_RUN
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    every = (slice(None),) * axis
    whole = x[(*every, slice(count * MAX_RUN))].reshape(*before, count, MAX_RUN, *after)
    sums = whole.sum(axis=axis + 1)
    if count * MAX_RUN == n:
        return sums
    rest = x[(*every, slice(count * MAX_RUN, n))].sum(axis=axis, keepdims=True)
    return np.concatenate([sums, rest], axis=axis)

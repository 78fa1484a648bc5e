"""Sums as exact as PyTorch's, in any memory order.

NumPy adds pairwise, so that rounding grows with the logarithm of the number of terms, but only
along contiguous memory. Along any other axis it adds one slice after another, and rounding grows
with their number: the mean of 10⁵ float32 values near 10⁴ is then off by a thousandth of itself.
"""

from __future__ import annotations

import numpy as np

from .backend import Array

RUN = 32  # slices at most that are added one after another


def total(x: Array, axes: tuple[int, ...] | int, keepdims: bool = False) -> Array:
    """Σ x over ``axes``, an array of x's dtype.

    Axes that are not contiguous are summed in runs of at most :data:`RUN` slices, then the runs'
    sums in the same way, by views and without a copy of ``x``.
    """
    axes = (axes,) if isinstance(axes, int) else axes
    if not isinstance(x, np.ndarray):
        return x.sum(axis=axes, keepdims=keepdims)  # CuPy adds in a tree
    if len(axes) == x.ndim and (x.flags.c_contiguous or x.T.flags.c_contiguous):
        return np.asarray(x.sum(keepdims=keepdims))
    for axis in sorted(axes, key=lambda a: abs(x.strides[a])):
        while x.shape[axis] > RUN and x.strides[axis] != x.itemsize:
            x = _runs(x, axis)
        x = x.sum(axis=axis, keepdims=True)
    return x if keepdims else x.reshape([n for i, n in enumerate(x.shape) if i not in axes])


def _runs(x: Array, axis: int) -> Array:
    """The sums of runs along ``axis``; all runs but the last are equally long."""
    n = x.shape[axis]
    count = n // RUN
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    every = (slice(None),) * axis
    whole = x[(*every, slice(count * RUN))].reshape(*before, count, RUN, *after)
    sums = whole.sum(axis=axis + 1)
    if count * RUN == n:
        return sums
    rest = x[(*every, slice(count * RUN, n))].sum(axis=axis, keepdims=True)
    return np.concatenate([sums, rest], axis=axis)

"""Sums, means, variances and norms on the CPU.

Of few numbers the gradients are written out. The view that repeats one number takes longer to make,
and whatever reads it has to copy it first. Of many that lie in runs the runs are summed by compiled
loops, in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import tape
from ..device import Array
from ..layout import memory_order
from ..ops import reduce, scan
from ..ops.reduce import Pair, spread
from ..sums import total
from .compiled import kernels
from .elementwise import elementwise
from .threads import parallel, split_range

FEW = 1 << 12  # numbers
MANY = 1 << 14  # numbers from which runs are summed by compiled loops
SHORTEST = 64  # numbers of a run
PIECE = 1 << 15  # numbers of a task


def _are_few(x: Array, *, axes: tuple[int, ...], **_: Any) -> bool:
    return x.size <= FEW and len(axes) == x.ndim and x.dtype.kind == "f"


@reduce._sum.on("cpu", when=_are_few)
def sum_of_few(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape = x.shape
    return total(x, axes, keepdim), lambda g, needs: (np.full(shape, g.reshape(())),)


@reduce._mean.on("cpu", when=_are_few)
def mean_of_few(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape, count = x.shape, x.dtype.type(x.size)
    y = np.asarray(total(x, axes, keepdim) / count)
    return y, lambda g, needs: (np.full(shape, g.reshape(()) / count),)


def _outer(x: Array, axes: tuple[int, ...]) -> list[int]:
    """The axes of x from outermost in memory to the innermost that is kept."""
    order = memory_order(x)
    while order and order[-1] in axes:
        order.pop()
    return order


def _in_runs(x: Array, *, axes: tuple[int, ...], **_: Any) -> bool:
    if x.size < MANY or kernels("reduce", x.dtype) is None:
        return False
    runs = math.prod(x.shape[axis] for axis in _outer(x, axes))
    return x.size >= SHORTEST * runs and x.transpose(memory_order(x)).flags.c_contiguous


def _sums(
    x: Array, axes: tuple[int, ...], centre: Array | None = None, exact: bool = False
) -> Array:
    """Σ x over ``axes``, or Σ (x − centre)², in float64; the axes have size 1.

    Args:
        exact: whether runs too are added in float64.
    """
    fast, order, outer = kernels("reduce", x.dtype), memory_order(x), _outer(x, axes)
    assert fast is not None  # see `when`
    flat, shape = x.transpose(order).reshape(-1), [x.shape[axis] for axis in outer]
    runs = math.prod(shape)
    n = x.size // runs if runs > 1 else PIECE
    sums = np.empty(-(-x.size // n))
    centres = np.zeros(0) if centre is None else centre.transpose(order)
    if centre is not None:  # one for each run
        centres = np.broadcast_to(centres.reshape([centre.shape[axis] for axis in outer]), shape)
        centres = centres.reshape(-1) if runs > 1 else np.full(len(sums), centres)
    parts = split_range(len(sums), -(-x.size // PIECE))

    def task(i: int) -> None:
        part = parts[i].start, parts[i].stop
        if centre is None:
            fast.sums(sums, flat, n, exact, *part)
        else:
            fast.squares(sums, flat, centres, n, *part)

    parallel(task, len(parts), x.size)
    sums = sums.reshape(shape) if runs > 1 else sums.sum().reshape(shape)
    left = tuple(k for k, axis in enumerate(outer) if axis in axes)
    sums = sums.sum(left, keepdims=True)
    sizes = (*sums.shape, *(1,) * (x.ndim - len(outer)))
    return sums.reshape(sizes).transpose([order.index(axis) for axis in range(x.ndim)])


def _result(y: Array, x: Array, axes: tuple[int, ...], keepdim: bool) -> Array:
    kept = [n for axis, n in enumerate(y.shape) if keepdim or axis not in axes]
    return y.astype(x.dtype).reshape(kept)


@reduce._sum.on("cpu", when=_in_runs)
def sum_of_runs(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape, y = x.shape, _result(_sums(x, axes), x, axes, keepdim)
    return y, lambda g, needs: (spread(g, shape, axes),)


@tape.add_along.on("cpu", when=lambda g, axes: _in_runs(g, axes=axes))
def add_along_runs(g: Array, axes: tuple[int, ...]) -> Array:
    return _result(_sums(g, axes), g, axes, True)


@reduce._mean.on("cpu", when=_in_runs)
def mean_of_runs(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape, count = x.shape, math.prod(x.shape[axis] for axis in axes)
    y = _result(_sums(x, axes) / count, x, axes, keepdim)
    return y, lambda g, needs: (spread(g / count, shape, axes),)


def _variance(x: Array, axes: tuple[int, ...], correction: float) -> tuple[Array, Array, float]:
    """v, the mean, and what v was divided by."""
    count = math.prod(x.shape[axis] for axis in axes)
    mean, freedom = _sums(x, axes, exact=True) / count, max(count - correction, 0.0)
    return _sums(x, axes, mean) / np.float64(freedom), mean, freedom


def _scaled(x: Array, factor: Array, centre: Array | None = None) -> Array:
    """(x − centre) factor"""

    def passes(out: Array, x: Array, factor: Array, centre: Array) -> None:
        np.subtract(x, centre, out=out)
        out *= factor

    if centre is None:
        return elementwise(lambda out, x, factor: np.multiply(x, factor, out=out), x, factor)
    return elementwise(passes, x, factor, centre.astype(x.dtype))


@reduce._var.on("cpu", when=_in_runs)
def var_of_runs(x: Array, *, axes: tuple[int, ...], correction: float, keepdim: bool) -> Pair:
    v, mean, freedom = _variance(x, axes, correction)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (_scaled(x, g.reshape(mean.shape) * g.dtype.type(2 / np.float64(freedom)), mean),)

    return _result(v, x, axes, keepdim), backward


@reduce._std.on("cpu", when=_in_runs)
def std_of_runs(x: Array, *, axes: tuple[int, ...], correction: float, keepdim: bool) -> Pair:
    v, mean, freedom = _variance(x, axes, correction)
    y = np.sqrt(v)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        slope = g.reshape(mean.shape) / np.where(y == 0, 1, freedom * y)
        return (_scaled(x, np.where(y == 0, 0, slope).astype(x.dtype), mean),)

    return _result(y, x, axes, keepdim), backward


@scan._norm.on("cpu", when=lambda x, *, p, axes, keepdim: p == 2 and _in_runs(x, axes=axes))
def norm_of_runs(x: Array, *, p: float, axes: tuple[int, ...], keepdim: bool) -> Pair:
    zeros = np.zeros([1 if axis in axes else n for axis, n in enumerate(x.shape)])
    y = np.sqrt(_sums(x, axes, zeros))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        slope = g.reshape(y.shape) / np.where(y == 0, 1, y)
        return (_scaled(x, np.where(y == 0, 0, slope).astype(x.dtype)),)

    return _result(y, x, axes, keepdim), backward

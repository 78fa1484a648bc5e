"""Sums, means, variances, norms, extremes and products on the CPU.

Of few numbers the gradients are written out. The view that repeats one number takes longer to make,
and whatever reads it has to copy it first. Of many that lie in runs compiled loops reduce the runs,
sums in float64. Sums of columns are compiled too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tape
from ..device import Array
from ..ops import extreme, reduce, scan
from ..ops.reduce import Pair, spread
from ..sums import total
from .along import Along, along, pieces, share
from .compiled import kernels
from .elementwise import elementwise

FEW = 1 << 12  # numbers
MANY = 1 << 14  # numbers from which runs are summed by compiled loops
SHORTEST = 64  # numbers of a run
NARROWEST = 16  # columns that are added side by side


def _are_few(x: Array, *, axes: tuple[int, ...], **_: Any) -> bool:
    return x.size <= FEW and len(axes) == x.ndim and x.dtype.kind == "f"


def _full(shape: tuple[int, ...], number: Array) -> Array:
    """What np.full returns, in a quarter of its time."""
    full = np.empty(shape, number.dtype)
    full[...] = number
    return full


@reduce._sum.on("cpu", when=_are_few)
def sum_of_few(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape = x.shape
    return total(x, axes, keepdim), lambda g, needs: (_full(shape, g.reshape(())),)


@reduce._mean.on("cpu", when=_are_few)
def mean_of_few(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape, count = x.shape, x.dtype.type(x.size)
    y = np.asarray(total(x, axes, keepdim) / count)
    return y, lambda g, needs: (_full(shape, g.reshape(()) / count),)


@functools.lru_cache(maxsize=1024)
def _innermost(order: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The last of ``order``, as far as they are among ``axes``."""
    kept = max((k + 1 for k, axis in enumerate(order) if axis not in axes), default=0)
    return order[kept:]


def _runs(x: Array, axes: tuple[int, ...]) -> Along:
    """x along those of ``axes`` that are innermost in memory: its rows are runs to reduce."""
    return along(x, *_innermost(along(x).order, axes))


def _in_runs(x: Array, *, axes: tuple[int, ...], **_: Any) -> bool:
    if x.size < MANY or kernels("reduce", x.dtype) is None:
        return False
    view = _runs(x, axes)
    dense = x.flags.c_contiguous or x.transpose(view.order).flags.c_contiguous
    return dense and view.n >= SHORTEST


def _folded(
    x: Array,
    axes: tuple[int, ...],
    kernel: Callable[..., object],
    join: np.ufunc,
    *args: Any,
    dtype: Any = np.float64,
) -> Array:
    """x reduced over ``axes``, which have size 1 then: each run, or each piece of the only run, by
    ``kernel(found, memory, n, *args, first, last)``, and these by ``join``."""
    view = _runs(x, axes)
    flat, n = view.flat(x), view.n
    if view.outer == 1:
        n = -(-n // len(pieces(n, n)))
    found = np.empty(-(-flat.size // n), dtype)
    share(lambda _, *part: kernel(found, flat, n, *args, *part), len(found), flat.size)
    if view.outer == 1:
        found = join.reduce(found, keepdims=True)
    y = view.array(found, *(1,) * len(view.axes))
    return y if len(axes) == len(view.axes) else join.reduce(y, axes, keepdims=True)


def _columns(x: Array, axes: tuple[int, ...]) -> Along | None:
    """How x lies in memory along ``axes``, if these are side by side, and others inside."""
    order = along(x).order
    view = along(x, *(axis for axis in order if axis in axes))
    dense = x.flags.c_contiguous or x.transpose(order).flags.c_contiguous
    return view if dense and view.order == order and view.inner >= NARROWEST else None


def _can_add(x: Array, *, axes: tuple[int, ...], **_: Any) -> bool:
    if x.size < MANY or kernels("reduce", x.dtype) is None:
        return False
    return _in_runs(x, axes=axes) or _columns(x, axes) is not None


def _sums(x: Array, axes: tuple[int, ...], exact: bool = False) -> Array:
    """Σ x over ``axes`` in float64, runs too if ``exact``."""
    fast, view = kernels("reduce", x.dtype), _columns(x, axes)
    assert fast is not None  # see `when`
    if view is None:
        return _folded(x, axes, fast.sums, np.add, exact)
    flat, sums, (n, inner) = view.flat(x), np.empty(view.outer * view.inner), (view.n, view.inner)
    strips = view.outer * -(-inner // fast.WIDE)
    share(lambda _, *part: fast.columns(sums, flat, n, inner, *part), strips, x.size)
    return view.array(sums, *(1,) * len(axes))


def _squares(x: Array, axes: tuple[int, ...], centre: Array | None = None) -> Array:
    """Σ x² over ``axes``, or Σ (x − centre)², in float64."""
    fast, centres = kernels("reduce", x.dtype), np.zeros(1)
    assert fast is not None  # see `when`
    if centre is not None:
        view = _runs(x, axes)
        sizes = [1 if axis in view.axes else n for axis, n in enumerate(x.shape)]
        centres = view.flat(np.broadcast_to(centre, sizes))
    return _folded(x, axes, fast.squares, np.add, centres)


def _result(y: Array, x: Array, axes: tuple[int, ...], keepdim: bool) -> Array:
    kept = [n for axis, n in enumerate(y.shape) if keepdim or axis not in axes]
    return y.astype(x.dtype).reshape(kept)


@reduce._sum.on("cpu", when=_can_add)
def sum_of_many(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape, y = x.shape, _result(_sums(x, axes), x, axes, keepdim)
    return y, lambda g, needs: (spread(g, shape, axes),)


@tape.add_along.on("cpu", when=lambda g, axes: _can_add(g, axes=axes))
def add_many_along(g: Array, axes: tuple[int, ...]) -> Array:
    return _result(_sums(g, axes), g, axes, True)


@reduce._mean.on("cpu", when=_can_add)
def mean_of_many(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape, count = x.shape, math.prod(x.shape[axis] for axis in axes)
    y = _result(_sums(x, axes) / count, x, axes, keepdim)
    return y, lambda g, needs: (spread(g / count, shape, axes),)


def _variance(x: Array, axes: tuple[int, ...], correction: float) -> tuple[Array, Array, float]:
    """v, the mean, and what v was divided by."""
    count = math.prod(x.shape[axis] for axis in axes)
    mean, freedom = _sums(x, axes, exact=True) / count, max(count - correction, 0.0)
    return _squares(x, axes, mean) / np.float64(freedom), mean, freedom


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
    y = np.sqrt(_squares(x, axes))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        slope = g.reshape(y.shape) / np.where(y == 0, 1, y)
        return (_scaled(x, np.where(y == 0, 0, slope).astype(x.dtype)),)

    return _result(y, x, axes, keepdim), backward


@extreme._extreme_over.on("cpu", when=_in_runs)
def extreme_of_runs(
    x: Array, *, name: str, axes: tuple[int, ...], keepdim: bool, nan: bool
) -> Pair:
    fast = kernels("reduce", x.dtype)
    assert fast is not None  # see `when`
    join, sign = (np.maximum, 1) if name == "max" else (np.minimum, -1)
    kernel, number = fast.extremes(x.dtype), x.dtype.type(sign)
    y = _folded(x, axes, kernel, join, number, dtype=x.dtype)
    shape = y.shape if keepdim else [n for axis, n in enumerate(x.shape) if axis not in axes]
    return y.reshape(shape), lambda g, needs: (extreme.shared(g, x, y, axes, nan),)


def _of_product(x: Array, axis: int | None) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axis is None else (axis,)


@scan._prod.on("cpu", when=lambda x, *, axis, keepdim: _in_runs(x, axes=_of_product(x, axis)))
def product_of_runs(x: Array, *, axis: int | None, keepdim: bool) -> Pair:
    """The gradient, if no number is 0, infinite or NaN: g y / x."""
    fast, axes = kernels("reduce", x.dtype), _of_product(x, axis)
    assert fast is not None  # see `when`
    y = _folded(x, axes, fast.products, np.multiply)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        if not (np.isfinite(y) & (y != 0)).all():  # else all numbers are plain
            everything = tuple(range(x.ndim))
            if _folded(x, everything, fast.count_odd, np.add).any():
                return scan._prod.definition(x, axis=axis, keepdim=keepdim)[1](g, needs)
        slope = (g.reshape(y.shape) * y).astype(x.dtype)
        return (elementwise(lambda out, x, slope: np.divide(slope, x, out=out), x, slope),)

    return _result(y, x, axes, keepdim), backward

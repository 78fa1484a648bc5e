"""Sums, means, variances, norms, extremes and products on the CPU.

Of few numbers the gradients are written out. The view that repeats one number takes longer to make,
and whatever reads it has to copy it first. Of many that lie in runs compiled loops reduce the runs,
sums in float64. Sums of columns are compiled too.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import tape
from ..device import Array
from ..ops import extreme, reduce, scan
from ..ops.reduce import Pair, spread
from ..sums import total
from .along import Along, along, pieces
from .compiled import kernels
from .elementwise import elementwise
from .threads import launch

FEW = 1 << 12  # numbers
MANY = 1 << 14  # numbers from which runs are summed by compiled loops
SHORTEST = 64  # numbers of a run
NARROWEST = 16  # columns that are reduced side by side
STRIP = 256  # columns of a strip
TOGETHER = 64  # rows of few columns, up to which so many become one


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


def _are_bools(x: Array, *, axes: tuple[int, ...], **_: Any) -> bool:
    return x.dtype.kind == "b" and len(axes) == x.ndim


@reduce._sum.on("cpu", when=_are_bools)
def count(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    y = np.full((1,) * x.ndim if keepdim else (), np.count_nonzero(x), np.int64)
    return y, lambda g, needs: (None,)


@reduce._mean.on("cpu", when=_are_few)
def mean_of_few(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape, count = x.shape, x.dtype.type(x.size)
    y = np.asarray(total(x, axes, keepdim) / count)
    return y, lambda g, needs: (_full(shape, g.reshape(()) / count),)


class _Ways(NamedTuple):
    """How an array lies in memory, if it has no gaps, along the axes to reduce.

    Attributes:
        runs: along those that are innermost in memory: its rows are runs to reduce.
        columns: along all, if they are side by side and others are inside.
        narrow: likewise, if others are few, but several rows together are wide.
    """

    runs: Along | None
    columns: Along | None
    narrow: Along | None


_known: dict[Any, _Ways] = {}  # the same few in every training step


def _ways(x: Array, axes: tuple[int, ...]) -> _Ways:
    key = x.shape, x.strides, x.itemsize, axes, SHORTEST, NARROWEST
    if (ways := _known.get(key)) is None:
        if len(_known) == 1024:
            _known.clear()
        ways = _known[key] = _find_ways(x, axes)
    return ways


def _find_ways(x: Array, axes: tuple[int, ...]) -> _Ways:
    order = along(x).order
    if not (x.flags.c_contiguous or x.transpose(order).flags.c_contiguous):
        return _Ways(None, None, None)
    kept = max((k + 1 for k, axis in enumerate(order) if axis not in axes), default=0)
    runs, across = along(x, *order[kept:]), along(x, *(axis for axis in order if axis in axes))
    inside = across.inner if across.order == order else 0
    together = math.gcd(across.n, TOGETHER) * inside
    return _Ways(
        runs if runs.n >= SHORTEST else None,
        across if inside >= NARROWEST else None,
        across if 1 < inside < NARROWEST <= together else None,
    )


def _can_add(x: Array, *, axes: tuple[int, ...], **_: Any) -> bool:
    if x.size < MANY or kernels("reduce", x.dtype) is None:
        return False
    ways = _ways(x, axes)
    return ways.runs is not None or ways.columns is not None


def _can_sum(x: Array, *, axes: tuple[int, ...], **_: Any) -> bool:
    if _can_add(x, axes=axes):
        return True
    fast = x.size >= MANY and kernels("reduce", x.dtype) is not None
    return fast and _ways(x, axes).narrow is not None


def _folded(
    x: Array,
    view: Along,
    axes: tuple[int, ...],
    kernel: Any,
    join: np.ufunc,
    *args: Any,
    dtype: Any = np.float64,
) -> Array:
    """x reduced over ``axes``, which have size 1 then: each run, or each piece of the only run, by
    ``kernel(found, memory, n, *args, first, last)``, and these by ``join``."""
    flat, n = view.flat(x), view.n
    if view.outer == 1:
        n = -(-n // len(pieces(n, n)))
    found = np.empty(-(-flat.size // n), dtype)
    launch(kernel, len(found), flat.size, found, flat, n, *args)
    if view.outer == 1:
        found = join.reduce(found, keepdims=True)
    y = view.array(found, *(1,) * len(view.axes))
    return y if len(axes) == len(view.axes) else join.reduce(y, axes, keepdims=True)


def _in_strips(
    x: Array,
    view: Along,
    kernel: Any,
    *args: Any,
    before: tuple[Array, ...] = (),
    dtype: Any = np.float64,
) -> Array:
    """The columns of x reduced by ``kernel(found, *before, memory, *args, n, inner, …)``."""
    found, strips = np.empty(view.outer * view.inner, dtype), view.outer * -(-view.inner // STRIP)
    launch(kernel, strips, x.size, found, *before, view.flat(x), *args, view.n, view.inner)
    return view.array(found, *(1,) * len(view.axes))


def _sums(x: Array, axes: tuple[int, ...], exact: bool = False) -> Array:
    """Σ x over ``axes`` in float64, runs too if ``exact``."""
    fast, (runs, columns, narrow) = kernels("reduce", x.dtype), _ways(x, axes)
    assert fast is not None  # see `when`
    if runs is not None:
        return _folded(x, runs, axes, fast.sums, np.add, exact)
    if columns is not None:
        return _in_strips(x, columns, fast.columns)
    if narrow is None:
        return np.add.reduce(x, axes, np.float64, keepdims=True)
    several = math.gcd(narrow.n, TOGETHER)
    found = np.empty((narrow.outer, several, narrow.inner))
    sizes = narrow.n // several, several * narrow.inner
    strips = narrow.outer * -(-sizes[1] // STRIP)
    launch(fast.columns, strips, x.size, found.reshape(-1), narrow.flat(x), *sizes)
    return narrow.array(found.sum(axis=1).reshape(-1), *(1,) * len(narrow.axes))


def _squares(x: Array, axes: tuple[int, ...], centre: Array | None = None) -> Array:
    """Σ x² over ``axes``, or Σ (x − centre)², in float64."""
    fast, (runs, columns, _) = kernels("reduce", x.dtype), _ways(x, axes)
    view = columns if runs is None else runs
    assert fast is not None  # see `when`
    assert view is not None
    sizes = [1 if axis in view.axes else n for axis, n in enumerate(x.shape)]
    centres = view.flat(np.broadcast_to(np.zeros(()) if centre is None else centre, sizes))
    if runs is not None:
        return _folded(x, runs, axes, fast.squares, np.add, centres)
    return _in_strips(x, view, fast.column_squares, centres)


def _result(y: Array, x: Array, axes: tuple[int, ...], keepdim: bool) -> Array:
    kept = [n for axis, n in enumerate(y.shape) if keepdim or axis not in axes]
    return y.astype(x.dtype).reshape(kept)


@reduce._sum.on("cpu", when=_can_sum)
def sum_of_many(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    shape, y = x.shape, _result(_sums(x, axes), x, axes, keepdim)
    return y, lambda g, needs: (spread(g, shape, axes),)


@tape.add_along.on("cpu", when=lambda g, axes: _can_sum(g, axes=axes))
def add_many_along(g: Array, axes: tuple[int, ...]) -> Array:
    return _result(_sums(g, axes), g, axes, True)


@reduce._mean.on("cpu", when=_can_sum)
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


@reduce._var.on("cpu", when=_can_add)
def var_of_many(x: Array, *, axes: tuple[int, ...], correction: float, keepdim: bool) -> Pair:
    v, mean, freedom = _variance(x, axes, correction)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (_scaled(x, g.reshape(mean.shape) * g.dtype.type(2 / np.float64(freedom)), mean),)

    return _result(v, x, axes, keepdim), backward


@reduce._std.on("cpu", when=_can_add)
def std_of_many(x: Array, *, axes: tuple[int, ...], correction: float, keepdim: bool) -> Pair:
    v, mean, freedom = _variance(x, axes, correction)
    y = np.sqrt(v)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        slope = g.reshape(mean.shape) / np.where(y == 0, 1, freedom * y)
        return (_scaled(x, np.where(y == 0, 0, slope).astype(x.dtype), mean),)

    return _result(y, x, axes, keepdim), backward


@scan._norm.on("cpu", when=lambda x, *, p, axes, keepdim: p == 2 and _can_add(x, axes=axes))
def norm_of_many(x: Array, *, p: float, axes: tuple[int, ...], keepdim: bool) -> Pair:
    y = np.sqrt(_squares(x, axes))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        slope = g.reshape(y.shape) / np.where(y == 0, 1, y)
        return (_scaled(x, np.where(y == 0, 0, slope).astype(x.dtype)),)

    return _result(y, x, axes, keepdim), backward


@extreme._extreme_over.on("cpu", when=_can_add)
def extreme_of_many(
    x: Array, *, name: str, axes: tuple[int, ...], keepdim: bool, nan: bool
) -> Pair:
    fast, (runs, columns, _) = kernels("reduce", x.dtype), _ways(x, axes)
    assert fast is not None  # see `when`
    join, sign = (np.maximum, 1) if name == "max" else (np.minimum, -1)
    if runs is not None:
        number, kernel = x.dtype.type(sign), fast.extremes(x.dtype)
        y = _folded(x, runs, axes, kernel, join, number, dtype=x.dtype)
    else:
        assert columns is not None
        y = _in_strips(x, columns, fast.joining(join.__name__), dtype=x.dtype)
    shape = y.shape if keepdim else [n for axis, n in enumerate(x.shape) if axis not in axes]

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        if nan and np.isnan(y).any():
            return (extreme.shared(g, x, y, axes, nan),)
        hit = elementwise(lambda out, x, y: np.equal(x, y, out=out), x, y)
        return (_scaled(hit, g.reshape(y.shape) / _sums(hit, axes).astype(g.dtype)),)

    return y.reshape(shape), backward


@extreme._place.on("cpu", when=lambda x, *, name, axis, keepdim: _lies_across(x, axis))
def place_in_columns(x: Array, *, name: str, axis: int | None, keepdim: bool) -> Pair:
    """Of all numbers: in the rows, and among the rows."""
    places, tops = _places(x, -1 if axis is None else axis, name)
    if axis is None:
        row = int(getattr(tops.reshape(-1), name)())
        y = np.asarray(row * x.shape[-1] + places.reshape(-1)[row])
    else:
        y = places if keepdim else places.squeeze(axis)
    return y, lambda g, needs: (None,)


def _lies_across(x: Array, axis: int | None) -> bool:
    """Whether x lies in columns along ``axis``, or along the last one."""
    along_one = x.ndim > 1 and _can_add(x, axes=(x.ndim - 1 if axis is None else axis,))
    return along_one and _ways(x, (x.ndim - 1 if axis is None else axis,)).columns is not None


def _places(x: Array, axis: int, name: str) -> tuple[Array, Array]:
    """The first place of the extreme in each column, and the extreme."""
    fast, view = kernels("reduce", x.dtype), _ways(x, (axis % x.ndim,)).columns
    assert fast is not None  # see `when`
    assert view is not None
    kernel, sign = fast.placing(x.dtype), x.dtype.type(1 if name == "argmax" else -1)
    tops = np.empty(view.outer * view.inner, x.dtype)
    places = _in_strips(x, view, kernel, sign, before=(tops,))
    return places.astype(np.int64), view.array(tops, 1)


def _of_product(x: Array, axis: int | None) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axis is None else (axis,)


@scan._prod.on("cpu", when=lambda x, *, axis, keepdim: _can_add(x, axes=_of_product(x, axis)))
def product_of_many(x: Array, *, axis: int | None, keepdim: bool) -> Pair:
    """The gradient, if no number is 0, infinite or NaN: g y / x."""
    fast, axes = kernels("reduce", x.dtype), _of_product(x, axis)
    assert fast is not None  # see `when`
    runs, columns, _ = _ways(x, axes)
    if columns is not None:
        y = _in_strips(x, columns, fast.joining("multiply"), dtype=x.dtype)
    else:
        assert runs is not None
        y = _folded(x, runs, axes, fast.products, np.multiply)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        if not (np.isfinite(y) & (y != 0)).all():  # else all numbers are plain
            everything = tuple(range(x.ndim))
            if _folded(x, along(x, *along(x).order), everything, fast.count_odd, np.add).any():
                return scan._prod.definition(x, axis=axis, keepdim=keepdim)[1](g, needs)
        slope = (g.reshape(y.shape) * y).astype(x.dtype)
        return (elementwise(lambda out, x, slope: np.divide(slope, x, out=out), x, slope),)

    return _result(y, x, axes, keepdim), backward

"""Resizing on the CPU: rows are weighted sums of rows, and so are the numbers of each row."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from ..device import Array
from ..ops import resize
from ..tape import Backward
from .along import along
from .compiled import kernels

FEW = 1 << 10  # numbers; below, NumPy is as fast, and nothing has to be compiled
IMAGE = 1 << 18  # numbers of an image that is resized as a whole, by one core


class _Sums(NamedTuple):
    """Of the numbers along an axis, number i is the sum over e from ``begins[i]`` to
    ``begins[i + 1]`` of ``weights[e]`` times number ``places[e]`` of n. ``kind`` names a short way
    (see :mod:`minigrad.cpu.kernels.resize`)."""

    begins: Array
    places: Array
    weights: Array
    n: int
    kind: int = 0

    @property
    def many(self) -> int:
        return len(self.begins) - 1


class _Axis(NamedTuple):
    """How an axis is resized, and its derivative."""

    forward: _Sums
    backward: _Sums


KEPT = np.arange(2), np.zeros(1, np.int64)  # an axis of one number, which stays


def _sums(to: Array, source: Array, weights: Array, n: int, many: int, kind: int) -> _Sums:
    order = np.argsort(to, kind="stable")
    begins = np.searchsorted(to[order], np.arange(many + 1))
    return _Sums(begins, source[order], weights[order], n, kind)


@functools.lru_cache(maxsize=256)  # the same few in each step of a training
def _axis(
    n: int, many: int, scale: float | None, mode: str, align: bool, image: bool, dtype: str
) -> _Axis:
    i, j, t = resize._places(n, many, scale, mode, align, image)
    to, doubled = np.arange(many), many == 2 * n
    if j is None:
        weights, kind = np.ones(many, dtype), 1 if doubled and (i == to // 2).all() else 0
    else:
        far, join = np.asarray(t, dtype), np.concatenate
        to, i, weights = join([to, to]), join([i, j]), join([1 - far, far])
        kind = 3 if doubled and not align and scale in (None, 2) else 0
    back = kind + 1 if kind else 0
    return _Axis(_sums(to, i, weights, n, many, kind), _sums(i, to, weights, many, n, back))


def _resized(x: Array, axes: tuple[int, ...], sums: tuple[_Sums, ...], across_first: bool) -> Array:
    """x with one axis, or two of them, as sums."""
    view, fast = along(x, *axes), kernels("resize", x.dtype)
    assert fast is not None  # see `when`
    *_, across = sums
    down = sums[0] if len(sums) > 1 else _Sums(*KEPT, np.ones(1, x.dtype), 1)
    flat, sizes = view.flat(x), tuple([s.many for s in sums])
    numbers = *down[:3], *across[:3], down.n, across.n

    def images(out: Array, first: int, last: int) -> None:
        fast.images(out, flat, *numbers, across_first, across.kind, first, last)

    def rows(out: Array, first: int, last: int) -> None:
        fast.planes(out, flat, *numbers, view.inner, first, last)

    if view.inner == 1 and max(down.n * across.many, down.many * across.n) <= IMAGE:
        return view.filled(x.dtype, view.outer, images, *sizes)
    return view.filled(x.dtype, view.outer * down.many, rows, *sizes)


def _serves(x: Array, **_: Any) -> bool:
    return x.size > FEW and kernels("resize", x.dtype) is not None


@resize._interpolate.on("cpu", when=_serves)
def interpolate(
    x: Array,
    *,
    size: tuple[int, ...],
    scales: tuple[float | None, ...],
    mode: str,
    align: bool,
) -> tuple[Array, Backward]:
    """Two axes at once, and the depth of volumes before."""
    given = zip(x.shape[2:], size, scales, strict=True)
    found = [_axis(*sizes, mode, align, x.ndim == 4, x.dtype.char) for sizes in given]
    passes = {3: ((2,),), 4: ((2, 3),), 5: ((2,), (3, 4))}[x.ndim]
    y = x
    for axes in passes:
        y = _resized(y, axes, tuple([found[i - 2].forward for i in axes]), True)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        for axes in reversed(passes):
            g = _resized(g, axes, tuple([found[i - 2].backward for i in axes]), False)
        return (g,)

    return y, backward

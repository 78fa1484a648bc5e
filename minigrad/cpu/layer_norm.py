"""Layer and group norm, and vectors of length 1: rows, or strips of columns, in a core's cache.

Where the batch is innermost in memory, many images are normalised side by side.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..memory import empty
from ..ops.layer_norm import _group_norm, _layer_norm
from ..ops.normalize import _normalize
from ..tape import Backward, keeping
from .compiled import kernels
from .elementwise import contiguous
from .threads import parallel, split_range

PIECE = 1 << 16  # elements of a task
STRIP = 1 << 14  # elements of a strip of columns, which may be more
WIDE = 512  # columns of a strip where there are as many: short reads far apart are slow
NARROW = 256  # columns; where there are fewer, several pixels are taken side by side


def _serves(x: Array, *_: Any, **__: Any) -> bool:
    return x.size > 0 and kernels("layer_norm", x.dtype) is not None


@_layer_norm.on("cpu", when=_serves)
def compiled_layer_norm(
    x: Array, w: Array | None, b: Array | None, *, dims: int, eps: float
) -> tuple[Array, Backward]:
    y, x, backward = _norm(x, w, b, tuple(range(x.ndim - dims, x.ndim)), 1, eps)
    return y, keeping(backward, x, w, b)


@_group_norm.on("cpu", when=_serves)
def compiled_group_norm(
    x: Array, w: Array | None, b: Array | None, *, groups: int, eps: float
) -> tuple[Array, Backward]:
    y, x, backward = _norm(x, w, b, tuple(range(1, x.ndim)), groups, eps)
    return y, keeping(backward, x, w, b)


@_normalize.on("cpu", when=lambda x, *, p, **_: p == 2 and _serves(x))
def compiled_normalize(
    x: Array, *, p: float, axes: tuple[int, ...], eps: float
) -> tuple[Array, Backward]:
    """With p = 2."""
    inward = tuple(i for i in memory_order(x) if i in axes)
    y, x, backward = _norm(x, None, None, inward, 1, eps, centred=False)
    return y, keeping(lambda g, needs: backward(g, needs)[:1], x)


class _Plan(NamedTuple):
    """How an array lies in memory and is shared out.

    Attributes:
        order: its axes from outermost to innermost; each part to normalise lies in one piece, or in
            columns.
        back: the inverse of ``order``.
        form: the kernels, for "rows" or "columns".
        shape: what :mod:`minigrad.cpu.kernels.layer_norm` calls so.
        units: rows, or strips of columns.
        means: how many there are.
    """

    order: tuple[int, ...]
    back: tuple[int, ...]
    form: str
    shape: tuple[int, ...]
    units: int
    means: int


@functools.lru_cache(maxsize=1024)  # for small arrays, planning would take longer than the kernel
def _plan(
    sizes: tuple[int, ...],
    order: tuple[int, ...],
    axes: tuple[int, ...],
    groups: int,
    weights: int,
) -> _Plan:
    begin = order.index(axes[0])
    if order[begin : begin + len(axes)] != axes:
        begin = len(sizes) - len(axes)
        order = (*(i for i in range(len(sizes)) if i not in axes), *axes)
    end = begin + len(axes)
    back = tuple(map(order.index, range(len(sizes))))
    outer = groups * math.prod(sizes[i] for i in order[:begin])
    inner = math.prod(sizes[i] for i in order[end:])
    n, k = math.prod(sizes[i] for i in axes) // groups, weights // groups
    if inner == 1:
        return _Plan(order, back, "rows", (k, n // k, 1, 1, 1), outer, outer)
    pixels, fold = n // k, 1
    while pixels % 2 == 0 and fold * inner < NARROW:
        pixels, fold = pixels // 2, 2 * fold
    wide = fold * inner
    width = wide if fold > 1 else min(wide, max(WIDE, STRIP // n))
    units = outer * -(-wide // width)
    return _Plan(order, back, "columns", (k, pixels, wide, fold, width), units, outer * inner)


def _norm(
    x: Array,
    w: Array | None,
    b: Array | None,
    axes: tuple[int, ...],
    groups: int,
    eps: float,
    centred: bool = True,
) -> tuple[Array, Array, Backward]:
    """x normalised over ``axes`` in ``groups`` parts; x as it is kept; the derivative."""
    fast = kernels("layer_norm", x.dtype)
    assert fast is not None  # see `_serves`
    weights = next((v.size for v in (w, b) if v is not None), groups)
    scale = np.ones(weights, x.dtype) if w is None else np.ascontiguousarray(w).reshape(-1)
    shift = np.zeros(weights, x.dtype) if b is None else np.ascontiguousarray(b).reshape(-1)
    order = range(x.ndim) if x.flags.c_contiguous else memory_order(x)
    plan = _plan(x.shape, tuple(order), axes, groups, weights)
    forward, derive = fast.FORMS[plan.form]

    def share(task: Callable[[int, slice], None], pieces: int) -> None:
        parts = split_range(plan.units, pieces)
        if len(parts) == 1:
            task(0, parts[0])
        else:
            parallel(lambda i: task(i, parts[i]), len(parts), x.size)

    memory = contiguous(x.transpose(plan.order))
    flat, y = memory.reshape(-1), empty(memory.shape, x.dtype)
    kept = centred, x.dtype.type(eps), *np.empty((2, plan.means), x.dtype)
    to = y.reshape(-1)

    def normalize(_: int, part: slice) -> None:
        forward(flat, scale, shift, plan.shape, part.start, part.stop, *kept, to)

    share(normalize, -(-x.size // PIECE))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g = contiguous(g.transpose(plan.order)).reshape(-1)
        gx = empty(memory.shape if needs[0] else (0,), x.dtype)
        out = gx.reshape(-1)
        # Each task has sums of its own, together at most a quarter of the memory of x.
        pieces = max(1, x.size // max(PIECE, 16 * weights))
        sums = np.zeros((min(pieces, plan.units), 2, weights))

        def task(i: int, part: slice) -> None:
            derive(g, flat, scale, plan.shape, part.start, part.stop, *kept, *sums[i], out)

        share(task, pieces)
        gw, gb = sums.sum(axis=0).astype(x.dtype)
        return (
            gx.transpose(plan.back) if needs[0] else None,
            None if w is None else gw.reshape(w.shape),
            None if b is None else gb.reshape(b.shape),
        )

    return y.transpose(plan.back), memory.transpose(plan.back), backward

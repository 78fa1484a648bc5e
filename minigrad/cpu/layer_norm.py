"""Layer and group norm, and vectors of length 1: rows, or strips of columns, in a core's cache.

Where the batch is innermost in memory, many images are normalised side by side.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..device import Array
from ..layout import memory_order
from ..memory import empty
from ..ops.layer_norm import _group_norm, _layer_norm
from ..ops.normalize import _normalize
from ..tape import Backward, keeping
from .along import Along, along
from .compiled import kernels
from .threads import GRAIN, launch, parts_of

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
    """The Euclidean norm, p = 2."""
    inward = tuple(i for i in memory_order(x) if i in axes)
    y, x, backward = _norm(x, None, None, inward, 1, eps, centred=False)
    return y, keeping(lambda g, needs: backward(g, needs)[:1], x)


@functools.lru_cache(maxsize=1024)  # for small arrays this would take longer than the kernel
def _form(view: Along, groups: int, weights: int) -> tuple[str, tuple[int, ...], int]:
    """The kernel's kind, "rows" or "columns"; its argument ``shape``
    (:mod:`minigrad.cpu.kernels.layer_norm`); and the number of rows, or of strips of columns."""
    outer, n, inner = view.outer * groups, view.n // groups, view.inner
    k = weights // groups
    if inner == 1:
        return "rows", (k, n // k, 1, 1, 1), outer
    pixels, fold = n // k, 1
    while pixels % 2 == 0 and fold * inner < NARROW:
        pixels, fold = pixels // 2, 2 * fold
    wide = fold * inner
    width = wide if fold > 1 else min(wide, max(WIDE, STRIP // n))
    return "columns", (k, pixels, wide, fold, width), outer * -(-wide // width)


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
    view = along(x, *axes)
    form, shape, units = _form(view, groups, weights)
    forward, derive = fast.FORMS[form]
    flat, y = view.flat(x), empty((x.size,), x.dtype)
    means = x.size * groups // view.n
    kept = centred, x.dtype.type(eps), *np.empty((2, means), x.dtype)
    launch(forward, units, x.size, flat, scale, shift, shape, *kept, y)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        g, gx = view.flat(g), empty((flat.size if needs[0] else 0,), flat.dtype)
        # Each part has sums of its own, together at most a quarter of the memory of x.
        least = max(GRAIN, 16 * weights)
        sums = np.zeros((parts_of(units, flat.size, least), 2, weights))
        operands = g, flat, scale, shape, *kept, sums, gx
        launch(derive, units, flat.size, *operands, least=least, parts=len(sums))
        gw, gb = sums.sum(axis=0).astype(flat.dtype)
        return (
            view.array(gx) if needs[0] else None,
            None if w is None else gw.reshape(w.shape),
            None if b is None else gb.reshape(b.shape),
        )

    return view.array(y), view.array(flat), backward

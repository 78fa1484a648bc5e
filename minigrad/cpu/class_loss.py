"""Losses of classes on the CPU: compiled passes, which read class indices directly."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..device import Array
from ..memory import empty
from ..ops.loss import (
    _class_indices,
    _cross_entropy,
    _focal_loss,
    focal_terms,
    no_class,
    reduced,
    spread,
)
from ..tape import Backward, Gone, keeping
from .along import COST, along, columns
from .compiled import kernels


def _serves(x: Array, *_: Any, **__: Any) -> bool:
    return x.size > 0 and kernels("class_loss", x.dtype) is not None


def _reads(x: Array, flat: Array, ignore_index: int | None) -> bool:
    return _serves(x) and flat.dtype != np.uint64  # some of which are no int64


@_class_indices.on("cpu", when=_reads)
def class_indices(x: Array, flat: Array, ignore_index: int | None) -> tuple[Array, Array]:
    """One pass."""
    fast, classes = kernels("class_loss", x.dtype), x.shape[1]
    assert fast is not None  # see `when`
    flat = flat.astype(np.int64, copy=False)
    index, used = np.empty(flat.shape, np.int64), np.empty(flat.shape, bool)
    ignoring, ignored = ignore_index is not None, ignore_index or 0
    bad = fast.check(flat, classes, ignoring, ignored, index, used)
    if bad is not None and bad >= 0:  # None: minigrad.precompile runs no kernels
        raise no_class(classes, ignore_index, int(flat[bad]))
    return index, used


@_cross_entropy.on("cpu", when=_serves)
def cross_entropy(
    x: Array,
    *,
    target: Array,
    used: Array | None,
    weight: Array | None,
    smoothing: float,
    reduction: str,
    from_log: bool,
) -> tuple[Array, Backward]:
    """One pass forward and one backward, without columns of targets in memory."""
    fast, shape, dtype = kernels("class_loss", x.dtype), x.shape, x.dtype
    assert fast is not None  # see `when`
    kernel = functools.partial(fast.kernel, dtype=dtype)
    sparse = from_log and used is not None and not smoothing  # only numbers of targets are read
    view, once = (along if sparse else columns)(x, 1), (shape[0], 1, *shape[2:])
    memory, w = view.flat(x), np.empty(shape[1], dtype)
    w[...] = 1 if weight is None else weight
    if used is None:  # probabilities
        p = view.flat(target.astype(dtype, copy=False))
        index, counts = np.empty(0, np.int64), np.empty(0, bool)
    else:
        index, counts, p = target, used, np.empty(0, dtype)
        if x.ndim > 2:
            index, counts = (view.flat(t.reshape(once)) for t in (target, used))
    targets = (index, counts, p, w, dtype.type(1 - smoothing), dtype.type(smoothing / shape[1]))
    found = np.empty((5, x.size // shape[1]), dtype)
    read = found.shape[1] if sparse else None
    sums = np.zeros((view.parts(read), 2))
    view.run(kernel, "value", from_log, found, sums, memory, targets, numbers=read, parts=len(sums))
    loss, weights = np.add.reduce(sums)
    norm = dtype.type(found.shape[1] if used is None else weights)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        out, g = empty((memory.size,), dtype), spread(g, norm, reduction)
        slopes = view.flat(g.reshape(once)) if g.ndim else np.full(found.shape[1], g)
        read = view.size // COST if from_log else None  # no exponentials
        view.run(kernel, "gradient", from_log, out, found, memory, targets, slopes, numbers=read)
        return (view.array(out),)

    if reduction == "none":
        y = view.array(found[0], 1)[:, 0]
    else:
        y = np.asarray(dtype.type(loss) / norm if reduction == "mean" else dtype.type(loss))
    return y, keeping(backward, Gone(shape, dtype) if from_log else lambda: view.array(memory))


@_focal_loss.on("cpu", when=_serves)
def focal_loss(
    x: Array, *, target: Array, weight: Array, norm: Any, gamma: float, reduction: str
) -> tuple[Array, Backward]:
    """From the cross-entropy −ln p of each target, whose derivative is that of −ln p."""
    used = np.ones(target.shape, bool)
    options = {"weight": None, "smoothing": 0.0, "reduction": "none", "from_log": False}
    each, derivative = cross_entropy(x, target=target, used=used, **options)
    loss, slope_of = focal_terms(-each.reshape(-1), weight, gamma)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        slope = -slope_of() * spread(g, norm, reduction).reshape(-1)
        return derivative(slope.astype(x.dtype, copy=False).reshape(each.shape), needs)

    return reduced(loss, norm, reduction, x.shape), backward

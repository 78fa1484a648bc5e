"""Losses on a GPU by the kernels of loss.cu, with one thread per target."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import Array, deferred_error, get_xp
from ..ops.loss import (
    _class_indices,
    _cross_entropy,
    _distribution,
    _focal_loss,
    classes_back,
    classes_first,
    columns,
    no_class,
    reduced,
    spread,
)
from ..sums import adding_dtype
from ..tape import Backward, keeping
from . import launch as cuda


def _run(name: str, dtype: Any, columns: int, *args: Any, classes: int) -> None:
    """Run a kernel of loss.cu with one thread per column."""
    threads, macros = 128, {"REAL": dtype, "SUM": adding_dtype(dtype, classes)}
    cuda.launch("loss", name, cuda.blocks(columns, threads), threads, args, **macros)


@_cross_entropy.on("gpu", when=cuda.serves)
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
    """One kernel forward and one backward."""
    xp, shape = get_xp(x), x.shape
    target, norm = columns(x, target, used, weight, smoothing)
    z, target = xp.ascontiguousarray(classes_first(x)), xp.ascontiguousarray(target)
    loss, shifts = xp.empty(z.shape[1], z.dtype), xp.empty((2, z.shape[1]), z.dtype)
    args = (z, target, *z.shape, from_log, shifts, loss)
    _run("cross_entropy", z.dtype, z.shape[1], *args, classes=len(z))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = _slopes(g, norm, reduction, z.dtype)
        gz = xp.empty_like(z)
        args = (z, target, shifts, used, g, g.size > 1, *z.shape, from_log, gz)
        _run("cross_entropy_gradient", z.dtype, z.shape[1], *args, classes=len(z))
        return (classes_back(gz, shape),)

    return reduced(loss, norm, reduction, shape), keeping(backward, classes_back(z, shape))


def _slopes(g: Array, norm: Any, reduction: str, dtype: Any) -> Array:
    """:func:`spread` with shape (M,) or (1,), in the dtype of the loss."""
    g = spread(g, norm, reduction).reshape(-1).astype(dtype, copy=False)
    return get_xp(g).ascontiguousarray(g)


@_focal_loss.on("gpu", when=cuda.serves)
def focal_loss(
    x: Array, *, target: Array, weight: Array, norm: Any, gamma: float, reduction: str
) -> tuple[Array, Backward]:
    """One kernel forward and one backward."""
    xp, shape = get_xp(x), x.shape
    z = xp.ascontiguousarray(classes_first(x))
    loss, shifts = xp.empty(z.shape[1], z.dtype), xp.empty((2, z.shape[1]), z.dtype)
    args = (z, target, weight, gamma, *z.shape, shifts, loss)
    _run("focal", z.dtype, z.shape[1], *args, classes=len(z))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        g = _slopes(g, norm, reduction, z.dtype)
        gz = xp.empty_like(z)
        args = (z, target, weight, shifts, g, g.size > 1, gamma, *z.shape, gz)
        _run("focal_gradient", z.dtype, z.shape[1], *args, classes=len(z))
        return (classes_back(gz, shape),)

    return reduced(loss, norm, reduction, shape), backward


@_class_indices.on("gpu", when=cuda.serves)
def class_indices(x: Array, flat: Array, ignore_index: int | None) -> tuple[Array, Array]:
    """Does not wait for the values of the indices: an error in them is raised later."""
    xp, classes = get_xp(flat), x.shape[1]
    flat = xp.ascontiguousarray(flat.astype(np.int64, copy=False))
    safe, used = xp.empty_like(flat), xp.empty(flat.shape, bool)
    word = deferred_error(xp, no_class, classes, ignore_index).word
    ignoring = ignore_index is not None
    args = (flat, ignoring, ignore_index or 0, classes, len(flat), safe, used, word)
    _run("class_indices", x.dtype, len(flat), *args, classes=classes)
    return safe, used


@_distribution.on("gpu", when=cuda.serves)
def distribution(
    x: Array, flat: Array, used: Array, weight: Array | None, smoothing: float
) -> tuple[Array, Array]:
    """One kernel."""
    xp, dtype, classes = get_xp(flat), adding_dtype(x.dtype), x.shape[1]
    target, each = xp.empty((classes, len(flat)), dtype), xp.empty(len(flat), dtype)
    weights = None if weight is None else xp.ascontiguousarray(weight)
    numbers = (1 - smoothing, smoothing / classes, classes, len(flat))
    args = (flat, used, weights, *numbers, target, each)
    _run("distribution", dtype, len(flat), *args, classes=classes)
    return target, each

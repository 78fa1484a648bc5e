"""Sorted order. Of equal elements the first comes first; NaN counts as the largest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..dispatch import Dispatched
from ..options import lacks
from ..tape import Backward, op
from ..tensor import Tensor
from .extreme import Placed
from .indexing import take_along

Pair = tuple[Array, Backward]


@op
def _argsort(x: Array, *, axis: int, descending: bool, part: slice) -> Pair:
    """y = a part of the indices that sort x along ``axis``, without derivative."""
    xp = get_xp(x)
    if descending:  # sorted from behind, so that equal elements keep their order
        x = xp.flip(x, axis)
    y = xp.argsort(x, axis, kind="stable")
    if descending:
        y = x.shape[axis] - 1 - xp.flip(y, axis)
    return y[(slice(None),) * axis + (part,)], lambda g, needs: (None,)


@lacks(out=None)
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool | None = None
) -> Placed:
    """(values, indices) in order along ``dim``; the order is always stable."""
    indices = argsort(input, dim, descending, stable)
    return _taken(input, indices, dim)


@lacks(out=None)
def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool | None = None
) -> Tensor:
    """The indices that sort ``input`` along ``dim``; int64. The order is always stable."""
    axis = check.axis("dim", dim, check.tensor("input", input).ndim)
    descending = check.boolean("descending", descending)
    if stable is not None:
        check.boolean("stable", stable)
    return _sorting(input, axis, descending, slice(None))


def _sorting(input: Tensor, axis: int, descending: bool, part: slice) -> Tensor:
    """A part of the indices that sort ``input``."""
    if not input.ndim:
        return Tensor(get_xp(input.data).zeros((), np.int64))
    return _argsort(input.detach(), axis=axis, descending=descending, part=part)


def _taken(input: Tensor, indices: Tensor, dim: int) -> Placed:
    if not input.ndim:
        return Placed(input.clone(), indices)
    return Placed(take_along(input, indices, axis=dim % input.ndim), indices)


@lacks(out=None)
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Placed:
    """(values, indices) of the ``k`` largest, or smallest, along ``dim``, in order.

    Args:
        sorted: False leaves the order open; it is sorted all the same.
    """
    axis = check.axis("dim", dim, check.tensor("input", input).ndim)
    largest = check.boolean("largest", largest)
    check.boolean("sorted", sorted)
    k = check.integer("k", k, 0, input.shape[axis] if input.ndim else 1)
    return _taken(input, _sorting(input, axis, largest, slice(k)), axis)


@lacks(out=None)
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Placed:
    """(values, indices) of the ``k``-th smallest along ``dim``; k counts from 1."""
    axis = check.axis("dim", dim, check.tensor("input", input).ndim)
    keepdim = check.boolean("keepdim", keepdim)
    k = check.integer("k", k, 1, input.shape[axis] if input.ndim else 1)
    found = _taken(input, _sorting(input, axis, False, slice(k - 1, k)), axis)
    return found if keepdim or not input.ndim else Placed(*(t.squeeze(axis) for t in found))


@lacks(out=None)
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of all elements, or (values, indices) along ``dim``; NaN if one is NaN."""
    keepdim = check.boolean("keepdim", keepdim)
    check.no_bools("input", check.tensor("input", input))
    if dim is None:
        if not input.numel() and input.dtype.kind == "f":
            return input.sum() * math.nan
        return median(input.reshape(-1), 0).values
    axis = check.axis("dim", dim, input.ndim)
    n = input.shape[axis] if input.ndim else 1
    if not n:
        raise ValueError(f"median: an empty reduction has no value, got shape {input.shape}")
    if not input.ndim:
        return kthvalue(input, 1)
    indices = _sorting(input, axis, False, slice((n - 1) // 2, (n + 1) // 2))
    x, xp = input.data, get_xp(input.data)
    if x.dtype.kind == "f":
        nan = xp.isnan(x)
        first = nan.argmax(axis, keepdims=True)
        indices = Tensor(xp.where(nan.any(axis, keepdims=True), first, indices.data))
    found = _taken(input, indices, axis)
    return found if keepdim else Placed(*(t.squeeze(axis) for t in found))


@lacks(out=None)
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 occurs in a vector of integers; int64.

    Args:
        weights: of the same shape; their sums are returned in place of counts, in float64 unless
            they are float32.
        minlength: the least length of the result.
    """
    if check.tensor("input", input, (1,)).dtype.kind not in "iu":
        raise TypeError(f"input: expected integers, got {input.dtype}")
    minlength = check.integer("minlength", minlength, 0)
    if input.numel() and int(input.data.min()) < 0:
        raise ValueError("input: expected integers from 0, got a negative one")
    if weights is not None:
        if check.tensor("weights", weights).shape != input.shape:
            raise ValueError(f"weights: expected shape {input.shape}, got {weights.shape}")
        check.beside("weights", weights, input)
    if not input.numel():
        return Tensor(get_xp(input.data).zeros(minlength, np.int64))
    xp, w = get_xp(input.data), None if weights is None else weights.data
    counts = xp.bincount(input.data.astype(np.int64, copy=False), w, minlength)
    return Tensor(counts.astype(w.dtype) if w is not None and w.dtype == np.float32 else counts)


@lacks("dim")
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
) -> Any:
    """The different elements in order; a tuple with what else is asked for.

    Args:
        sorted: False leaves the order open; it is sorted all the same.
        return_inverse: also where each element stands among them, in the shape of ``input``.
        return_counts: also how often each occurs.
    """
    check.boolean("sorted", sorted)
    inverse = check.boolean("return_inverse", return_inverse)
    counts = check.boolean("return_counts", return_counts)
    found = _unique.run(check.tensor("input", input).data, inverse=inverse, counts=counts)
    return tuple(map(Tensor, found)) if inverse or counts else Tensor(found[0])


@Dispatched
def _unique(x: Array, *, inverse: bool, counts: bool) -> list[Array]:
    """The different elements in order, and what else is asked for."""
    xp = get_xp(x)
    found = xp.unique(x, return_inverse=inverse, return_counts=counts, equal_nan=False)
    parts = list(found) if inverse or counts else [found]
    if inverse:
        parts[1] = parts[1].reshape(x.shape)
    return parts

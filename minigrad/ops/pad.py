"""Padding with a constant, by reflection, by replication, or circular."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..layout import memory_order
from ..memory import empty
from ..sums import in_float32
from ..tape import Backward, Multilinear, op
from ..tensor import Number, Tensor
from .shape import getitem

Pair = tuple[Array, Backward]


@op(twice=Multilinear("x", value=0))
def _pad(x: Array, *, widths: tuple[tuple[int, int], ...], value: Number) -> Pair:
    """y = x padded with ``value``,  dL/dx = the part of g at the place of x."""
    inside = tuple(slice(low, low + n) for (low, _), n in zip(widths, x.shape, strict=True))
    shape = tuple(n + a + b for (a, b), n in zip(widths, x.shape, strict=True))
    y = empty(shape, x.dtype, get_xp(x), memory_order(x))
    y[...] = value
    y[inside] = x
    return y, lambda g, needs: (g[inside],)


def sources(n: int, low: int, high: int, mode: str) -> Any:
    """For each position of a padded axis, the index of the element it copies, among ``n``."""
    place = np.arange(-low, n + high)
    if mode == "replicate":
        return place.clip(0, n - 1)
    if mode == "circular":
        return place % n
    return n - 1 - np.abs(n - 1 - np.abs(place))  # reflected at both ends


@op(twice=Multilinear("x"))
@in_float32
def _pad_by_copies(x: Array, *, widths: tuple[tuple[int, int], ...], mode: str) -> Pair:
    """y = x padded with its own elements,  dL/dx = Σ of g over the copies of each element.

    One axis after another is framed, so that a corner copies what an edge has copied.
    """
    inside = tuple(slice(low, low + n) for (low, _), n in zip(widths, x.shape, strict=True))
    shape = tuple(n + low + high for (low, high), n in zip(widths, x.shape, strict=True))
    copies = copies_of(x.shape, widths, mode)
    y = empty(shape, x.dtype, get_xp(x), memory_order(x))
    y[inside] = x
    for copy, original in copies:
        y[copy] = y[original]

    return y, lambda g, needs: (sum_of_copies(g, copies)[inside],)


Copies = list[tuple[Any, Any]]  # of an index of a copy, and the index of what it copies


def copies_of(shape: tuple[int, ...], widths: tuple[tuple[int, int], ...], mode: str) -> Copies:
    """The copies that fill a frame, each after those that it reads."""
    copies = []
    for axis, (n, (low, high)) in enumerate(zip(shape, widths, strict=True)):
        every = (slice(None),) * axis
        for k, source in enumerate(sources(n, low, high, mode).tolist()):
            if not low <= k < low + n:
                copies.append(((*every, k), (*every, low + source)))
    return copies


def sum_of_copies(g: Array, copies: Copies) -> Array:
    """A copy of g in which each copy is added to what it copies."""
    sums = g.copy(order="K")
    for copy, original in reversed(copies):
        sums[original] += sums[copy]
    return sums


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: Number | None = None
) -> Tensor:
    """``input`` with padding.

    Args:
        pad: (left, right) of the last dimension, then of the one before it, and so on. In mode
            "constant", a negative amount crops.
        mode: "constant"; or, for the last 1, 2 or 3 dimensions of an input that has one or two
            more, "reflect" (without repeating the edge), "replicate" (the edge) or "circular" (the
            opposite side).
        value: the padding value in mode "constant"; default 0.

    Raises:
        ValueError: the input has too few dimensions, or too few elements to reflect.
    """
    check.tensor("input", input)
    check.choice("mode", mode, ("constant", "reflect", "replicate", "circular"))
    if not isinstance(pad, (tuple, list)):
        raise TypeError(f"pad: expected a tuple or list, got {pad!r}")
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(
            f"pad: expected pairs for at most {input.ndim} dimensions, got {tuple(pad)}"
        )
    amounts = [check.integer("pad", p, -math.inf) for p in pad]
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))[::-1]
    widths = ((0, 0),) * (input.ndim - len(pairs)) + tuple(pairs)
    if mode != "constant":
        return _framed_by_copies(input, widths, len(pairs), mode, value)
    value = 0 if value is None else value
    check.fits("value", value, input.dtype)
    if min(amounts, default=0) < 0:
        ends = [(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(widths, input.shape, strict=True)]
        if any(start > stop for start, stop in ends):
            raise ValueError(f"pad: {tuple(pad)} takes away more than shape {input.shape} has")
        input = getitem(input, tuple(slice(*end) for end in ends))
    widths = tuple((max(a, 0), max(b, 0)) for a, b in widths)
    return _pad(input, widths=widths, value=value)


def _framed_by_copies(
    input: Tensor,
    widths: tuple[tuple[int, int], ...],
    dims: int,
    mode: str,
    value: Number | None,
) -> Tensor:
    if mode != "circular":
        check.no_bools("input", input)
    if value:
        raise ValueError(f"value: mode {mode!r} takes none, got {check.shown(value)}")
    if dims not in (1, 2, 3) or input.ndim - dims not in (1, 2):
        raise ValueError(
            f"pad: mode {mode!r} expects pairs for the last 1, 2 or 3 dimensions of a tensor with "
            f"one or two more, got {dims} for shape {input.shape}"
        )
    if 0 in input.shape[1:]:
        raise ValueError(f"input: expected at least one channel and pixel, got {input.shape}")
    for n, width in zip(input.shape, widths, strict=True):
        if min(width) < 0:
            raise NotImplementedError(f"pad: negative amounts are not supported in mode {mode!r}")
        most = {"reflect": n - 1, "circular": n}.get(mode, math.inf)
        if max(width) > max(most, 0):
            raise ValueError(f"pad: expected at most {most} for a size of {n}, got {width}")
    return _pad_by_copies(input, widths=widths, mode=mode)

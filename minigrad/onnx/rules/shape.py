"""Operations on shapes, and indexing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...ops.conv import Pair
from ..graph import Graph, Size, Value, rule
from ..trace import varies


@rule
def _reshape(g: Graph, y: Value, x: Any, *, shape: tuple[Size, ...]) -> str:
    # 0 stands for the input's size at that position, -1 for the remaining size.
    sizes = [
        n if isinstance(n, int) else 0 if x.shape[i : i + 1] == (n,) else -1
        for i, n in enumerate(shape)
    ]
    if sizes.count(-1) > 1:
        raise varies("more than one size of a reshape")
    if 0 in shape:
        raise NotImplementedError("onnx: a tensor without elements")
    return g("Reshape", x, np.array(sizes, np.int64))


@rule
def _expand(g: Graph, y: Value, x: Any, *, shape: tuple[Size, ...]) -> str:
    before = (1,) * (len(shape) - len(x.shape)) + x.shape
    sizes = [1 if m == n else n for m, n in zip(before, shape, strict=True)]  # 1 keeps a size
    if not all(isinstance(n, int) for n in sizes):
        raise varies("a size of an expand")
    return g("Expand", x, np.array(sizes, np.int64))


@rule
def _permute(g: Graph, y: Value, x: Any, *, dims: tuple[int, ...]) -> str:
    return g("Transpose", x, perm=dims)


@rule
def _cat(g: Graph, y: Value, *xs: Any, dim: int) -> str:
    return g("Concat", *xs, axis=dim)


@rule
def _pad(g: Graph, y: Value, x: Any, *, widths: tuple[Pair, ...], value: Any) -> str:
    ends = np.array(widths, np.int64).reshape(-1, 2).T.ravel()  # all befores, then all afters
    return g("Pad", x, ends, np.asarray(value, y.dtype))


@rule
def _getitem(g: Graph, y: Value, x: Any, *, index: tuple[Any, ...], unique: bool) -> str:
    """All slices at once, then picks from the last dimension backwards, then new dimensions."""
    taken = sum(part is not None and part is not Ellipsis for part in index)
    rest = (slice(None),) * (len(x.shape) - taken)
    at = next((i for i, part in enumerate(index) if part is Ellipsis), len(index))
    parts = (*index[:at], *rest, *index[at + 1 :])
    slices: list[tuple[int, ...]] = []
    picks: list[tuple[int, Any]] = []
    new: list[int] = []
    dims = 0  # of the result, so far
    for axis, part in zip(_axes(parts), parts, strict=True):
        if part is None:
            new.append(dims)
            dims += 1
        elif isinstance(part, slice):
            if part != slice(None):
                start, stop, step = _bounds(part)
                slices.append((start, stop, axis, step))
            dims += 1
        else:
            part = part if hasattr(part, "dtype") else np.asarray(part)
            if part.dtype == np.bool_ or (part.shape and any(p.shape for _, p in picks)):
                raise NotImplementedError("onnx: an index of bools, or of several arrays")
            picks.append((axis, part))
            dims += len(part.shape)
    if slices:
        x = g("Slice", x, *np.array(slices, np.int64).T)
    for axis, part in reversed(picks):
        x = g("Gather", x, g.cast(part, np.int64), axis=axis)
    return g("Unsqueeze", x, np.array(new, np.int64)) if new else g.name(x)


def _bounds(part: slice) -> tuple[int, int, int]:
    """Start, stop and step, with ONNX's values for ends that are omitted."""
    return (
        0 if part.start is None else part.start,
        np.iinfo(np.int64).max if part.stop is None else part.stop,
        1 if part.step is None else part.step,
    )


def _axes(parts: tuple[Any, ...]) -> Iterator[int]:
    """The dimension of the indexed tensor for each part of the index."""
    axis = 0
    for part in parts:
        yield axis
        axis += part is not None


@rule
def _pad_by_copies(g: Graph, y: Value, x: Any, *, widths: tuple[Pair, ...], mode: str) -> str:
    ends = np.array(widths, np.int64).reshape(-1, 2).T.ravel()
    kinds = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return g("Pad", x, ends, mode=kinds[mode])

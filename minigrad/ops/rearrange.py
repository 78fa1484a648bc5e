"""Splitting, repeating, flipping and rolling, with the operations of :mod:`minigrad.ops.shape`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..options import lacks, spread
from ..tape import Backward, Multilinear, op
from ..tensor import Tensor
from . import shape

Pair = tuple[Array, Backward]


def _slice(input: Tensor, axis: int, start: int, stop: int) -> Tensor:
    return input[(slice(None),) * axis + (slice(start, stop),)]


def split(
    tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0
) -> tuple[Tensor, ...]:
    """``tensor`` in pieces along ``dim``: of one size (the last may be smaller), or of the given
    sizes, whose sum must be that of the dimension."""
    axis, n = _sides("split", tensor, dim)
    sizes = split_size_or_sections
    name = "split_size_or_sections"
    if isinstance(sizes, (tuple, list)):
        parts = [check.integer(name, size, 0) for size in sizes]
        if sum(parts) != n:
            raise ValueError(f"{name}: expected sizes that add up to {n}, got {tuple(sizes)}")
    else:
        size = check.integer(name, sizes, 0 if not n else 1)
        parts = [min(size, n - start) for start in range(0, n, size)] if n else [0]
    ends = np.cumsum([0, *parts]).tolist()
    return tuple(_slice(tensor, axis, a, b) for a, b in itertools.pairwise(ends))


def _sides(name: str, tensor: Tensor, dim: int) -> tuple[int, int]:
    """The axis and its size; a 0-d tensor has none."""
    if not check.tensor("input" if name != "split" else "tensor", tensor).ndim:
        raise ValueError(f"{name}: expected at least one dimension, got shape ()")
    axis = check.axis("dim", dim, tensor.ndim)
    return axis, tensor.shape[axis]


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """``input`` in at most ``chunks`` equal pieces along ``dim``; the last may be smaller."""
    _, n = _sides("chunk", input, dim)
    chunks = check.integer("chunks", chunks, 1)
    if not n:
        return split(input, [0] * chunks, dim)
    return split(input, -(-n // chunks), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along ``dim``, without that dimension."""
    axis, n = _sides("unbind", input, dim)
    return tuple(input[(slice(None),) * axis + (i,)] for i in range(n))


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """``length`` slices along ``dim`` from ``start`` on; a view where memory allows."""
    axis, n = _sides("narrow", input, dim)
    start = check.integer("start", start, -n, n)
    start += n if start < 0 else 0
    return _slice(input, axis, start, start + check.integer("length", length, 0, n - start))


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at ``index`` along ``dim``, without that dimension."""
    axis, n = _sides("select", input, dim)
    if not -n <= check.integer("index", index, -math.inf) < n:
        raise IndexError(f"index: expected one of {n} slices, got {index}")
    return input[(slice(None),) * axis + (index,)]


@op(twice=Multilinear("x"))
def _flip(x: Array, *, axes: tuple[int, ...]) -> Pair:
    """y = x backwards along ``axes``,  dL/dx = g likewise."""
    xp = get_xp(x)
    return xp.flip(x, axes).copy(), lambda g, needs: (xp.flip(g, axes),)


@spread("dims")
def flip(input: Tensor, *dims: Any) -> Tensor:
    """``input`` backwards along ``dims`` (integers or one tuple)."""
    wanted = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    check.tensor("input", input)
    axes = tuple(check.axis("dims", d, input.ndim) for d in wanted)
    if len(set(axes)) != len(axes):
        raise ValueError(f"dims: expected distinct dimensions, got {tuple(wanted)}")
    return _flip(input, axes=axes if input.ndim else ())


@op(twice=Multilinear("x"))
def _roll(x: Array, *, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Pair:
    """y = x moved on along ``axes``, what leaves at the end coming in at the front,  dL/dx = g
    moved back."""
    xp, back = get_xp(x), tuple(-n for n in shifts)
    return xp.roll(x, shifts, axes), lambda g, needs: (xp.roll(g, back, axes),)


def roll(input: Tensor, shifts: Any, dims: Any = ()) -> Tensor:
    """``input`` shifted cyclically by ``shifts`` along ``dims``.

    Without ``dims`` the flattened tensor is shifted by one number.
    """
    amounts = tuple(shifts) if isinstance(shifts, (tuple, list)) else (shifts,)
    amounts = tuple(check.integer("shifts", n, -(2**62), 2**62) for n in amounts)
    wanted = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    axes = tuple(check.axis("dims", d, check.tensor("input", input).ndim) for d in wanted)
    if not axes and len(amounts) == 1:
        flat = _roll(input.reshape(-1), shifts=amounts, axes=(0,))
        return flat.reshape(input.shape)
    if len(axes) != len(amounts) or not amounts:
        raise ValueError(
            f"shifts: expected one for each of {len(axes)} dimensions, got {len(amounts)}"
        )
    if not input.ndim:
        raise IndexError(f"dims: expected none of a 0-d tensor, got {dims}")
    return _roll(input, shifts=amounts, axes=axes)


@spread("dims")
def tile(input: Tensor, *dims: Any) -> Tensor:
    """``input`` repeated ``dims`` times (integers or one tuple), the last number along the last."""
    times = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    counts = tuple(check.integer("dims", n, 0) for n in times)
    return repeat(input, (1,) * (check.tensor("input", input).ndim - len(counts)) + counts)


@spread("repeats")
def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """``input`` repeated along each dimension (integers or one tuple); more make new dimensions."""
    times = repeats[0] if len(repeats) == 1 and isinstance(repeats[0], (tuple, list)) else repeats
    counts = [check.integer("repeats", n, 0) for n in times]
    extra = len(counts) - check.tensor("input", input).ndim
    if extra < 0:
        raise ValueError(f"repeats: expected {input.ndim} numbers at least, got {len(counts)}")
    sizes = (1,) * extra + input.shape
    # Every dimension has one in front of it along which it is repeated.
    expanded = input.reshape([n for size in sizes for n in (1, size)])
    whole = expanded.expand([n for pair in zip(counts, sizes, strict=True) for n in pair])
    return whole.reshape([count * n for count, n in zip(counts, sizes, strict=True)])


@lacks(output_size=None)
def repeat_interleave(input: Tensor, repeats: int | Tensor, dim: int | None = None) -> Tensor:
    """Every slice along ``dim`` repeated ``repeats`` times (a number, or an integer Tensor with one
    for each); without ``dim`` every element of the flattened tensor."""
    if dim is None:
        return repeat_interleave(check.tensor("input", input).reshape(-1), repeats, 0)
    if not check.tensor("input", input).ndim:
        check.axis("dim", dim, 0)
        return repeat_interleave(input.reshape(1), repeats, 0)
    axis, n = _sides("repeat_interleave", input, dim)
    if not isinstance(repeats, Tensor):
        counts = np.full(n, check.integer("repeats", repeats, 0))
    else:
        if repeats.dtype not in (np.int64, np.int32) or repeats.ndim > 1:
            raise TypeError(
                f"repeats: expected int32 or int64 in one dimension, got {repeats.dtype} "
                f"of shape {repeats.shape}"
            )
        counts = repeats.cpu().detach().numpy().reshape(-1)
        if len(counts) not in (1, n):
            raise ValueError(f"repeats: expected {n} numbers, got {len(counts)}")
        counts = np.broadcast_to(counts, (n,))
        if (counts < 0).any():
            raise ValueError("repeats: expected numbers from 0, got a negative one")
    places = get_xp(input.data).asarray(np.repeat(np.arange(n), counts))
    return input[(slice(None),) * axis + (Tensor(places),)]


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """The dimensions ``source`` moved to ``destination`` (an int or a tuple); the others stay in
    order."""
    ndim = check.tensor("input", input).ndim
    first, to = check.axes("source", source, ndim), check.axes("destination", destination, ndim)
    if len(first) != len(to) or source is None or destination is None:
        raise ValueError(
            f"destination: expected as many dimensions as source, got {source} and {destination}"
        )
    order = [i for i in range(ndim) if i not in first]
    for place, axis in sorted(zip(to, first, strict=True)):
        order.insert(place, axis)
    return shape.permute(input, order)


def t(input: Tensor) -> Tensor:
    """A matrix transposed; a vector or a 0-d tensor unchanged."""
    if check.tensor("input", input).ndim > 2:
        raise ValueError(f"input: expected at most two dimensions, got shape {input.shape}")
    return shape.permute(input, *reversed(range(input.ndim)))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """The dimension ``dim`` as several of ``sizes``, one of which may be -1."""
    axis, _ = _sides("unflatten", input, dim)
    if not isinstance(sizes, (tuple, list)) or not sizes:
        raise TypeError(f"sizes: expected a tuple or list of sizes, got {check.shown(sizes)}")
    before, after = input.shape[:axis], input.shape[axis + 1 :]
    free = [n for n in sizes if n == -1]
    if len(free) > 1:
        raise ValueError(f"sizes: at most one size may be -1, got {tuple(sizes)}")
    known = math.prod(n for n in sizes if n != -1)
    if free and known:
        sizes = [input.shape[axis] // known if n == -1 else n for n in sizes]
    if math.prod(sizes) != input.shape[axis]:
        raise ValueError(f"sizes: cannot unflatten {input.shape[axis]} into {tuple(sizes)}")
    return input.reshape(*before, *sizes, *after)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """The windows of ``size`` along ``dimension``, one every ``step``: ``dimension`` counts them,
    and their elements are a new last dimension. A copy."""
    axis = check.axis("dimension", dimension, check.tensor("input", input).ndim)
    size, step = check.integer("size", size, 0), check.integer("step", step, 1)
    n = input.shape[axis] if input.ndim else 1
    if size > n:
        raise ValueError(f"size: expected at most {n}, the size of dimension {axis}, got {size}")
    if not input.ndim:
        return input.reshape(1)[:size]
    starts = np.arange(0, n - size + 1, step)
    places = (starts[:, None] + np.arange(size)).reshape(-1)
    windows = input[(slice(None),) * axis + (places,)]
    return movedim(unflatten(windows, axis, (len(starts), size)), axis + 1, -1)


def ravel(input: Tensor) -> Tensor:
    """``input`` as a vector, in row-major order."""
    return check.tensor("input", input).reshape(-1)


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """:func:`expand` to ``size``."""
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"size: expected a tuple or list of sizes, got {check.shown(size)}")
    return shape.expand(check.tensor("input", input), *size) if size else input.expand(())


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """The coordinates of a grid: each vector along its own dimension, repeated along the others.

    Args:
        tensors: vectors or numbers (0-d) of one dtype, also as one list.
        indexing: "ij", the default, or "xy", which swaps the first two dimensions.
    """
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    indexing = check.choice("indexing", "ij" if indexing is None else indexing, ("ij", "xy"))
    if not given:
        raise ValueError("tensors: expected at least one Tensor, got none")
    vectors = [t if check.tensor("tensors", t, (0, 1)).ndim else t.reshape(1) for t in given]
    if len({v.dtype for v in vectors}) > 1:
        raise TypeError(f"tensors: expected one dtype, got {[str(v.dtype) for v in vectors]}")
    sizes, n = [len(v) for v in vectors], len(vectors)
    grids = tuple(
        v.reshape([len(v) if i == j else 1 for j in range(n)]).expand(sizes)
        for i, v in enumerate(vectors)
    )
    if indexing == "xy" and n > 1:
        return tuple(shape.transpose(grid, 0, 1) for grid in grids)
    return grids

"""Elements picked and placed by indices and masks; ``x[...]`` is in :mod:`minigrad.ops.shape`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..dispatch import Dispatched
from ..layout import memory_order
from ..memory import zeros
from ..options import lacks
from ..sums import adding_dtype
from ..tape import Backward, Multilinear, Operation, op
from ..tensor import Number, Tensor
from . import arithmetic
from .elementwise import scaled_by

Pair = tuple[Array, Backward]


@op(twice=Multilinear("x"))
def take_along(x: Array, indices: Array, *, axis: int) -> Pair:
    """y = x at ``indices``, all different, along one axis,  dL/dx = zeros with g placed there."""
    xp, shape, dtype = get_xp(x), x.shape, x.dtype

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array, None]:
        gx = xp.zeros(shape, dtype)
        xp.put_along_axis(gx, indices, g, axis)
        return gx, None

    return xp.take_along_axis(x, indices, axis), backward


def _places(index: Array, axis: int) -> tuple[Array, ...]:
    """``index`` along ``axis`` as an index of all dimensions: an array for each."""
    xp = get_xp(index)
    at = [*xp.ogrid[tuple(slice(n) for n in index.shape)]]
    at[axis] = index
    return tuple(at)


def _added(values: Array, places: tuple[Array, ...], shape: tuple[int, ...]) -> Array:
    """Zeros of ``shape`` with ``values`` added at ``places``, which may repeat."""
    xp, adds = get_xp(values), adding_dtype(values.dtype, values.size)
    y = xp.zeros(shape, adds)
    xp.add.at(y, places, values.astype(adds, copy=False))
    return y.astype(values.dtype, copy=False)


@op(twice=Multilinear("x"))
def _gather(x: Array, index: Array, *, axis: int) -> Pair:
    """y[i, j, …] = x[i, index[i, j, …], …],  dL/dx = zeros with g added there."""
    before, places = x.shape, _places(index, axis)
    return x[places], lambda g, needs: (_added(g, places, before), None)


def _check_index(
    input: Tensor, dim: Any, index: Any, sizes: Callable[[int, int], bool]
) -> tuple[int, Tensor]:
    """The axis, and ``index`` if its dtype, shape and values are right."""
    axis = check.axis("dim", dim, check.tensor("input", input).ndim)
    check.tensor("index", index)
    if index.dtype not in (np.int64, np.int32):
        raise TypeError(f"index: expected int32 or int64, got {index.dtype}")
    check.beside("index", index, input)
    if index.numel():
        shape = input.shape or (1,)
        rest = [i for i in range(len(shape)) if i != axis]
        fits = len(index.shape or (1,)) == len(shape)
        if not fits or not all(sizes((index.shape or (1,))[i], shape[i]) for i in rest):
            raise ValueError(f"index: expected a shape within {input.shape}, got {index.shape}")
        _check_bounds(index, shape[axis])
    return axis, index


@Dispatched
def extent(index: Array) -> tuple[int, int]:
    """The least and the largest number."""
    return int(index.min()), int(index.max())


def _check_bounds(index: Tensor, size: int) -> None:
    once = tuple(slice(None if step else 1) for step in index.data.strides)  # if it is expanded
    low, high = extent.run(index.data[once])
    if low < 0 or high >= size:
        raise IndexError(f"index: expected indices from 0 to {size - 1}, got {low} to {high}")


@lacks(sparse_grad=False, out=None)
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The elements at ``index`` along ``dim``.

    Args:
        index: integers from 0, of as many dimensions as ``input`` and no larger but in ``dim``.

    Returns:
        A Tensor of the shape of ``index``.

    Raises:
        IndexError: an index is beyond the end.
    """
    axis, index = _check_index(input, dim, index, lambda n, size: n <= size)
    if not index.ndim or not input.ndim or not index.numel():
        return _gather(input.reshape(-1), index.reshape(-1), axis=0).reshape(index.shape)
    return _gather(input, index, axis=axis)


@lacks(out=None)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements at ``indices`` along ``dim``, or of the flattened tensor; both broadcast."""
    check.tensor("indices", indices)
    if dim is None:
        return gather(check.tensor("input", input).reshape(-1), 0, indices.reshape(-1))
    axis = check.axis("dim", dim, check.tensor("input", input).ndim)
    if indices.ndim != input.ndim:
        raise ValueError(f"indices: expected {input.ndim} dimensions, got shape {indices.shape}")
    try:
        rest = np.broadcast_shapes(
            *((*t.shape[:axis], 1, *t.shape[axis + 1 :]) for t in (input, indices))
        )
    except ValueError:
        raise ValueError(
            f"indices: shapes {input.shape} and {indices.shape} do not broadcast"
        ) from None
    whole = [(*rest[:axis], t.shape[axis], *rest[axis + 1 :]) for t in (input, indices)]
    return gather(input.expand(whole[0]), axis, indices.expand(whole[1]))


@lacks(out=None)
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices at ``index``, a vector of integers from 0, along ``dim``."""
    axis = check.axis("dim", dim, check.tensor("input", input).ndim)
    check.tensor("index", index, (0, 1))
    if index.dtype not in (np.int64, np.int32):
        raise TypeError(f"index: expected int32 or int64, got {index.dtype}")
    if index.numel():
        _check_bounds(index, input.shape[axis] if input.ndim else 1)
    if not input.ndim:
        if index.numel() != 1:
            raise ValueError(f"index: expected one index of a 0-d tensor, got {index.shape}")
        return input.clone()
    return input[(slice(None),) * axis + (index if index.ndim else index.reshape(-1),)]


@op(twice=Multilinear("x + source"))
def _scatter(x: Array, index: Array, source: Any, *, axis: int, add: bool) -> Pair:
    """y = x with the source put, or added, at ``index``,  dL/dx = g, unless added 0 there,
    dL/dsource = g at ``index``."""
    xp, places = get_xp(x), _places(index, axis)
    if hasattr(source, "dtype"):
        source = source[tuple(slice(n) for n in index.shape)]
    if add:
        y = x + _added(xp.broadcast_to(xp.asarray(source, x.dtype), index.shape), places, x.shape)
    else:
        y = x.copy()
        y[places] = source

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        gx = g
        if needs[0] and not add:
            gx = g.copy()
            gx[places] = 0
        return gx, None, g[places] if needs[2] else None

    return y, backward


def _scattering(name: str, add: bool) -> Callable[..., Tensor]:
    def place(input: Tensor, dim: int, index: Tensor, src: Any) -> Tensor:
        if isinstance(src, Tensor):
            if src.dtype != check.tensor("input", input).dtype:
                raise TypeError(f"src: expected dtype {input.dtype} as input, got {src.dtype}")
        else:
            check.fits("value", src, check.tensor("input", input).dtype)
        axis, index = _check_index(input, dim, index, lambda n, size: n <= size)
        if index.ndim != input.ndim and not index.numel():
            return input.clone()
        if isinstance(src, Tensor):
            small = len(src.shape) != len(index.shape)
            if small or any(n > m for n, m in zip(index.shape, src.shape, strict=True)):
                raise ValueError(f"src: expected a shape from {index.shape} on, got {src.shape}")
            if src.shape != index.shape:
                src = src[tuple(slice(n) for n in index.shape)]
        if not input.ndim or not index.ndim:
            flat = src.reshape(-1) if isinstance(src, Tensor) else src
            y = _scatter(input.reshape(-1), index.reshape(-1), flat, axis=0, add=add)
            return y.reshape(input.shape)
        return _scatter(input, index, src, axis=axis, add=add)

    place.__name__ = place.__qualname__ = name
    return place


_put, _add = _scattering("scatter", False), _scattering("scatter_add", True)


@lacks(reduce=None, out=None)
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor | Number | None = None,
    *,
    value: Number | None = None,
) -> Tensor:
    """``input`` with ``src``, or the number ``value``, put at ``index`` along ``dim``.

    Args:
        index: integers from 0, of as many dimensions as ``input`` and no larger but in ``dim``.
        src: of the dtype of ``input``, and no smaller than ``index``. Where indices repeat, one of
            its elements stays.
    """
    if (src is None) == (value is None):
        raise TypeError("src: expected it or value")
    return _put(input, dim, index, value if src is None else src)


@lacks(out=None)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``input`` with ``src`` added at ``index`` along ``dim``; repeated indices add up."""
    return _add(input, dim, index, check.tensor("src", src))


@lacks(out=None)
def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1
) -> Tensor:
    """``input`` with ``alpha`` times the slices of ``source`` added at ``index`` along ``dim``.

    Args:
        index: a vector of integers from 0; those that repeat add up.
        source: of the dtype of ``input``, with as many slices along ``dim`` as ``index`` has.
    """
    axis = check.axis("dim", dim, check.tensor("input", input).ndim)
    check.tensor("index", index, (1,))
    if not input.ndim:
        raise ValueError("input: expected at least one dimension, got shape ()")
    rest = (*input.shape[:axis], len(index), *input.shape[axis + 1 :])
    if check.tensor("source", source).shape != rest:
        raise ValueError(f"source: expected shape {rest}, got {source.shape}")
    if source.dtype != input.dtype:
        raise TypeError(f"source: expected dtype {input.dtype} as input, got {source.dtype}")
    source = scaled_by("alpha", alpha, source)
    places = index.reshape([len(index) if i == axis else 1 for i in range(input.ndim)])
    return _add(input, axis, places.expand(rest), source)


def masked_fill(input: Tensor, mask: Tensor, value: Number | Tensor) -> Tensor:
    """``input`` with ``value``, a number or 0-d Tensor, where the bool Tensor ``mask`` holds.

    ``input`` and ``mask`` broadcast.
    """
    check.tensor("input", input)
    if check.tensor("mask", mask).dtype != np.bool_:
        raise TypeError(f"mask: expected a bool Tensor, got {mask.dtype}")
    if isinstance(value, Tensor):
        if value.ndim:
            raise ValueError(f"value: expected a number or a 0-d Tensor, got shape {value.shape}")
        if value.dtype.kind == "f" and input.dtype.kind != "f":
            raise TypeError(f"value: expected one that fits into {input.dtype}, got {value.dtype}")
        value = arithmetic.to_dtype(value, dtype=input.dtype)
    else:
        check.fits("value", value, input.dtype)
        if input.dtype.kind != "f" and isinstance(value, (float, np.floating)):
            raise TypeError(f"value: expected one that fits into {input.dtype}, got {value}")
        value = bool(value) if input.dtype == np.bool_ else value
    return arithmetic.where(mask, value, input)


@lacks(out=None)
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the bool Tensor ``mask`` holds, as a vector; both broadcast."""
    if check.tensor("mask", mask).dtype != np.bool_:
        raise TypeError(f"mask: expected a bool Tensor, got {mask.dtype}")
    arithmetic.check_broadcast("masked_select", check.tensor("input", input), mask)
    whole = np.broadcast_shapes(input.shape, mask.shape)
    return input.expand(whole).reshape(-1)[mask.expand(whole).reshape(-1)]


@lacks(out=None)
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Indices of the elements other than 0: (number, ndim), or a vector for each dimension."""
    x = check.tensor("input", input).data
    found = _nonzero.run(x if x.ndim else x.reshape(-1))
    if check.boolean("as_tuple", as_tuple):
        return tuple(Tensor(found[:, i]) for i in range(found.shape[1]))
    return Tensor(found if x.ndim else found[:, :0])


@Dispatched
def _nonzero(x: Array) -> Array:
    """The indices of the elements other than 0, (number, ndim)."""
    xp = get_xp(x)
    return xp.stack(xp.nonzero(x), axis=1)


@op(twice=Multilinear("x"))
def _tril(x: Array, *, diagonal: int) -> Pair:
    """y = x where column − row ≤ diagonal, else 0,  dL/dx = g likewise."""
    xp = get_xp(x)
    return xp.tril(x, diagonal), lambda g, needs: (xp.tril(g, diagonal),)


@op(twice=Multilinear("x"))
def _triu(x: Array, *, diagonal: int) -> Pair:
    """y = x where column − row ≥ diagonal, else 0,  dL/dx = g likewise."""
    xp = get_xp(x)
    return xp.triu(x, diagonal), lambda g, needs: (xp.triu(g, diagonal),)


def _triangle(operation: Operation, side: str) -> Callable[..., Tensor]:
    @lacks(out=None)
    def function(input: Tensor, diagonal: int = 0) -> Tensor:
        if check.tensor("input", input).ndim < 2:
            raise ValueError(f"input: expected two dimensions at least, got {input.shape}")
        return operation(input, diagonal=check.integer("diagonal", diagonal, -(2**62), 2**62))

    function.__name__ = function.__qualname__ = operation.name
    function.__doc__ = f"""The matrices (..., M, N) with zeros but on a diagonal and {side} it.

    Args:
        diagonal: 0 for the main one, 1 for the one above it, and so on.
    """
    return function


tril, triu = _triangle(_tril, "below"), _triangle(_triu, "above")


@op(twice=Multilinear("x"))
def _diagonal(x: Array, *, offset: int, axes: tuple[int, int]) -> Pair:
    """y = the numbers of x at i and i + offset along ``axes``, a view,  dL/dx = g there, else 0."""
    xp, sizes, dtype, order = get_xp(x), x.shape, x.dtype, memory_order(x)
    rows, columns = (sizes[axis] for axis in axes)
    top, left = max(-offset, 0), max(offset, 0)
    count = max(0, min(rows - top, columns - left))
    turned = [*(i for i in range(x.ndim) if i not in axes), *axes]
    square = x.transpose(turned)[..., top : top + count, left : left + count]

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        gx, i = zeros(sizes, dtype, xp, order), xp.arange(count)
        gx.transpose(turned)[..., top + i, left + i] = g
        return (gx,)

    return xp.einsum("...ii->...i", square), backward


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonals of the matrices in two dimensions, as the last dimension of the result: a
    view."""
    ndim = check.tensor("input", input).ndim
    a, b = check.axis("dim1", dim1, ndim), check.axis("dim2", dim2, ndim)
    if a == b or ndim < 2:
        raise ValueError(f"dim2: expected another dimension than dim1, got {dim1} and {dim2}")
    return _diagonal(input, offset=check.integer("offset", offset, -(2**62), 2**62), axes=(a, b))


@lacks(out=None)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal and zeros beside."""
    offset = check.integer("diagonal", diagonal, -(2**31), 2**31)
    if check.tensor("input", input, (1, 2)).ndim == 2:
        return _diagonal(input, offset=offset, axes=(0, 1))
    n = len(input) + abs(offset)
    places = get_xp(input.data).arange(len(input)) * (n + 1)
    places = places + (offset if offset >= 0 else -offset * n)
    zeros = Tensor(get_xp(input.data).zeros(n * n, input.dtype))
    return _put(zeros, 0, Tensor(places), input).reshape(n, n)

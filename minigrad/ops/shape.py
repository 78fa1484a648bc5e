"""Shape and order of dimensions. Results are views where memory allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..dispatch import Dispatched
from ..layout import memory_order
from ..memory import zeros
from ..options import lacks, spread
from ..sums import adding_dtype
from ..tape import Backward, Multilinear, op
from ..tensor import Tensor

Pair = tuple[Array, Backward]


@op(twice=Multilinear("x"))
def _reshape(x: Array, *, shape: tuple[int, ...]) -> Pair:
    """y = x read in row-major order into ``shape``,  dL/dx = g reshaped back."""
    before = x.shape
    return x.reshape(shape), lambda g, needs: (g.reshape(before),)


@spread("shape")
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """``input`` in another shape with the same number of elements; one size may be -1
    (inferred)."""
    check.tensor("input", input)
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    given = check.shape((tuple([n for n in sizes if n != -1]),))
    known, count, free = math.prod(given), input.data.size, len(sizes) - len(given)
    if free > 1:
        raise ValueError(f"shape: at most one size may be -1, got {sizes}")
    if free and known and count % known == 0:
        at = sizes.index(-1)
        given, known = (*given[:at], count // known, *given[at:]), count
    if known != count or len(given) < len(sizes):
        raise ValueError(f"shape: cannot reshape {input.shape} into {sizes}")
    return _reshape(input, shape=given)


@lacks(dtype=None)
@spread("size")
def view(input: Tensor, *size: Any) -> Tensor:
    """:func:`reshape`. It copies where the memory order requires it; PyTorch's view raises."""
    return reshape(input, *size)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """``input`` with dimensions ``start_dim`` to ``end_dim`` (inclusive) merged into one."""
    check.tensor("input", input)
    first = check.axis("start_dim", start_dim, input.ndim)
    last = check.axis("end_dim", end_dim, input.ndim)
    if first > last:
        raise ValueError(f"start_dim: expected at most end_dim, got {start_dim} and {end_dim}")
    middle = math.prod(input.shape[first : last + 1])
    return _reshape(input, shape=(*input.shape[:first], middle, *input.shape[last + 1 :]))


@op(twice=Multilinear("x"))
def _permute(x: Array, *, dims: tuple[int, ...]) -> Pair:
    """y's axis i is x's axis dims[i],  dL/dx = g under the inverse permutation."""
    return x.transpose(dims), lambda g, needs: (g.transpose([*map(dims.index, range(g.ndim))]),)


@spread("dims")
def permute(input: Tensor, *dims: Any) -> Tensor:
    """``input`` with its dimensions in the order ``dims``, which has each of them once."""
    check.tensor("input", input)
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    axes = tuple(check.axis("dims", d, input.ndim) for d in order)
    if sorted(axes) != list(range(input.ndim)):
        raise ValueError(f"dims: expected each of {input.ndim} dimensions once, got {tuple(order)}")
    return _permute(input, dims=axes)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """``input`` with two dimensions swapped."""
    check.tensor("input", input)
    order = list(range(input.ndim))
    a, b = check.axis("dim0", dim0, input.ndim), check.axis("dim1", dim1, input.ndim)
    if order:
        order[a], order[b] = order[b], order[a]
    return _permute(input, dims=tuple(order))


def squeeze(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """``input`` without its dimensions of size 1 (all, or those of ``dim`` that have size 1)."""
    check.tensor("input", input)
    chosen = check.axes("dim", dim, input.ndim)
    keep = [n for i, n in enumerate(input.shape) if n != 1 or i not in chosen]
    return _reshape(input, shape=tuple(keep))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """``input`` with a dimension of size 1 inserted at ``dim``."""
    check.tensor("input", input)
    at = check.axis("dim", dim, input.ndim + 1)
    return _reshape(input, shape=(*input.shape[:at], 1, *input.shape[at:]))


@op(twice=Multilinear("x"))
def _expand(x: Array, *, shape: tuple[int, ...]) -> Pair:
    """y = x repeated to ``shape`` without copying,  dL/dx = g summed back (by the engine)."""
    return get_xp(x).broadcast_to(x, shape), lambda g, needs: (g,)


@lacks(implicit=False)
@spread("size")
def expand(input: Tensor, *size: Any) -> Tensor:
    """``input`` with dimensions of size 1 repeated to ``size``; -1 keeps a size."""
    check.tensor("input", input)
    wanted = list(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else [*size]
    extra = len(wanted) - input.ndim
    problem = ValueError(f"size: cannot expand shape {input.shape} to {tuple(wanted)}")
    if extra < 0 or -1 in wanted[:extra]:
        raise problem
    for i, n in enumerate(input.shape, start=extra):
        wanted[i] = n if wanted[i] == -1 else wanted[i]
        if n not in (1, wanted[i]):
            raise problem
    return _expand(input, shape=check.shape(tuple(wanted)))


@op(twice=Multilinear("x"))
def _getitem(x: Array, *, index: Any, unique: bool) -> Pair:
    """y = x[index],  dL/dx = zeros with g added at ``index``; repeated positions are summed."""
    xp, shape, dtype, order = get_xp(x), x.shape, x.dtype, memory_order(x)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        adds = dtype if unique else adding_dtype(dtype, g.size)
        gx, g = zeros(shape, adds, xp, order), g.astype(adds, copy=False)
        if unique:
            gx[index] = g
        else:
            xp.add.at(gx, index, g)
        return (gx.astype(dtype, copy=False),)

    y = x[index]
    if isinstance(y, np.generic):  # an element's copy, not a view
        y = x[(*index, ...)]
    return y, backward


@Dispatched
def check_within(x: Array, index: tuple[Any, ...]) -> None:
    """Raise IndexError if an index array has an index out of range, which CuPy would wrap
    around."""
    for part, size in integer_arrays(x, index):
        if len(bad := part[(part < -size) | (part >= size)]):
            raise out_of_bounds(int(bad[0]))


def integer_arrays(x: Array, index: tuple[Any, ...]) -> Iterator[tuple[Array, int]]:
    """The integer arrays in an index of x, each with the size of its dimension."""
    axis, known = 0, sum(map(_takes, index))
    for part in index:
        if getattr(part, "ndim", 0) and part.dtype != np.bool_ and part.size:
            yield part, x.shape[axis]
        axis += x.ndim - known if part is Ellipsis else _takes(part)


def _takes(part: Any) -> int:
    """Number of dimensions that a part of an index consumes; 0 for an ellipsis."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if getattr(part, "dtype", None) == np.bool_ else 1


def out_of_bounds(value: int) -> IndexError:
    return IndexError(f"index: {value} is out of bounds")


SIMPLE = (int, slice, type(None), type(Ellipsis))


def plain_index(index: Any) -> tuple[tuple[Any, ...], bool]:
    """An index as arrays, integers, slices, None and ...; and whether no place comes twice."""
    parts = index if isinstance(index, tuple) else (index,)
    for part in parts:
        if type(part) not in SIMPLE or (type(part) is slice and part.step is not None):
            break
    else:
        return parts, True  # nearly always
    raw = tuple(p.data if isinstance(p, Tensor) else p for p in parts)
    raw = tuple(np.asarray(p) if isinstance(p, list) else p for p in raw)
    raw = tuple(int(p) if isinstance(p, (np.int32, np.int64)) else p for p in raw)
    for part in raw:
        if hasattr(part, "dtype"):
            if part.dtype not in (np.bool_, np.int32, np.int64):
                raise TypeError(f"index: expected bools, int32 or int64, got {part.dtype}")
        elif not (part is None or part is Ellipsis or isinstance(part, (int, slice))):
            raise TypeError(
                "index: expected integers, slices, None, ... or integer and bool tensors, "
                f"got {type(part).__name__}"
            )
        elif isinstance(part, slice) and part.step is not None and part.step < 1:
            raise ValueError(f"index: expected slices with a positive step, got {part.step}")
    arrays = [i for i, part in enumerate(raw) if getattr(part, "ndim", 0)]
    picks = arrays + [i for i, part in enumerate(raw) if isinstance(part, int)]
    if arrays and len(picks) > len(arrays) and max(picks) - min(picks) >= len(picks):
        raise NotImplementedError(  # NumPy and PyTorch order the result's dimensions differently
            "index: an integer and an array with something between them; index in two steps"
        )
    return raw, all(getattr(part, "dtype", np.bool_) == np.bool_ for part in raw)


def getitem(input: Tensor, index: Any) -> Tensor:
    """``input[index]``: integers, slices with a positive step, None, ..., and bool, int32 or int64
    tensors or arrays."""
    raw, unique = plain_index(index)
    y = _getitem(input, index=raw, unique=unique)
    if not unique and y.numel():
        check_within.run(input.data, raw)
    return y


@op(twice=Multilinear("*xs"))
def _cat(*xs: Array, dim: int) -> Pair:
    """y = xs joined along ``dim``,  dL/dxᵢ = the part of g at the place of xᵢ."""
    xp = get_xp(xs[0])
    ends = np.cumsum([x.shape[dim] for x in xs])[:-1].tolist()
    return xp.concatenate(xs, axis=dim), lambda g, needs: tuple(xp.split(g, ends, axis=dim))


def _tensors(name: str, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    listed = tuple(tensors) if isinstance(tensors, (tuple, list)) else ()
    if not listed or not all(isinstance(t, Tensor) for t in listed):
        raise TypeError(f"tensors: {name} expects a non-empty list or tuple of Tensors")
    if len({t.dtype for t in listed}) > 1:
        raise TypeError(f"tensors: expected one dtype, got {[str(t.dtype) for t in listed]}")
    return listed


@lacks(out=None)
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one dtype joined along ``dim``; their other sizes must be equal."""
    listed = _tensors("cat", tensors)
    at = check.axis("dim", dim, listed[0].ndim)
    rests = {(*t.shape[:at], *t.shape[at + 1 :]) if t.ndim else None for t in listed}
    if len(rests) > 1 or None in rests:
        raise ValueError(f"tensors: cannot cat shapes {[t.shape for t in listed]} along dim {dim}")
    return _cat(*listed, dim=at)


@lacks(out=None)
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Vectors joined, other tensors joined along dimension 1; 0-d tensors count as vectors."""
    listed = [t.reshape(1) if not t.ndim else t for t in _tensors("hstack", tensors)]
    return cat(listed, 0 if listed[0].ndim == 1 else 1)


@lacks(out=None)
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Vectors joined as rows, other tensors joined along dimension 0."""
    listed = [t.reshape(1, -1) if t.ndim < 2 else t for t in _tensors("vstack", tensors)]
    return cat(listed, 0)


@lacks(out=None)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape and dtype joined along a new dimension ``dim``."""
    listed = _tensors("stack", tensors)
    if len({t.shape for t in listed}) > 1:
        raise ValueError(f"tensors: expected one shape, got {[t.shape for t in listed]}")
    before, at = listed[0].shape, check.axis("dim", dim, listed[0].ndim + 1)
    if at == len(before):
        return _cat(*(unsqueeze(t, at) for t in listed), dim=at)
    return _reshape(_cat(*listed, dim=at), shape=(*before[:at], len(listed), *before[at:]))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Class indices of any shape (*) as one-hot vectors: int64 (*, num_classes).

    ``num_classes=-1`` means the largest index + 1. Not differentiable.
    """
    if check.tensor("tensor", tensor).dtype.kind not in "iu":
        raise TypeError(f"tensor: expected integer class indices, got {tensor.dtype}")
    xp = get_xp(tensor.data)
    if num_classes == -1:
        if not tensor.numel():
            raise ValueError("num_classes: cannot be inferred from an empty tensor")
        num_classes = int(tensor.data.max()) + 1
    check.integer("num_classes", num_classes, 1)
    if tensor.numel() and not 0 <= int(tensor.data.min()) <= int(tensor.data.max()) < num_classes:
        raise ValueError(
            f"tensor: expected class indices from 0 to {num_classes - 1}, "
            f"got {int(tensor.data.min())} to {int(tensor.data.max())}"
        )
    y = zeros((*tensor.shape, num_classes), np.int64, xp)
    xp.put_along_axis(y, tensor.data[..., None].astype(np.int64), 1, -1)
    return Tensor(y)

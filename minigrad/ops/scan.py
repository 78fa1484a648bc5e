"""Products and running sums, norms, and the logarithm of a sum of exponentials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..options import lacks
from ..sums import adding_dtype, in_float32, total
from ..tape import Backward, Multilinear, Rerun, op
from ..tensor import Tensor
from .arithmetic import cast
from .reduce import over, spread

Pair = tuple[Array, Backward]


def _before(x: Array, axis: int) -> Array:
    """The product of the elements before each along ``axis``."""
    xp, n = get_xp(x), x.shape[axis]
    shifted = xp.roll(x, 1, axis)
    first = (slice(None),) * axis + (slice(0, 1),)
    if n:
        shifted[first] = 1
    return xp.cumprod(shifted, axis)


@op
@in_float32
def _prod(x: Array, *, axis: int | None, keepdim: bool) -> Pair:
    """y = Π x,  dL/dxᵢ = g · the product of the others, which exists where x is 0 too."""
    xp, shape = get_xp(x), x.shape
    axes = tuple(range(x.ndim)) if axis is None else (axis,)
    wide = x if x.dtype.kind == "f" else x.astype(np.int64)
    y = xp.asarray(wide.prod(axis=axes, keepdims=keepdim))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        flat, along = (x.reshape(-1), 0) if axis is None else (x, axis)
        others = _before(flat, along) * xp.flip(_before(xp.flip(flat, along), along), along)
        return (spread(g, shape, axes) * others.reshape(shape),)

    return y, backward


@lacks(out=None)
def prod(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The product over ``dim``, or of all elements. Bools and integers give int64.

    Args:
        dtype: convert the elements before they are multiplied.
    """
    keepdim, input = check.boolean("keepdim", keepdim), cast(input, dtype)
    axis = None if dim is None or not input.ndim else check.axis("dim", dim, input.ndim)
    if dim is not None:
        check.axis("dim", dim, input.ndim)
    return cast(_prod(input, axis=axis, keepdim=keepdim), dtype)


@op(twice=Multilinear("x"))
def _cumsum(x: Array, *, axis: int) -> Pair:
    """yᵢ = Σ x up to i,  dL/dxᵢ = Σ g from i on."""
    xp, dtype = get_xp(x), x.dtype
    adds = adding_dtype(dtype, x.shape[axis]) if dtype.kind == "f" else np.dtype(np.int64)
    y = xp.cumsum(x, axis, dtype=adds)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        back = xp.flip(xp.cumsum(xp.flip(g, axis), axis, dtype=adds), axis)
        return (back.astype(dtype, copy=False),)

    return y.astype(dtype, copy=False) if dtype.kind == "f" else y, backward


@op
@in_float32
def _cumprod(x: Array, *, axis: int) -> Pair:
    """yᵢ = Π x up to i,  dL/dxᵢ = Σ_{j ≥ i} gⱼ · the product of the others up to j.

    Without a zero that is (Σ_{j ≥ i} gⱼ yⱼ) / xᵢ, which holds before the first zero too. At the
    first zero it is the sum with that factor left out, and behind it 0.
    """
    xp = get_xp(x)
    wide = x if x.dtype.kind == "f" else x.astype(np.int64)
    y = xp.cumprod(wide, axis)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        def from_here(a: Array) -> Array:
            return xp.flip(xp.cumsum(xp.flip(a, axis), axis), axis)

        zeros = xp.cumsum(x == 0, axis)
        first = (x == 0) & (zeros == 1)
        others = xp.cumprod(xp.where(first, x.dtype.type(1), x), axis)
        none = g.dtype.type(0)
        at_first = from_here(xp.where(zeros >= 1, g * others, none))
        gx = xp.where(zeros == 0, from_here(g * y) / x, none)
        return (xp.where(first, at_first, gx),)

    return y, backward


def _scan(operation: Any, input: Tensor, dim: int, dtype: Any) -> Tensor:
    input = cast(input, dtype)
    axis = check.axis("dim", dim, input.ndim)
    if not input.ndim:
        return cast(operation(input.reshape(1), axis=0).reshape(()), dtype)
    return cast(operation(input, axis=axis), dtype)


@lacks(out=None)
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The running sum along ``dim``. Bools and integers give int64."""
    return _scan(_cumsum, input, dim, dtype)


@lacks(out=None)
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The running product along ``dim``. Bools and integers give int64."""
    return _scan(_cumprod, input, dim, dtype)


@op(twice=Rerun("x"))
@in_float32
def _logsumexp(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    """y = ln Σ eˣ,  dL/dx = g eˣ⁻ʸ; the largest x is taken out first."""
    xp, shape = get_xp(x), x.shape
    if 0 in [shape[i] for i in axes]:
        sums = total(x, axes, keepdim)
        return xp.full_like(sums, -math.inf), lambda g, needs: (xp.zeros(shape, g.dtype),)
    top = xp.max(x, axis=axes, keepdims=True)
    top = xp.where(xp.isfinite(top), top, x.dtype.type(0))
    y = xp.log(total(xp.exp(x - top), axes, True)) + top

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (spread(g, shape, axes) * xp.exp(x - y),)

    kept = y.shape if keepdim else tuple(n for i, n in enumerate(shape) if i not in axes)
    return y.reshape(kept), backward


@lacks(out=None)
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """ln Σ exp(input) over ``dim`` (an int or a tuple), without overflow; integers as float32."""
    if check.tensor("input", input).dtype.kind != "f":
        input = cast(input, np.float32)
    if dim is None:
        raise TypeError("dim: expected a dimension or a tuple of them, got None")
    keepdim = check.boolean("keepdim", keepdim)
    return _logsumexp(input, axes=over(input, dim), keepdim=keepdim)


@op(twice=Rerun("x"))
@in_float32
def _norm(x: Array, *, p: float, axes: tuple[int, ...], keepdim: bool) -> Pair:
    """y = (Σ |x|ᵖ)^(1/p), in the limits max |x|, min |x| and the number of x ≠ 0;
    dL/dx = g sign(x) (|x| / y)ᵖ⁻¹, 0 where y = 0, shared by equal extremes; sign(NaN) = 0."""
    xp, shape = get_xp(x), x.shape
    size = xp.abs(x)
    if p == 0:
        y = total((x != 0).astype(x.dtype), axes, keepdim)
    elif math.isinf(p):
        y = (xp.max if p > 0 else xp.min)(size, axis=axes, keepdims=keepdim)
    elif p == 1:
        y = total(size, axes, keepdim)
    elif p == 2:
        y = xp.sqrt(total(x * x, axes, keepdim))
    else:
        y = total(size**p, axes, keepdim) ** (1 / p)
    y = xp.asarray(y)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None]:
        top, g = spread(y, shape, axes), spread(g, shape, axes)
        none = g.dtype.type(0)
        if p == 0:
            return (None,)
        sign = xp.where(xp.isnan(x), x.dtype.type(0), xp.sign(x))
        if math.isinf(p):
            hit = (size == top) | (xp.isnan(size) & xp.isnan(top))
            count = hit.sum(axes, keepdims=True).astype(g.dtype)
            return (sign * hit * (g / count),)
        if p == 1:
            return (g * sign,)
        if p == 2:
            return (xp.where(top == 0, none, g * (x / top)),)
        slope = g * sign * size ** (p - 1) / top ** (p - 1)
        return (xp.where((top == 0) | ((x == 0) & (p < 2)), none, slope),)

    return y, backward


@lacks(out=None)
def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Tensor:
    """(Σ |input|ᵖ)^(1/p) over ``dim`` (an int, a tuple, or None for all) of a floating tensor.

    Args:
        p: a number; ∞ and −∞ for the largest and the smallest, 0 for the number of nonzero
            elements; "fro" and None mean 2.

    Raises:
        ValueError: ``p`` is ∞ or −∞ and there are no elements.
    """
    input = check.floating("input", cast(input, dtype))
    if isinstance(p, str):
        check.unsupported("p", p, "fro")
    order = 2.0 if p is None or p == "fro" else check.number("p", p, -math.inf)
    axes, keepdim = over(input, dim), check.boolean("keepdim", keepdim)
    if math.isinf(order) and 0 in [input.shape[i] for i in axes]:
        raise ValueError(f"norm: an empty reduction has no value, got shape {input.shape}")
    return _norm(input, p=order, axes=axes, keepdim=keepdim)

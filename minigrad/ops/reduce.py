"""Reductions over all or some dimensions: sum, mean, variance, maximum, minimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..options import lacks
from ..sums import in_float32, total
from ..tape import Backward, op
from ..tensor import Tensor

Pair = tuple[Array, Backward]


class Extreme(NamedTuple):
    """The result of ``max(dim)`` and ``min(dim)``: values, and their indices along ``dim``."""

    values: Tensor
    indices: Tensor


def _spread(g: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """The gradient of a reduction, broadcast to ``shape`` as a view."""
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return get_xp(g).broadcast_to(g.reshape(kept), shape)


def _over(input: Tensor, dim: Any) -> tuple[int, ...]:
    """The axes to reduce: all for None and, as in PyTorch, for an empty tuple."""
    nothing = isinstance(dim, (tuple, list)) and not dim
    return check.axes("dim", None if nothing else dim, input.ndim)


@op
def _sum(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    """y = Σ x,  dL/dx = g repeated."""
    shape = x.shape
    y = total(x if x.dtype.kind == "f" else x.astype(np.int64), axes, keepdim)
    return y, lambda g, needs: (_spread(g, shape, axes),)


@lacks(dtype=None)
def sum(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Sum over ``dim`` (an int, a tuple, or None for all). Bools and integers sum to int64."""
    keepdim = check.boolean("keepdim", keepdim)
    return _sum(input, axes=_over(input, dim), keepdim=keepdim)


@op
@in_float32
def _mean(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    """y = Σ x / m,  dL/dx = g / m repeated."""
    shape = x.shape
    count = int(np.prod([shape[i] for i in axes]))
    y = get_xp(x).asarray(total(x, axes, keepdim) / x.dtype.type(count))
    return y, lambda g, needs: (_spread(g / count, shape, axes),)


@lacks(dtype=None)
def mean(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Mean over ``dim`` (an int, a tuple, or None for all) of a floating tensor; NaN if empty."""
    check.floating("input", input)
    keepdim = check.boolean("keepdim", keepdim)
    return _mean(input, axes=_over(input, dim), keepdim=keepdim)


@op
@in_float32
def _var(x: Array, *, axes: tuple[int, ...], correction: float, keepdim: bool) -> Pair:
    """y = Σ (x − x̄)² / (m − c),  dL/dx = 2 g (x − x̄) / (m − c).

    Two passes, because the sum of squares minus the squared sum cancels catastrophically. The
    rounding error of x̄ is removed too, by subtracting (Σ (x − x̄))² / m.
    """
    xp, shape = get_xp(x), x.shape
    count = int(np.prod([shape[i] for i in axes]))
    freedom = x.dtype.type(count - correction if count > correction else 0)
    centred = x - total(x, axes, True) / x.dtype.type(count)
    left = xp.square(total(centred, axes, keepdim)) / x.dtype.type(count)
    squares = total(xp.square(centred), axes, keepdim)
    squares = xp.where(xp.isfinite(left), squares - left, squares)  # not ∞ − ∞
    y = xp.asarray(squares / freedom)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (_spread(g, shape, axes) * (2 / freedom) * centred,)

    return y, backward


@op
def _std(x: Array, *, axes: tuple[int, ...], correction: float, keepdim: bool) -> Pair:
    """y = √v with the variance v,  dL/dx = (dv/dx) g / 2y, and 0 where y = 0.

    Computed in float64, because the squares may overflow x's dtype even if y does not.
    """
    xp, dtype = get_xp(x), x.dtype
    v, slopes = _var.definition(
        x.astype(np.float64), axes=axes, correction=correction, keepdim=keepdim
    )
    y = xp.asarray(xp.sqrt(v))

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        (gx,) = slopes(xp.where(y == 0, 0, g / (2 * y)), needs)
        return (gx.astype(dtype),)

    return y.astype(dtype), backward


def _moment(
    input: Tensor, dim: Any, unbiased: Any, keepdim: Any, correction: Any
) -> dict[str, Any]:
    """The checked options of var and std, whose only positional argument may be ``unbiased``."""
    check.floating("input", input)
    if isinstance(dim, bool) and (unbiased, keepdim, correction) == (None, False, None):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise ValueError("correction: expected it or unbiased, got both")
    if unbiased is not None:
        correction = int(check.boolean("unbiased", unbiased))
    correction = 1 if correction is None else check.number("correction", correction, -math.inf)
    axes, keepdim = _over(input, dim), check.boolean("keepdim", keepdim)
    return {"axes": axes, "correction": correction, "keepdim": keepdim}


def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Variance over ``dim`` (an int, a tuple, or None for all): Σ (x − x̄)² / (count − correction).

    Args:
        unbiased: True for correction 1, the default; False for 0.
        keepdim: keep the reduced dimensions with size 1.
        correction: given instead of ``unbiased``. NaN comes where count − correction is 0.
    """
    return _var(input, **_moment(input, dim, unbiased, keepdim, correction))


def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The square root of :func:`var`, of the same arguments; where it is 0, so is its gradient."""
    return _std(input, **_moment(input, dim, unbiased, keepdim, correction))


@op
@in_float32
def _all_extreme(x: Array, *, name: str) -> Pair:
    """y = max x,  dL/dx = g shared equally by the elements that equal y (likewise min)."""
    xp = get_xp(x)
    y = xp.asarray(getattr(x, name)())

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        hit = (x == y) | (xp.isnan(x) & xp.isnan(y))
        return (hit * (g / hit.sum().astype(g.dtype)),)

    return y, backward


@op
def _take_along(x: Array, *, indices: Array, axis: int) -> Pair:
    """y = x at ``indices`` along one axis,  dL/dx = zeros with g placed there."""
    xp, shape, dtype = get_xp(x), x.shape, x.dtype

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        gx = xp.zeros(shape, dtype)
        xp.put_along_axis(gx, indices, g, axis)
        return (gx,)

    return xp.take_along_axis(x, indices, axis), backward


def _check_not_empty(name: str, input: Tensor, dim: int | None) -> None:
    if input.numel() == 0 and (dim is None or input.size(check.axis("dim", dim, input.ndim)) == 0):
        raise ValueError(f"{name}: an empty reduction has no value, got shape {input.shape}")


def _place(name: str, x: Array, axis: int) -> Array:
    """x.argmax(axis) or x.argmin(axis): the first NaN, if there is one."""
    xp, found = get_xp(x), getattr(x, name)(axis=axis)
    if xp is not np and x.dtype.kind == "f":  # of several NaN CuPy may take any
        nan = xp.isnan(x)
        found = xp.where(nan.any(axis=axis), nan.argmax(axis=axis), found)
    return xp.asarray(found)


def _extreme(name: str) -> Callable[..., Any]:
    @lacks(other=None)
    def extreme(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
        if isinstance(dim, Tensor):
            raise NotImplementedError(f"{name}: of two tensors is not supported; use where()")
        check.boolean("keepdim", keepdim)
        _check_not_empty(name, input, dim)
        if dim is None:
            return _all_extreme(input, name=name)
        axis = check.axis("dim", dim, input.ndim)
        if input.ndim == 0:
            return Extreme(input, Tensor(get_xp(input.data).zeros((), np.int64)))
        indices = get_xp(input.data).expand_dims(_place(f"arg{name}", input.data, axis), axis)
        values = _take_along(input, indices=indices, axis=axis)
        if keepdim:
            return Extreme(values, Tensor(indices))
        return Extreme(values.squeeze(axis), Tensor(indices.squeeze(axis)))

    extreme.__name__ = name
    extreme.__doc__ = f"""The {name}imum of all elements, or (values, indices) along ``dim``.

    Of several equal elements ``dim`` takes the first; without ``dim`` they share the gradient.

    Raises:
        ValueError: there is nothing to reduce.
    """
    return extreme


max = _extreme("max")
min = _extreme("min")


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Index of the first largest element along ``dim``, or in the flattened tensor; int64."""
    check.no_bools("input", input)
    check.boolean("keepdim", keepdim)
    _check_not_empty("argmax", input, dim)
    if dim is None:
        return Tensor(_place("argmax", input.data.reshape(-1), 0))
    axis = check.axis("dim", dim, input.ndim)
    if input.ndim == 0:
        return Tensor(get_xp(input.data).zeros((), np.int64))
    found = _place("argmax", input.data, axis)
    return Tensor(get_xp(input.data).expand_dims(found, axis) if keepdim else found)

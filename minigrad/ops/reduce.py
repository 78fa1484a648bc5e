"""Reductions over all or some dimensions: sum, mean, variance."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..options import lacks
from ..sums import in_float32, total
from ..tape import Backward, Multilinear, Rerun, keeping, op
from ..tensor import Tensor
from .arithmetic import cast

Pair = tuple[Array, Backward]


def spread(g: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """The gradient of a reduction, broadcast to ``shape`` as a view."""
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return get_xp(g).broadcast_to(g.reshape(kept), shape)


def over(input: Tensor, dim: Any) -> tuple[int, ...]:
    """The axes to reduce: all for None and, as in PyTorch, for an empty tuple."""
    nothing = isinstance(dim, (tuple, list)) and not dim
    return check.axes("dim", None if nothing else dim, input.ndim)


@op(twice=Multilinear("x"))
def _sum(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    """y = Σ x,  dL/dx = g repeated."""
    shape = x.shape
    y = total(x if x.dtype.kind == "f" else x.astype(np.int64), axes, keepdim)
    return y, lambda g, needs: (spread(g, shape, axes),)


@lacks(out=None)
def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Sum over ``dim`` (an int, a tuple, or None for all). Bools and integers sum to int64.

    Args:
        keepdim: keep the reduced dimensions with size 1.
        dtype: convert the elements before they are added.
    """
    keepdim, input = check.boolean("keepdim", keepdim), cast(input, dtype)
    y = _sum(input, axes=over(input, dim), keepdim=keepdim)
    return y if dtype is None else cast(y, dtype)  # small integers add up in int64


@op(twice=Multilinear("x"))
@in_float32
def _mean(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Pair:
    """y = Σ x / m,  dL/dx = g / m repeated."""
    shape = x.shape
    count = math.prod([shape[i] for i in axes])
    y = get_xp(x).asarray(total(x, axes, keepdim) / x.dtype.type(count))
    return y, lambda g, needs: (spread(g / count, shape, axes),)


@lacks(out=None)
def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Mean over ``dim`` (an int, a tuple, or None for all) of a floating tensor; NaN if empty.

    Args:
        keepdim: keep the reduced dimensions with size 1.
        dtype: a floating dtype to convert the elements to before they are added.
    """
    input = check.floating("input", cast(input, dtype))
    keepdim = check.boolean("keepdim", keepdim)
    return _mean(input, axes=over(input, dim), keepdim=keepdim)


@op(twice=Rerun("x"))
@in_float32
def _var(x: Array, *, axes: tuple[int, ...], correction: float, keepdim: bool) -> Pair:
    """y = Σ (x − x̄)² / (m − c),  dL/dx = 2 g (x − x̄) / (m − c).

    Two passes, because the sum of squares minus the squared sum cancels catastrophically. The
    rounding error of x̄ is removed too, by subtracting (Σ (x − x̄))² / m.
    """
    xp, shape = get_xp(x), x.shape
    count = math.prod([shape[i] for i in axes])
    freedom = x.dtype.type(count - correction if count > correction else 0)
    centred = x - total(x, axes, True) / x.dtype.type(count)
    left = xp.square(total(centred, axes, keepdim)) / x.dtype.type(count)
    squares = total(xp.square(centred), axes, keepdim)
    squares = xp.where(xp.isfinite(left), squares - left, squares)  # not ∞ − ∞
    y = xp.asarray(squares / freedom)

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (spread(g, shape, axes) * (2 / freedom) * centred,)

    return y, keeping(backward, centred)


@op(twice=Rerun("x"))
def _std(x: Array, *, axes: tuple[int, ...], correction: float, keepdim: bool) -> Pair:
    """y = √v with the variance v,  dL/dx = (dv/dx) g / 2y, and 0 where y = 0.

    Computed in float64, because the squares may overflow x's dtype even if y does not.
    """
    xp, dtype = get_xp(x), x.dtype
    v, slopes = _var.definition(
        x.astype(np.float64), axes=axes, correction=correction, keepdim=keepdim
    )

    def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        none = v == 0
        (gx,) = slopes(xp.where(none, 0, g / (2 * xp.sqrt(xp.where(none, 1, v)))), needs)
        return (gx.astype(dtype),)

    return xp.asarray(xp.sqrt(v)).astype(dtype), keeping(backward, *slopes.args)


def _moment(
    input: Tensor, dim: Any, unbiased: Any, keepdim: Any, correction: Any
) -> dict[str, Any]:
    """The checked options of var and std, whose only positional argument may be ``unbiased``."""
    check.floating("input", check.tensor("input", input))
    if isinstance(dim, bool) and (unbiased, keepdim, correction) == (None, False, None):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise ValueError("correction: expected it or unbiased, got both")
    if unbiased is not None:
        correction = int(check.boolean("unbiased", unbiased))
    correction = 1 if correction is None else check.number("correction", correction, -math.inf)
    axes, keepdim = over(input, dim), check.boolean("keepdim", keepdim)
    return {"axes": axes, "correction": correction, "keepdim": keepdim}


@lacks(out=None)
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
        correction: instead of ``unbiased``. The result is NaN where count − correction is 0.
    """
    return _var(input, **_moment(input, dim, unbiased, keepdim, correction))


@lacks(out=None)
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """The square root of :func:`var`, with the same arguments; its gradient is 0 where it is 0."""
    return _std(input, **_moment(input, dim, unbiased, keepdim, correction))


def _with_mean(name: str, spread_of: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    @lacks(out=None)
    def both(
        input: Tensor,
        dim: Any = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: float | None = None,
    ) -> tuple[Tensor, Tensor]:
        spread = spread_of(input, dim, unbiased, keepdim, correction=correction)
        dim = None if isinstance(dim, bool) else dim  # where it was ``unbiased``
        return spread, mean(input, dim, keepdim)

    both.__name__ = both.__qualname__ = name
    both.__doc__ = f"""(:func:`{name[:3]}`, :func:`mean`), of the arguments of the former."""
    return both


var_mean, std_mean = _with_mean("var_mean", var), _with_mean("std_mean", std)

"""Maximum and minimum: of all elements, along dimensions, and of two tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..options import lacks
from ..sums import in_float32
from ..tape import Backward, Diagonal, Operation, Rerun, op
from ..tensor import Tensor
from .arithmetic import meet
from .elementwise import named
from .indexing import take_along
from .reduce import over, spread

Pair = tuple[Array, Backward]


class Placed(NamedTuple):
    """Values, and their indices along a dimension (int64)."""

    values: Tensor
    indices: Tensor


@op(twice=Rerun("x"))
@in_float32
def _extreme_over(x: Array, *, name: str, axes: tuple[int, ...], keepdim: bool, nan: bool) -> Pair:
    """y = max x,  dL/dx = g shared equally by the elements that equal y (likewise min).

    Where y is NaN, the NaN share g if ``nan``, else all of dL/dx is NaN: of 0 · g / 0.
    """
    xp = get_xp(x)
    y = xp.asarray(getattr(xp, name)(x, axis=axes, keepdims=keepdim))
    return y, lambda g, needs: (shared(g, x, y, axes, nan),)


def shared(g: Array, x: Array, y: Array, axes: tuple[int, ...], nan: bool) -> Array:
    """dL/dx of :func:`_extreme_over`."""
    xp, shape = get_xp(x), x.shape
    top = spread(y, shape, axes)
    hit = (x == top) | (xp.isnan(x) & xp.isnan(top)) if nan else x == top
    return hit * (spread(g, shape, axes) / hit.sum(axes, keepdims=True).astype(g.dtype))


def check_not_empty(name: str, input: Tensor, dim: Any) -> None:
    """Raise ValueError if a dimension of ``dim`` (None for all) is empty."""
    axes = check.axes("dim", dim, input.ndim)
    if input.data.size == 0 and 0 in [input.shape[i] for i in axes]:
        raise ValueError(f"{name}: an empty reduction has no value, got shape {input.shape}")


@op
def _place(x: Array, *, name: str, axis: int | None, keepdim: bool) -> Pair:
    """y = the index of the first extreme along ``axis`` (None: of the flattened array), or of the
    first NaN, if there is one; it has no derivative."""
    xp = get_xp(x)
    if axis is None:
        x, axis = x.reshape(-1), 0
    if not x.ndim:
        return xp.zeros((), np.int64), lambda g, needs: (None,)
    found = getattr(x, name)(axis=axis, keepdims=keepdim)
    if xp is not np and x.dtype.kind == "f":  # of several NaN CuPy may take any
        nan = xp.isnan(x)
        first = nan.argmax(axis=axis, keepdims=keepdim)
        found = xp.where(nan.any(axis=axis, keepdims=keepdim), first, found)
    return xp.asarray(found, np.int64), lambda g, needs: (None,)


def _placing(name: str, which: str) -> Callable[..., Tensor]:
    @lacks(out=None)
    def place(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        check.no_bools("input", check.tensor("input", input))
        keepdim = check.boolean("keepdim", keepdim)
        axis = None if dim is None else check.axis("dim", dim, input.ndim)
        check_not_empty(name, input, dim)
        y = _place(input.detach(), name=name, axis=axis, keepdim=keepdim and dim is not None)
        return y.reshape((1,) * input.ndim) if keepdim and dim is None else y

    place.__name__ = place.__qualname__ = name
    place.__doc__ = f"""Index of the first {which} element along ``dim``, or in the flattened
    tensor; int64."""
    return place


argmax, argmin = _placing("argmax", "largest"), _placing("argmin", "smallest")


def _extreme(name: str) -> Callable[..., Any]:
    @lacks(out=None)
    def extreme(
        input: Tensor,
        dim: int | Tensor | None = None,
        keepdim: bool = False,
        *,
        other: Tensor | None = None,
    ) -> Any:
        check.tensor("input", input)
        if isinstance(dim, Tensor) or other is not None:
            if dim is not None and other is not None:
                raise TypeError("other: expected it or dim, got both")
            return {"max": maximum, "min": minimum}[name](input, dim if other is None else other)
        keepdim = check.boolean("keepdim", keepdim)
        check_not_empty(name, input, dim)
        if dim is None:
            axes = tuple(range(input.ndim))
            return _extreme_over(input, name=name, axes=axes, keepdim=False, nan=True)
        axis = check.axis("dim", dim, input.ndim)
        if input.ndim == 0:
            return Placed(input.clone(), Tensor(get_xp(input.data).zeros((), np.int64)))
        indices = _place(input.detach(), name=f"arg{name}", axis=axis, keepdim=True)
        values = take_along(input, indices, axis=axis)
        if keepdim:
            return Placed(values, indices)
        return Placed(values.squeeze(axis), indices.squeeze(axis))

    extreme.__name__ = extreme.__qualname__ = name
    extreme.__doc__ = f"""The {name}imum of all elements, or (values, indices) along ``dim``; of two
    Tensors :func:`{name}imum`.

    Of several equal elements ``dim`` takes the first; without ``dim`` they share the gradient.

    Raises:
        ValueError: there is nothing to reduce.
    """
    return extreme


max, min = _extreme("max"), _extreme("min")


def _extreme_at(name: str) -> Callable[..., Tensor]:
    @lacks(out=None)
    def extreme(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
        axes, keepdim = over(check.tensor("input", input), dim), check.boolean("keepdim", keepdim)
        check_not_empty(f"a{name}", input, axes)
        return _extreme_over(input, name=name, axes=axes, keepdim=keepdim, nan=False)

    extreme.__name__ = extreme.__qualname__ = f"a{name}"
    extreme.__doc__ = f"""The {name}imum over ``dim`` (an int, a tuple, or () for all), whose
    gradient all equal elements share; it is NaN for all where one is."""
    return extreme


amax, amin = _extreme_at("max"), _extreme_at("min")


def _of_two(name: str) -> tuple[Operation, Callable[..., Tensor]]:
    """The larger (or smaller) of two: the operation, and the function that checks operands."""
    less, more = ("less", "greater") if name == "maximum" else ("greater", "less")
    short, beyond = ("max", ">") if name == "maximum" else ("min", "<")

    @op(twice=Diagonal())
    @named(
        name,
        f"""y = {short}(a, b),
        dL/da = g where a {beyond} b, g / 2 where a = b, else 0, likewise dL/db.""",
    )
    def operation(a: Array, b: Array) -> Pair:
        a, b = meet(name, a, b)
        xp = get_xp(a)

        def backward(g: Array, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
            even = xp.where(a == b, g / 2, g)
            none = g.dtype.type(0)
            return (
                xp.where(getattr(xp, less)(a, b), none, even) if needs[0] else None,
                xp.where(getattr(xp, more)(a, b), none, even) if needs[1] else None,
            )

        return getattr(xp, name)(a, b), backward

    @lacks(out=None)
    @named(
        name,
        f"""The {name} of two Tensors, element by element; they broadcast. NaN where
    one is; equal elements share the gradient.""",
    )
    def function(input: Tensor, other: Tensor) -> Tensor:
        return operation(check.tensor("input", input), check.tensor("other", other))

    return operation, function


(_maximum, maximum), (_minimum, minimum) = _of_two("maximum"), _of_two("minimum")

"""Comparison, logic, and tests of values. Results are bools, without derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import check
from ..device import Array, get_xp
from ..dispatch import Dispatched
from ..options import lacks
from ..tape import Backward, Operation, op
from ..tensor import Number, Tensor
from . import reduce
from .arithmetic import alike, check_broadcast, meet
from .elementwise import named, of_one

Pair = tuple[Array, Backward]


def no_gradient(name: str, function: Callable[..., Array]) -> Operation:
    """A function of arrays as an operation without derivative."""

    def definition(*arrays: Any, **params: Any) -> Pair:
        return function(*arrays, **params), lambda g, needs: (None,) * len(arrays)

    return op(named(name, f"y = ``{name}`` of the operands, without derivative.")(definition))


# ---------------------------------------------------------------------------- comparison

SYMBOLS = {
    "lt": ("<", "less"),
    "le": ("<=", "less_equal"),
    "gt": (">", "greater"),
    "ge": (">=", "greater_equal"),
    "eq": ("==", "equal"),
    "ne": ("!=", "not_equal"),
}


def _compared(ufunc: str) -> Operation:
    return no_gradient(ufunc, lambda a, b: getattr(get_xp(a), ufunc)(*alike(a, b)))


_COMPARED = {name: _compared(ufunc) for name, (_, ufunc) in SYMBOLS.items()}


def comparison(name: str) -> Callable[..., Any]:
    """The comparison ``name`` as an operator of two operands."""
    symbol, _ = SYMBOLS[name]

    @named(name, f"Element by element, a {symbol} b.")
    def apply(a: Tensor, b: Any) -> Any:
        if isinstance(b, np.ndarray):  # Python would call them unequal
            raise TypeError(f"{symbol}: expected a Tensor or a number, got an array; tensor(array)")
        if not isinstance(b, (Tensor, int, float, np.generic)):
            return NotImplemented
        return _COMPARED[name](a.detach(), b.detach() if isinstance(b, Tensor) else b)

    return apply


def _comparing(name: str) -> Callable[..., Tensor]:
    @lacks(out=None)
    @named(name, f"Element by element, input {SYMBOLS[name][0]} other, as bools.")
    def function(input: Tensor, other: Tensor | Number) -> Tensor:
        check.operand("other", other)
        other = other.detach() if isinstance(other, Tensor) else other
        return _COMPARED[name](check.tensor("input", input).detach(), other)

    return function


lt, le, gt, ge, eq, ne = map(_comparing, SYMBOLS)


# ---------------------------------------------------------------------------- logic and bits


def _of_truth(name: str) -> Operation:
    return no_gradient(name, lambda *arrays: getattr(get_xp(arrays[0]), name)(*arrays))


TRUTH = {name: _of_truth(f"logical_{name}") for name in ("and", "or", "xor", "not")}


def _truth(name: str) -> Callable[..., Tensor]:
    operation = TRUTH[name]

    @lacks(out=None)
    @named(operation.name, f"{name} of the elements' truth, as bools; 0 is False.")
    def function(input: Tensor, other: Tensor) -> Tensor:
        return operation(check.tensor("input", input), check.tensor("other", other))

    return function


logical_and, logical_or, logical_xor = map(_truth, ("and", "or", "xor"))
logical_not = of_one(
    "logical_not", TRUTH["not"], "not of the elements' truth, as bools; 0 is False."
)


def _whole(name: str, x: Any) -> Any:
    """``x``, whose bits may be combined: bools or integers."""
    if getattr(x, "dtype", np.dtype(type(x))).kind == "f":
        raise TypeError(f"{name}: expected bools or integers, got floats")
    return x


def bits(name: str) -> Operation:
    """NumPy's function ``name`` of the bits of two operands."""

    def combined(a: Any, b: Any) -> Array:
        a, b = meet(name, _whole(name, a), _whole(name, b))
        return getattr(get_xp(a if hasattr(a, "dtype") else b), name)(a, b)

    return no_gradient(name, combined)


BITS = {"&": bits("bitwise_and"), "|": bits("bitwise_or"), "^": bits("bitwise_xor")}
_bitwise_not = no_gradient("bitwise_not", lambda x: get_xp(x).invert(_whole("bitwise_not", x)))


def _combining(symbol: str) -> Callable[..., Tensor]:
    operation = BITS[symbol]

    @lacks(out=None)
    @named(operation.name, f"input {symbol} other: of bools their logic, of integers their bits'.")
    def function(input: Tensor, other: Tensor | Number) -> Tensor:
        return operation(check.tensor("input", input), check.operand("other", other))

    return function


bitwise_and, bitwise_or, bitwise_xor = map(_combining, "&|^")
bitwise_not = of_one(
    "bitwise_not", _bitwise_not, "~input: of bools not, of integers all bits turned."
)


# ---------------------------------------------------------------------------- questions


def _floats(name: str, otherwise: bool) -> Callable[..., Tensor]:
    def asked(x: Array) -> Array:
        xp = get_xp(x)
        return getattr(xp, name)(x) if x.dtype.kind == "f" else xp.full(x.shape, otherwise)

    return of_one(name, no_gradient(name, asked), f"{name[2:]}, element by element, as bools.")


isnan, isinf, isfinite = _floats("isnan", False), _floats("isinf", False), _floats("isfinite", True)


def isclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Tensor:
    """|input − other| ≤ atol + rtol |other|, or equal, as bools.

    Args:
        equal_nan: whether NaN is close to NaN.
    """
    dtypes = {check.tensor("input", input).dtype, check.tensor("other", other).dtype}
    if len(dtypes) > 1:
        raise TypeError(f"other: expected dtype {input.dtype} as input, got {other.dtype}")
    rtol, atol = check.number("rtol", rtol, 0), check.number("atol", atol, 0)
    equal_nan = check.boolean("equal_nan", equal_nan)
    check_broadcast("isclose", input, other)
    check.beside("other", other, input)
    return Tensor(_close.run(input.data, other.data, rtol=rtol, atol=atol, equal_nan=equal_nan))


@Dispatched
def _close(a: Array, b: Array, *, rtol: float, atol: float, equal_nan: bool) -> Array:
    """y = a and b are equal, or |a − b| ≤ atol + rtol |b|, in float64 but for the difference of
    integers, which is exact."""
    xp = get_xp(a)
    close = (a == b) | (equal_nan & xp.isnan(a) & xp.isnan(b))
    if a.dtype.kind == "b":
        return close
    wide = b.astype(np.float64)
    with np.errstate(all="ignore"):
        if a.dtype.kind == "f":
            far = xp.abs(a.astype(np.float64) - wide)
        else:  # the difference of two int64 fits into uint64, as a whole number
            high, low = xp.maximum(a, b).astype(np.uint64), xp.minimum(a, b).astype(np.uint64)
            far = (high - low).astype(np.float64)
        return close | (xp.isfinite(far) & (far <= atol + xp.abs(rtol * wide)))


def allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> bool:
    """Whether all elements are close, in the sense of :func:`isclose`."""
    return bool(isclose(input, other, rtol, atol, equal_nan).data.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and elements; NaN equals nothing."""
    a, b = check.tensor("input", input), check.tensor("other", other)
    check.beside("other", other, input)
    return a.shape == b.shape and bool((a.data == b.data).all())


def _every(name: str) -> Callable[..., Tensor]:
    def reduced(x: Array, *, axes: tuple[int, ...], keepdim: bool) -> Array:
        xp = get_xp(x)
        y = xp.asarray(getattr(xp, name)(x != 0, axis=axes, keepdims=keepdim))
        return y.astype(x.dtype) if x.dtype == np.uint8 else y  # as PyTorch, for old masks

    operation = no_gradient(name, reduced)
    quantity = {"any": "one element is", "all": "all elements are"}[name]

    @lacks(out=None)
    @named(name, f"Whether {quantity} other than 0 over ``dim`` (an int, a tuple, None for all).")
    def function(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
        keepdim = check.boolean("keepdim", keepdim)
        axes = check.axes("dim", dim, check.tensor("input", input).ndim)
        return operation(input.detach(), axes=axes, keepdim=keepdim)

    return function


any, all = _every("any"), _every("all")


@lacks(out=None)
def count_nonzero(input: Tensor, dim: int | tuple[int, ...] | None = None) -> Tensor:
    """The number of elements other than 0 over ``dim`` (an int, a tuple, None for all); int64."""
    return reduce.sum(ne(input, 0), dim)


def is_tensor(obj: object) -> bool:
    """Whether ``obj`` is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a floating one."""
    return check.tensor("input", input).dtype.kind == "f"

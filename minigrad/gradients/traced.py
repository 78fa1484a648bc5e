"""Tensors with the interface of arrays, so that a definition can run on them and be recorded.

A definition is written for arrays: ``xp.exp(x)``, ``g * y``, ``x.sum(axis=0)``. With a
:class:`Traced` in place of an array, each of these is an operation on a Tensor. Comparisons, signs
and similar functions are constants for the derivative: they return arrays.

A function that is not supported raises an error; a derivative that uses it cannot be
differentiated.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import get_xp
from ..ops import activation, arithmetic, elementwise, extreme, linear, reduce, shape
from ..tape import no_grad
from ..tensor import Tensor


class CannotTrace(Exception):
    """A definition uses something that cannot be recorded."""


class Traced:
    """A Tensor that behaves like its array.

    Args:
        tensor: the value.
        gone: whether only shape and dtype of the value are known. Then results computed from it are
            gone too, and their use in a derivative is an error.
    """

    __array_ufunc__ = None  # array * traced must come to Traced.__rmul__
    __slots__ = ("gone", "tensor")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tensor: Tensor, gone: bool = False) -> None:
        self.tensor, self.gone = tensor, gone

    def set(self, tensor: Tensor) -> None:
        """Set the value, if it was gone."""
        self.tensor, self.gone = tensor, False

    def known(self) -> Tensor:
        """The Tensor.

        Raises:
            CannotTrace: the value is gone.
        """
        if self.gone:
            raise CannotTrace("it needs a value that is not kept")
        return self.tensor

    def __array_namespace__(self, **_: Any) -> types.SimpleNamespace:
        return NAMESPACE

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise CannotTrace("it needs the values of an array")

    def __bool__(self) -> bool:
        raise CannotTrace("it depends on a value")

    __float__ = __int__ = __index__ = __bool__

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.tensor.dtype

    @property
    def ndim(self) -> int:
        return self.tensor.ndim

    @property
    def size(self) -> int:
        return self.tensor.numel()

    def __len__(self) -> int:
        return len(self.tensor)

    @property
    def T(self) -> Traced:
        return self.transpose(tuple(reversed(range(self.ndim))))

    def reshape(self, *size: Any) -> Any:
        sizes = size[0] if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
        return _trace(lambda x: shape.reshape(x, *sizes), self)

    def transpose(self, *axes: Any) -> Any:
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        return _trace(lambda x: shape.permute(x, *order), self)

    def swapaxes(self, a: int, b: int) -> Any:
        return _trace(lambda x: shape.transpose(x, a, b), self)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        return _trace(lambda x: x if x.dtype == dtype else _cast(x, dtype), self)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        return _trace(lambda x: reduce.sum(x, axis, keepdims), self)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        return _trace(lambda x: reduce.mean(x, axis, keepdims), self)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        return _trace(lambda x: extreme.amax(x, _axes(axis), keepdims), self)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        return _trace(lambda x: extreme.amin(x, _axes(axis), keepdims), self)

    def __neg__(self) -> Any:
        return _trace(arithmetic.neg, self)

    def __pow__(self, exponent: Any) -> Any:
        return _trace(elementwise.pow, self, exponent)

    def __rpow__(self, base: Any) -> Any:
        return _trace(elementwise.pow, base, self)

    def __getitem__(self, index: Any) -> Any:
        return _trace(lambda x: shape.getitem(x, index), self)


def _cast(x: Tensor, dtype: Any) -> Tensor:
    if np.dtype(dtype).kind != "f":
        raise CannotTrace(f"it converts to {np.dtype(dtype)}")
    return arithmetic.to_dtype(x, dtype=np.dtype(dtype))


def _axes(axis: Any) -> Any:
    return () if axis is None else axis


def _trace(function: Callable[..., Tensor], *operands: Any) -> Any:
    """``function`` of the Tensors of ``operands``, of which at least one is Traced; gone if one
    is gone. Floats are promoted to the wider dtype, as in NumPy."""
    gone = any(isinstance(x, Traced) and x.gone for x in operands)
    values: list[Any] = [x.tensor if isinstance(x, Traced) else _operand(x) for x in operands]
    floats = [x for x in values if isinstance(x, Tensor) and x.dtype.kind == "f"]
    if len({x.dtype for x in floats}) > 1:
        widest = np.result_type(*(x.dtype for x in floats))
        values = [_cast(x, widest) if any(x is f for f in floats) else x for x in values]
    with no_grad() if gone else contextlib.nullcontext():
        return Traced(function(*values), gone)


def _operand(x: Any) -> Any:
    """An array as a Tensor, a number as it is."""
    return Tensor(x) if hasattr(x, "strides") and not isinstance(x, np.generic) else x


def _constant(function: str) -> Callable[..., Any]:
    """``function`` of the values, whose derivative is 0 or not defined."""

    def apply(*operands: Any) -> Any:
        arrays = [x.known().data if isinstance(x, Traced) else x for x in operands]
        return getattr(_module(*operands), function)(*arrays)

    return apply


def _module(*operands: Any) -> Any:
    return get_xp(next(x.known().data for x in operands if isinstance(x, Traced)))


_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "mul": arithmetic.mul,
    "truediv": arithmetic.div,
    "matmul": linear.matmul,
}
for _name, _function in _OPERATORS.items():

    def _forward(self: Any, other: Any, function: Any = _function) -> Any:
        return _trace(function, self, other)

    def _reversed(self: Any, other: Any, function: Any = _function) -> Any:
        return _trace(function, other, self)

    setattr(Traced, f"__{_name}__", _forward)
    setattr(Traced, f"__r{_name}__", _reversed)
for _name, _symbol in zip(
    ("less", "less_equal", "equal", "not_equal", "greater", "greater_equal"),
    ("lt", "le", "eq", "ne", "gt", "ge"),
    strict=True,
):
    setattr(Traced, f"__{_symbol}__", _constant(_name))


def _of(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *operands: _trace(function, *operands)


def _where(condition: Any, a: Any, b: Any) -> Any:
    if isinstance(condition, Traced):
        raise CannotTrace("it chooses by a value")
    return _trace(lambda x, y: arithmetic.where(Tensor(condition), x, y), a, b)


def _like(function: str) -> Callable[..., Any]:
    """``function``, which reads only the shape and dtype of its array."""
    return lambda x: getattr(get_xp(x.tensor.data), function)(x.tensor.data)


_SMOOTH = "exp2 expm1 log1p log2 log10 sin cos tan sinh cosh arcsin arccos arctan arcsinh arccosh"
NAMESPACE = types.SimpleNamespace(
    exp=_of(arithmetic.exp),
    log=_of(arithmetic.log),
    sqrt=_of(arithmetic.sqrt),
    abs=_of(arithmetic.abs),
    tanh=_of(activation.tanh),
    square=_of(elementwise.square),
    erf=_of(elementwise.erf),
    arctan2=_of(elementwise.atan2),
    logaddexp=_of(elementwise.logaddexp),
    where=_where,
    maximum=_of(lambda a, b: arithmetic.clamp(a, min=b)),
    minimum=_of(lambda a, b: arithmetic.clamp(a, max=b)),
    max=Traced.max,
    min=Traced.min,
    asarray=lambda x, dtype=None: x if dtype is None else x.astype(dtype),
    broadcast_to=lambda x, size: _trace(lambda t: shape.expand(t, *size), x),
    expand_dims=lambda x, axis: _trace(lambda t: shape.unsqueeze(t, axis), x),
    zeros_like=_like("zeros_like"),
    ones_like=_like("ones_like"),
    **{
        name: _of(getattr(elementwise, name.replace("arc", "a")))
        for name in (*_SMOOTH.split(), "arctanh")
    },
    **{name: _constant(name) for name in ("isnan", "isfinite", "isinf", "sign", "floor", "ceil")},
)

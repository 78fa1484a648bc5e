"""Operators and methods of Tensor: operations of this package under their PyTorch names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import check, creation
from ..device import device, move
from ..layout import memory_order
from ..options import lacks
from ..tape import Diagonal, Multilinear, op
from ..tensor import Number, Tensor
from . import (
    arithmetic,
    elementwise,
    functions,
    inplace,
    linear,
    logic,
    pad,
    rearrange,
    rounding,
    shape,
)
from .elementwise import named


@op(twice=Multilinear("x"))
def _to_device(x: Any, *, where: device) -> Any:
    """y = x on another device,  dL/dx = g on the device of x."""
    from ..device import device_of

    home = device_of(x)
    return move(x, where), lambda g, needs: (move(g, home),)


@lacks(memory_format=None)
def to(
    self: Tensor,
    device: Any = None,
    dtype: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    *,
    tensor: Tensor | None = None,
) -> Tensor:
    """The tensor on another device, in another dtype, or both; itself if nothing changes.

    This is a differentiable operation, so the result is a leaf only if nothing changes.

    Args:
        device: "cpu", "gpu", "gpu:N", "auto" or a device; or a dtype; or a Tensor, for its device
            and dtype.
        dtype: NumPy dtype or its name.
        non_blocking: accepted, without effect.
        copy: return a copy even if nothing changes.
        tensor: a Tensor whose device and dtype are used.
    """
    where, wanted = destination(device if tensor is None else check.tensor("tensor", tensor), dtype)
    check.boolean("non_blocking", non_blocking)
    copy = check.boolean("copy", copy)
    moved = self if where is None or self.device == where else _to_device(self, where=where)
    if (wanted is None or moved.dtype == wanted) and (moved is not self or not copy):
        return moved
    wanted = moved.dtype if wanted is None else wanted
    if moved.requires_grad and wanted.kind != "f":
        moved = moved.detach()
    return arithmetic.to_dtype(moved, dtype=wanted)


def destination(to: Any, dtype: Any) -> tuple[device | None, np.dtype[Any] | None]:
    """Device and dtype of ``x.to(to, dtype)``; None for those that do not change."""
    if isinstance(to, Tensor):
        to, dtype = to.device, to.dtype if dtype is None else dtype
    named = isinstance(to, device) or (isinstance(to, str) and _names_device(to))
    if to is None or named:
        where = None if to is None else device(to)
        return where, None if dtype is None else check.dtype("dtype", dtype)
    if dtype is not None:
        raise TypeError(f"device: expected a device, got {check.shown(to)}")
    return None, check.dtype("device", to, "a device, or a NumPy dtype or its name")


def _names_device(text: str) -> bool:
    return text.partition(":")[0] in ("cpu", "gpu", "cuda", "auto")


@lacks("memory_format")
def cpu(self: Tensor) -> Tensor:
    """The tensor on the CPU."""
    return to(self, "cpu")


def gpu(self: Tensor) -> Tensor:
    """The tensor on the first GPU; raises DeviceError if there is none."""
    return to(self, "gpu")


@lacks("memory_format")
def cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """The tensor on a GPU (default: the first); raises DeviceError if there is none."""
    return to(self, chosen_gpu(device), non_blocking=non_blocking)


_device = device  # the class, where a parameter is called device


def chosen_gpu(device: Any) -> _device:
    """The GPU of a call of ``cuda``: given by number, as for :class:`device`, or the first."""
    if isinstance(device, int) and not isinstance(device, bool):
        device = f"gpu:{device}"
    return _device("gpu" if device is None else device)


@op(twice=Diagonal())
def _clone(x: Any) -> Any:
    """y = a copy of x,  dL/dx = g."""
    return x.copy(order="K"), lambda g, needs: (g,)


@lacks(memory_format=None)
def clone(input: Tensor) -> Tensor:
    """A copy, through which gradients pass."""
    return _clone(check.tensor("input", input))


@lacks("memory_format")
def contiguous(self: Tensor) -> Tensor:
    """The tensor itself, or a copy if its memory is not dense.

    Dense memory may have any order of the dimensions. In minigrad the batch is innermost, and
    :func:`view` copies if necessary.
    """
    order = memory_order(self.data)
    return self if self.data.transpose(order).flags.c_contiguous else clone(self)


def _as(name: str, dtype: str) -> Any:
    @lacks(memory_format=None)
    @named(name, f"The tensor in {dtype}; itself if it is so already.")
    def convert(self: Tensor) -> Tensor:
        return to(self, dtype=dtype)

    return convert


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype and on the device of ``other``."""
    return to(self, check.tensor("other", other))


def type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Tensor:
    """The tensor in another dtype. (PyTorch names the class of tensors without ``dtype``.)"""
    if dtype is None:
        raise NotImplementedError("dtype=None is not supported: read the attribute dtype")
    return to(self, dtype=dtype, non_blocking=non_blocking)


def dim(self: Tensor) -> int:
    """The number of dimensions."""
    return self.ndim


def split(self: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """The tensor in pieces along ``dim``: see :func:`minigrad.split`."""
    return rearrange.split(self, split_size, dim)


def element_size(self: Tensor) -> int:
    """Bytes of an element."""
    return int(self.dtype.itemsize)


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """:func:`expand` to the shape of ``other``."""
    return shape.expand(self, check.tensor("other", other).shape)


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """:func:`reshape` to the shape of ``other``."""
    return shape.reshape(self, check.tensor("other", other).shape)


def where(self: Tensor, condition: Tensor, other: Tensor | Number) -> Tensor:
    """The elements where the bool Tensor ``condition`` holds, else those of ``other``."""
    return arithmetic.where(condition, self, other)


def _turned(self: Tensor) -> Tensor:
    """The last two dimensions swapped."""
    if self.ndim < 2:
        raise ValueError(f"mT: expected two dimensions at least, got shape {self.shape}")
    return shape.transpose(self, -1, -2)


def _swapped(function: Any) -> Any:
    return lambda self, other: function(other, self)


def _contains(self: Tensor, element: Any) -> bool:
    """Whether any element equals ``element``."""
    return bool((self == element).any())


def _operator(function: Any) -> Any:
    """Return NotImplemented for other operands than Tensors and numbers, so Python raises."""

    def apply(self: Tensor, other: Any) -> Any:
        if not isinstance(other, (Tensor, int, float, np.generic)):
            return NotImplemented
        return function(self, other)

    return apply


_BINARY = {  # with the other operand on either side
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "mul": arithmetic.mul,
    "truediv": arithmetic.div,
    "floordiv": rounding.floor_divide,
    "mod": rounding.remainder,
    "pow": elementwise.pow,
    "and": logic.BITS["&"],
    "or": logic.BITS["|"],
    "xor": logic.BITS["^"],
}
_METHODS: dict[str, Any] = {
    **{f"__{name}__": _operator(function) for name, function in _BINARY.items()},
    **{f"__r{name}__": _operator(_swapped(function)) for name, function in _BINARY.items()},
    **{f"__{name}__": logic.comparison(name) for name in logic.SYMBOLS},
    "__neg__": arithmetic.neg,
    "__abs__": arithmetic.abs,
    "__invert__": logic.bitwise_not,
    "__matmul__": linear.matmul,
    "__getitem__": shape.getitem,
    "__contains__": _contains,
    "T": property(
        lambda self: shape.permute(self, *reversed(range(self.ndim))),
        doc="The tensor with its dimensions reversed.",
    ),
    "mT": property(_turned),
    **{
        name: _as(name, dtype)
        for name, dtype in {
            "half": "float16",
            "float": "float32",
            "double": "float64",
            "byte": "uint8",
            "short": "int16",
            "int": "int32",
            "long": "int64",
            "bool": "bool",
        }.items()
    },
    **{name: getattr(functions, name) for name in functions.__all__},
}
for _module, _names in (  # methods only, the others being listed in minigrad.ops.functions
    (shape, "expand view"),
    (pad, "pad"),
    (rearrange, "repeat unfold"),
    (creation, "new_zeros new_ones new_empty new_full new_tensor"),
):
    _METHODS |= {name: getattr(_module, name) for name in _names.split()}
for _method in (
    *(to, cpu, gpu, cuda, clone, contiguous, type_as, type, dim, element_size),
    *(expand_as, view_as, where, split),
):
    _METHODS[_method.__name__] = _method
_METHODS |= {"reshape_as": view_as, "clip": functions.clamp, "ndimension": dim}
_METHODS |= inplace.METHODS

for _name, _function in _METHODS.items():
    setattr(Tensor, _name, _function)

"""Operators and methods of Tensor: operations of this package under their PyTorch names."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import check
from ..device import device, move
from ..options import lacks
from ..tape import op
from ..tensor import Tensor
from . import activation, arithmetic, linear, pad, reduce, shape


@op
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
    """Device and dtype that ``x.to(to, dtype)`` asks for; None for those it does not change."""
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


def _swapped(function: Any) -> Any:
    return lambda self, other: function(other, self)


def _operator(function: Any) -> Any:
    """Return NotImplemented for other operands than Tensors and numbers, so Python raises."""

    def apply(self: Tensor, other: Any) -> Any:
        if not isinstance(other, (Tensor, int, float, np.generic)):
            return NotImplemented
        return function(self, other)

    return apply


_METHODS: dict[str, Any] = {
    "__add__": _operator(arithmetic.add),
    "__radd__": _operator(arithmetic.add),
    "__sub__": _operator(arithmetic.sub),
    "__rsub__": _operator(_swapped(arithmetic.sub)),
    "__mul__": _operator(arithmetic.mul),
    "__rmul__": _operator(arithmetic.mul),
    "__truediv__": _operator(arithmetic.div),
    "__rtruediv__": _operator(_swapped(arithmetic.div)),
    "__pow__": arithmetic.pow,
    "__neg__": arithmetic.neg,
    "__matmul__": linear.matmul,
    "__getitem__": shape.getitem,
    "__lt__": arithmetic.compare("<"),
    "__le__": arithmetic.compare("<="),
    "__gt__": arithmetic.compare(">"),
    "__ge__": arithmetic.compare(">="),
    "__eq__": arithmetic.compare("=="),
    "__ne__": arithmetic.compare("!="),
    "T": property(lambda self: shape.permute(self, *reversed(range(self.ndim)))),
    "to": to,
    "cpu": cpu,
    "gpu": gpu,
}
for _module, _names in (
    (arithmetic, "abs exp log sqrt clamp pow"),
    (reduce, "sum mean var std max min argmax"),
    (shape, "reshape view flatten permute transpose squeeze unsqueeze expand"),
    (pad, "pad"),
    (activation, "relu sigmoid tanh softmax log_softmax"),
    (linear, "matmul"),
):
    _METHODS |= {name: getattr(_module, name) for name in _names.split()}

for _name, _function in _METHODS.items():
    setattr(Tensor, _name, _function)

"""Tensor's operators and methods: each is an operation of this package under its PyTorch name."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import check
from ..backend import device, move
from ..tape import op
from ..tensor import Tensor
from . import activation, arithmetic, linear, reduce, shape


@op
def _to_device(x: Any, *, where: device) -> Any:
    """y = x on another device,  dL/dx = g back on x's."""
    from ..backend import device_of

    home = device_of(x)
    return move(x, where), lambda g, needs: (move(g, home),)


def to(self: Tensor, target: Any) -> Tensor:
    """The tensor on another device ("cpu", "gpu", …) or in another dtype; itself if it is so.

    Differentiable, so a leaf stays a leaf only if nothing changes.
    """
    if isinstance(target, device) or (isinstance(target, str) and _names_device(target)):
        where = device(target)
        return self if self.device == where else _to_device(self, where=where)
    dtype = check.dtype("target", target, "a device, or a NumPy dtype or its name")
    if self.dtype == dtype:
        return self
    if self.requires_grad and dtype.kind != "f":
        return arithmetic.to_dtype(self.detach(), dtype=dtype)
    return arithmetic.to_dtype(self, dtype=dtype)


def _names_device(text: str) -> bool:
    return text.partition(":")[0] in ("cpu", "gpu", "cuda", "auto")


def cpu(self: Tensor) -> Tensor:
    """The tensor on the CPU."""
    return to(self, "cpu")


def gpu(self: Tensor) -> Tensor:
    """The tensor on the first GPU; raises DeviceError if there is none."""
    return to(self, "gpu")


def _swapped(function: Any) -> Any:
    return lambda self, other: function(other, self)


def _operator(function: Any) -> Any:
    """NotImplemented for operands that are neither Tensors nor numbers, so that Python says so."""

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
    (shape, "reshape view flatten permute transpose squeeze unsqueeze expand pad"),
    (activation, "relu sigmoid tanh softmax log_softmax"),
    (linear, "matmul"),
):
    _METHODS |= {name: getattr(_module, name) for name in _names.split()}

for _name, _function in _METHODS.items():
    setattr(Tensor, _name, _function)

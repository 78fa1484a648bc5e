"""``Variable``, the name of a tensor in programs from before PyTorch 0.4."""

from __future__ import annotations

from typing import Any

from .. import check
from ..tensor import Tensor


class _Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_Meta):
    """A tensor with the memory of ``data`` and outside of its graph, as in PyTorch: a call returns
    a Tensor, and every Tensor is an instance.

    Args:
        data: a Tensor.
        requires_grad: whether backward computes its gradient.
        volatile: has no effect in PyTorch any more; only False is accepted. Use ``no_grad``.
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Any:
        check.unsupported("volatile", volatile, False)
        return check.tensor("data", data).detach().requires_grad_(requires_grad)

"""Parameters of modules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import check
from ..tensor import Tensor


class Parameter(Tensor):
    """A Tensor that is a parameter of a Module; assigning it to an attribute registers it."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """A parameter without gradient, as in PyTorch."""
        result = super().__deepcopy__(memo)
        assert isinstance(result, Parameter)
        result._grad = None
        return result


def clear_gradients(parameters: Iterable[Tensor], set_to_none: bool) -> None:
    """Set the gradients of ``parameters`` to None, or fill those that there are with zeros."""
    check.boolean("set_to_none", set_to_none)
    for p in parameters:
        if set_to_none or p.grad is None:
            p.grad = None
        else:
            p.grad.detach_().zero_()

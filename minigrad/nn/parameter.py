"""Parameters of modules."""

from __future__ import annotations

from typing import Any

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

"""Dropout layers."""

from __future__ import annotations

from .. import check
from .. import functional as F
from ..tensor import Tensor
from .module import Module


class Dropout(Module):
    """In training, zero elements with probability ``p`` and scale the rest by 1 / (1 − p)."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        check.unsupported("inplace", inplace, False)
        self.p = check.number("p", p, 0, 1)

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace=False"

"""Dropout layers. ``inplace=True`` is accepted and gives the same result in new memory."""

from __future__ import annotations

from .. import check
from .. import functional as F
from ..tensor import Tensor
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p = check.number("p", p, 0, 1)
        self.inplace = check.boolean("inplace", inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training, zero elements with probability ``p`` and scale the rest by 1 / (1 − p)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)


class Dropout1d(_Dropout):
    """In training, zero whole channels of (N, C, L) or (C, L), like :class:`Dropout` elements."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training)


class Dropout2d(_Dropout):
    """In training, zero channels of (N, C, H, W), as :class:`Dropout` does elements (Tompson et
    al., CVPR 2015)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training)

"""Layers that change the shape."""

from __future__ import annotations

from .. import check
from ..tensor import Tensor
from .module import Module


class Flatten(Module):
    """(N, ...) as (N, F); see :func:`minigrad.ops.shape.flatten`. No copy is made."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return check.tensor("input", input).flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"

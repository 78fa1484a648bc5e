"""Linear layers."""

from __future__ import annotations

from typing import Any

from .. import check
from .. import functional as F
from ..creation import zeros
from ..options import lacks
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """y = x Wᵀ + b.

    Args:
        in_features, out_features: sizes F and O.
        bias: whether to add b.

    Shapes: input (..., F), output (..., O), ``weight`` (O, F), ``bias`` (O,).
    """

    bias: Parameter | None

    @lacks("device", "dtype")
    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features = check.integer("in_features", in_features, 1)
        self.out_features = check.integer("out_features", out_features, 1)
        self.weight = Parameter(zeros(out_features, in_features))
        biased = check.boolean("bias", bias)
        self.register_parameter("bias", Parameter(zeros(out_features)) if biased else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise the parameters as PyTorch does."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"


class Identity(Module):
    """The identity: returns its input."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return input

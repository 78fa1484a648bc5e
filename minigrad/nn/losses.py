"""Losses as modules; the maths is with the functions they call."""

from __future__ import annotations

from typing import Any

from .. import check
from .. import functional as F
from ..tensor import Tensor
from .module import Module


class _Loss(Module):
    weight: Tensor | None

    def __init__(self, weight: Tensor | None, reduction: str) -> None:
        if weight is not None:
            weight = check.tensor("weight", weight, (1,), "(C,)").detach()
        self.register_buffer("weight", weight)
        self.reduction = check.choice("reduction", reduction, ("mean", "sum", "none"))


class CrossEntropyLoss(_Loss):
    """Softmax cross-entropy of logits; see :func:`minigrad.functional.cross_entropy`."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        check.unsupported("size_average", size_average, None)
        check.unsupported("reduce", reduce, None)
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = check.number("label_smoothing", label_smoothing, 0, 1)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class FocalLoss(_Loss):
    """Focal loss of logits; see :func:`minigrad.functional.focal_loss`."""

    def __init__(
        self, gamma: float = 2.0, weight: Tensor | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction)
        self.gamma = check.number("gamma", gamma, 0)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.focal_loss(input, target, self.gamma, self.weight, self.reduction)


class MSELoss(_Loss):
    """Squared error; see :func:`minigrad.functional.mse_loss`."""

    def __init__(
        self, size_average: None = None, reduce: None = None, reduction: str = "mean"
    ) -> None:
        check.unsupported("size_average", size_average, None)
        check.unsupported("reduce", reduce, None)
        super().__init__(None, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.mse_loss(input, target, reduction=self.reduction)

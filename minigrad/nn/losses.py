"""Losses as modules. The functions they call have the mathematics."""

from __future__ import annotations

from typing import Any

from .. import check
from .. import functional as F
from ..ops.loss import REDUCTIONS
from ..tensor import Tensor
from .module import Module


class _Loss(Module):
    """Base of losses: the reduction, and PyTorch's deprecated options for it."""

    reductions: tuple[str, ...] = REDUCTIONS

    def __init__(
        self, size_average: None = None, reduce: None = None, reduction: str = "mean"
    ) -> None:
        check.unsupported("size_average", size_average, None)
        check.unsupported("reduce", reduce, None)
        self.reduction = check.choice("reduction", reduction, self.reductions)


class _Weighted(_Loss):
    """A loss with weights: buffers, which are not learnt."""

    weight: Tensor | None
    layout: tuple[tuple[int, ...], str] = (), ""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self._hold("weight", weight)

    def _hold(self, name: str, weight: Tensor | None) -> None:
        if weight is not None:
            weight = check.tensor(name, weight, *self.layout).detach()
        self.register_buffer(name, weight)


class CrossEntropyLoss(_Weighted):
    """Softmax cross-entropy of logits; see :func:`minigrad.functional.cross_entropy`."""

    layout = (1,), "(C,)"

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
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


class NLLLoss(_Weighted):
    """Negative log-likelihood of log-probabilities; see :func:`minigrad.functional.nll_loss`."""

    layout = (1,), "(C,)"

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        ignore_index: int = -100,
        reduce: None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        options: dict[str, Any] = {"ignore_index": self.ignore_index, "reduction": self.reduction}
        return F.nll_loss(input, target, self.weight, **options)


class FocalLoss(_Weighted):
    """Focal loss of logits; see :func:`minigrad.functional.focal_loss`."""

    layout = (1,), "(C,)"

    def __init__(
        self, gamma: float = 2.0, weight: Tensor | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction=reduction)
        self.gamma = check.number("gamma", gamma, 0)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.focal_loss(input, target, self.gamma, self.weight, self.reduction)


class MSELoss(_Loss):
    """Squared error; see :func:`minigrad.functional.mse_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """Absolute error; see :func:`minigrad.functional.l1_loss`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Absolute error with a parabola around 0; see :func:`minigrad.functional.smooth_l1_loss`."""

    def __init__(
        self,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = check.number("beta", beta, 0)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """A parabola, then a straight line; see :func:`minigrad.functional.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = check.number("delta", delta, 0)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, self.reduction, self.delta)


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence; see :func:`minigrad.functional.kl_div`."""

    reductions = ("batchmean", *REDUCTIONS)

    def __init__(
        self,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = check.boolean("log_target", log_target)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class BCELoss(_Weighted):
    """Cross-entropy of probabilities of two classes; see
    :func:`minigrad.functional.binary_cross_entropy`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Weighted):
    """Cross-entropy of logits of two classes; see
    :func:`minigrad.functional.binary_cross_entropy_with_logits`."""

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: None = None,
        reduce: None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self._hold("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )

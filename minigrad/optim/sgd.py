"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ..device import Array
from .optimizer import Optimizer, Rule, descent, unsupported


@Rule
def sgd(
    p: Array,
    g: Array,
    b: Array,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    fresh: bool,
) -> None:
    """g ← g + λ p;  b ← μ b + (1 − τ) g (b ← g at first);  p ← p − η b, or η (g + μ b) with
    Nesterov."""
    g = descent(p, g, weight_decay, maximize)
    if momentum:
        b[...] = g if fresh else momentum * b + (1 - dampening) * g
        g = g + momentum * b if nesterov else b
    p -= lr * g


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al., ICML 2013, in PyTorch's form).

    g ← g + λ p;  b ← μ b + (1 − τ) g (b ← g at first);  p ← p − η b, or η (g + μ b) with Nesterov.

    Args:
        params: see :class:`Optimizer`.
        lr, momentum, dampening, weight_decay: η, μ, τ, λ.
        nesterov: needs momentum > 0 and dampening 0.
        maximize: ascend.
    """

    rule = sgd
    slots = ("momentum_buffer",)
    numbers: ClassVar[dict[str, float]] = {}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: None = None,
        differentiable: bool = False,
        fused: None = None,
    ) -> None:
        unsupported(foreach=foreach, differentiable=differentiable, fused=fused)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check_options(self, group: dict[str, Any]) -> None:
        super().check_options(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("nesterov: needs momentum > 0 and dampening 0")

    def active_slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self.slots if group["momentum"] else ()

"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..device import Array, get_xp
from .optimizer import Optimizer, Rule, descent, unsupported


@Rule
def rmsprop(
    p: Array,
    g: Array,
    v: Array,
    b: Array,
    mean: Array,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool,
) -> None:
    """g ← g + λ p;  v ← α v + (1 − α) g²;  u = g / (√v + ε);  p ← p − η u, or with momentum
    b ← μ b + u;  p ← p − η b. Centered, u uses √(v − ḡ²) with ḡ ← α ḡ + (1 − α) g."""
    xp = get_xp(p)
    g = descent(p, g, weight_decay, maximize)
    v[...] = alpha * v + (1 - alpha) * g**2
    if centered:
        mean[...] = alpha * mean + (1 - alpha) * g
    u = g / (xp.sqrt(v - mean**2 if centered else v) + eps)
    if momentum:
        b[...] = u = momentum * b + u
    p -= lr * u


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton, Coursera lecture 6.5, 2012, in PyTorch's form).

    g ← g + λ p;  v ← α v + (1 − α) g²;  p ← p − η g / (√v + ε), or with momentum b ← μ b + g / (√v
    + ε);  p ← p − η b. ``centered`` uses √(v − ḡ²), where ḡ is the running mean of g.

    Args:
        params: see :class:`Optimizer`.
        lr, alpha, eps, weight_decay, momentum: η, α, ε, λ, μ.
        centered: divide by the estimated standard deviation.
        maximize: ascend.
    """

    rule = rmsprop
    slots = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        unsupported(capturable=capturable, foreach=foreach, differentiable=differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
        )

    def active_slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        momentum = ("momentum_buffer",) if group["momentum"] else ()
        return ("square_avg", *momentum, *(("grad_avg",) if group["centered"] else ()))

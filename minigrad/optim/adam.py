"""Adam, and AdamW with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import check
from ..device import Array, get_xp
from .optimizer import Optimizer, Rule, descent, unsupported


@Rule
def adam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    v_max: Array | None,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
    amsgrad: bool,
) -> None:
    """g ← g + λ p, or decoupled p ← (1 − η λ) p;  m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;
    p ← p − η m̂ / (√v̂ + ε)  with  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ). AMSGrad uses the largest v
    so far for v̂."""
    xp, (beta1, beta2) = get_xp(p), betas
    if decoupled_weight_decay:
        p *= 1 - lr * weight_decay
        weight_decay = 0
    g = descent(p, g, weight_decay, maximize)
    m[...] = beta1 * m + (1 - beta1) * g
    v[...] = beta2 * v + (1 - beta2) * g**2
    if v_max is not None:
        v_max[...] = v = xp.maximum(v_max, v)
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    p -= lr * m_hat / (xp.sqrt(v_hat) + eps)


class Adam(Optimizer):
    """Adam (Kingma & Ba, ICLR 2015).

    g ← g + λ p;  m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;
    p ← p − η m̂ / (√v̂ + ε)  with  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ).

    Args:
        params: see :class:`Optimizer`.
        lr, betas, eps, weight_decay: η, (β₁, β₂), ε, λ.
        amsgrad: divide by the largest v̂ so far (Reddi et al., ICLR 2018).
        decoupled_weight_decay: p ← (1 − η λ) p before the update instead of g ← g + λ p.
        maximize: ascend.
    """

    rule = adam
    slots = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        unsupported(
            foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused
        )
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def active_slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self.slots if group["amsgrad"] else self.slots[:2]


class AdamW(Adam):
    """Adam with decoupled weight decay, p ← (1 − η λ) p (Loshchilov & Hutter, ICLR 2019)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def check_options(self, group: dict[str, Any]) -> None:
        super().check_options(group)
        check.unsupported("decoupled_weight_decay", group["decoupled_weight_decay"], True)

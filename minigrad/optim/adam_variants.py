"""Adam with Nesterov momentum, with a rectified first phase, and in the maximum norm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from ..device import Array, get_xp
from .optimizer import Optimizer, Rule, descent, unsupported


@Rule
def nadam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    mu_product: float,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    momentum_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
) -> None:
    """m, v as Adam's;  p ← p − η ((1 − μₜ) g / (1 − Π μ) + μₜ₊₁ m / (1 − μₜ₊₁ Π μ)) / (√v̂ + ε), Π μ
    the product of μ₁ … μₜ with μₜ = β₁ (1 − ½ 0.96^(t ψ))."""
    beta1, beta2 = betas
    if decoupled_weight_decay:
        p *= 1 - lr * weight_decay
        weight_decay = 0
    g = descent(p, g, weight_decay, maximize)
    m[...] = beta1 * m + (1 - beta1) * g
    v[...] = beta2 * v + (1 - beta2) * g**2
    mu, ahead = (mu_at(beta1, t, momentum_decay) for t in (step, step + 1))
    u = (1 - mu) / (1 - mu_product) * g + ahead / (1 - mu_product * ahead) * m
    p -= lr * u / (get_xp(p).sqrt(v / (1 - beta2**step)) + eps)


def mu_at(beta1: float, step: float, momentum_decay: float) -> float:
    """μₜ of NAdam."""
    return beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))


class NAdam(Optimizer):
    """Adam with Nesterov momentum (Dozat, ICLR workshop 2016).

    m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;
    p ← p − η ((1 − μₜ) g / (1 − Π μ) + μₜ₊₁ m / (1 − μₜ₊₁ Π μ)) / (√v̂ + ε), Π μ the product of
    μ₁ … μₜ with μₜ = β₁ (1 − ½ 0.96^(t ψ)).

    Args:
        params: see :class:`Optimizer`.
        lr, betas, eps, weight_decay, momentum_decay: η, (β₁, β₂), ε, λ, ψ.
        decoupled_weight_decay: p ← (1 − η λ) p before the update instead of g ← g + λ p.
        maximize: ascend.
    """

    rule = nadam
    slots = ("exp_avg", "exp_avg_sq")
    numbers: ClassVar[dict[str, float]] = {"step": 0, "mu_product": 1}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        unsupported(foreach=foreach, capturable=capturable, differentiable=differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
            },
        )

    def advanced(self, group: dict[str, Any], numbers: dict[str, float]) -> dict[str, float]:
        step = numbers["step"] + 1
        mu = mu_at(float(group["betas"][0]), step, float(group["momentum_decay"]))
        mu = float(np.float32(mu))  # the product is a float32, as PyTorch's
        return {"step": step, "mu_product": numbers["mu_product"] * mu}


@Rule
def radam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
) -> None:
    """m, v as Adam's;  ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)  with  ρ∞ = 2 / (1 − β₂) − 1;
    p ← p − η m̂ r √(1 − β₂ᵗ) / (√v + ε)  with
    r² = (ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ), or p ← p − η m̂ while ρ ≤ 5."""
    beta1, beta2 = betas
    if decoupled_weight_decay:
        p *= 1 - lr * weight_decay
        weight_decay = 0
    g = descent(p, g, weight_decay, maximize)
    m[...] = beta1 * m + (1 - beta1) * g
    v[...] = beta2 * v + (1 - beta2) * g**2
    most = 2 / (1 - beta2) - 1
    rho = most - 2 * step * beta2**step / (1 - beta2**step)
    u = m / (1 - beta1**step)
    if rho > 5:
        squared = (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)
        u *= (squared * (1 - beta2**step)) ** 0.5 / (get_xp(p).sqrt(v) + eps)
    p -= lr * u


class RAdam(Optimizer):
    """Rectified Adam (Liu et al., ICLR 2020): steps are divided by √v only after enough gradients,
    and at first by less.

    m ← β₁ m + (1 − β₁) g;  v ← β₂ v + (1 − β₂) g²;  ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)  with
    ρ∞ = 2 / (1 − β₂) − 1;  p ← p − η m̂ r √(1 − β₂ᵗ) / (√v + ε)  with
    r² = (ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ), or p ← p − η m̂ while ρ ≤ 5.

    Args:
        params: see :class:`Optimizer`.
        lr, betas, eps, weight_decay: η, (β₁, β₂), ε, λ.
        decoupled_weight_decay: p ← (1 − η λ) p before the update instead of g ← g + λ p.
        maximize: ascend.
    """

    rule = radam
    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        unsupported(foreach=foreach, capturable=capturable, differentiable=differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
            },
        )


@Rule
def adamax(
    p: Array,
    g: Array,
    m: Array,
    u: Array,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """g ← g + λ p;  m ← β₁ m + (1 − β₁) g;  u ← max(β₂ u, |g| + ε);  p ← p − η m̂ / u."""
    xp, (beta1, beta2) = get_xp(p), betas
    g = descent(p, g, weight_decay, maximize)
    m[...] = beta1 * m + (1 - beta1) * g
    u[...] = xp.maximum(beta2 * u, xp.abs(g) + eps)
    p -= lr / (1 - beta1**step) * m / u


class Adamax(Optimizer):
    """Adam in the maximum norm (Kingma & Ba, ICLR 2015).

    g ← g + λ p;  m ← β₁ m + (1 − β₁) g;  u ← max(β₂ u, |g| + ε);  p ← p − η m̂ / u.

    Args:
        params: see :class:`Optimizer`.
        lr, betas, eps, weight_decay: η, (β₁, β₂), ε, λ.
        maximize: ascend.
    """

    rule = adamax
    slots = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        unsupported(foreach=foreach, differentiable=differentiable, capturable=capturable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

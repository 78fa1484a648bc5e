"""Learning rates per weight from squared gradients: Adagrad uses their sum, Adadelta their mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..device import Array, get_xp
from .optimizer import Optimizer, Rule, descent, unsupported


@Rule
def adagrad(
    p: Array,
    g: Array,
    s: Array,
    *,
    step: int,
    lr: float,
    lr_decay: float,
    weight_decay: float,
    eps: float,
    maximize: bool,
) -> None:
    """g ← g + λ p;  s ← s + g²;  p ← p − η / (1 + (t − 1) η_decay) · g / (√s + ε)."""
    g = descent(p, g, weight_decay, maximize)
    s += g**2
    p -= lr / (1 + (step - 1) * lr_decay) * g / (get_xp(p).sqrt(s) + eps)


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer, JMLR 2011).

    g ← g + λ p;  s ← s + g²;  p ← p − η / (1 + (t − 1) η_decay) · g / (√s + ε).

    Args:
        params: see :class:`Optimizer`.
        lr, lr_decay, weight_decay, eps: η, η_decay, λ, ε.
        initial_accumulator_value: initial value of s.
        maximize: ascend.
    """

    rule = adagrad
    slots = ("sum",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: None = None,
    ) -> None:
        unsupported(foreach=foreach, differentiable=differentiable, fused=fused)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "maximize": maximize,
            },
        )

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group of parameters with its own options; s is created at once, as in PyTorch."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:
            start = get_xp(p.data).full_like(p.data, group["initial_accumulator_value"])
            self.state[p] = {"step": 0, "sum": start}


@Rule
def adadelta(
    p: Array,
    g: Array,
    v: Array,
    u: Array,
    *,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """g ← g + λ p;  v ← ρ v + (1 − ρ) g²;  δ = √(u + ε) / √(v + ε) · g;  u ← ρ u + (1 − ρ) δ²;
    p ← p − η δ."""
    xp = get_xp(p)
    g = descent(p, g, weight_decay, maximize)
    v[...] = rho * v + (1 - rho) * g**2
    delta = xp.sqrt(u + eps) / xp.sqrt(v + eps) * g
    u[...] = rho * u + (1 - rho) * delta**2
    p -= lr * delta


class Adadelta(Optimizer):
    """Adadelta (Zeiler, arXiv 1212.5701, 2012).

    g ← g + λ p;  v ← ρ v + (1 − ρ) g²;  δ = √(u + ε) / √(v + ε) · g;  u ← ρ u + (1 − ρ) δ²;
    p ← p − η δ.

    Args:
        params: see :class:`Optimizer`.
        lr, rho, eps, weight_decay: η, ρ, ε, λ.
        maximize: ascend.
    """

    rule = adadelta
    slots = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        unsupported(foreach=foreach, capturable=capturable, differentiable=differentiable)
        super().__init__(
            params,
            {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize},
        )

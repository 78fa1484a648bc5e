"""The numbers, computed from a rule's options, that kernels take.

They are computed in float64, because 1 − β in float32 is mostly rounding error for β close to 1.
"""

from __future__ import annotations

Numbers = tuple[float, ...]


def sgd_numbers(
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    fresh: bool,
) -> Numbers:
    """lr, momentum, take, decay, sign, nesterov."""
    take = 1.0 if fresh else 1 - dampening  # the state is zeros
    return lr, momentum, take, weight_decay, _sign(maximize), nesterov


def adam_numbers(
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
    amsgrad: bool,
) -> Numbers:
    """rate, eps, keep1, take1, keep2, take2, decay, shrink, sign, amsgrad.

    With r = √(1 − β₂ᵗ), m̂ / (√v̂ + ε) = m / (√v + ε r) · r / (1 − β₁ᵗ), which saves a pass.
    """
    beta1, beta2 = betas
    root = (1 - beta2**step) ** 0.5
    rate = lr * root / (1 - beta1**step)
    decay = 0.0 if decoupled_weight_decay else weight_decay
    shrink = 1 - lr * weight_decay if decoupled_weight_decay else 1.0
    moments = beta1, 1 - beta1, beta2, 1 - beta2
    return rate, eps * root, *moments, decay, shrink, _sign(maximize), amsgrad


def rmsprop_numbers(
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool,
) -> Numbers:
    """lr, keep, take, eps, decay, momentum, sign, centered."""
    return lr, alpha, 1 - alpha, eps, weight_decay, momentum, _sign(maximize), centered


def _sign(maximize: bool) -> float:
    return -1.0 if maximize else 1.0

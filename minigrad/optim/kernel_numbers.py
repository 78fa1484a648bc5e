"""The numbers, computed from a rule's options, that kernels take.

They are computed in float64, because 1 − β in float32 is mostly rounding error for β close to 1.
"""

from __future__ import annotations

from .adam_variants import mu_at

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
    moments = _moments(betas, lr, weight_decay, decoupled_weight_decay)
    return rate, eps * root, *moments, _sign(maximize), amsgrad


def nadam_numbers(
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
) -> Numbers:
    """rate, ahead, eps, keep1, take1, keep2, take2, decay, shrink, sign: the factors of g and of m,
    then as Adam's."""
    mu, after = (mu_at(betas[0], t, momentum_decay) for t in (step, step + 1))
    root = (1 - betas[1] ** step) ** 0.5
    rate = lr * root * (1 - mu) / (1 - mu_product)
    ahead = lr * root * after / (1 - mu_product * after)
    moments = _moments(betas, lr, weight_decay, decoupled_weight_decay)
    return rate, ahead, eps * root, *moments, _sign(maximize)


def radam_numbers(
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
) -> Numbers:
    """rate, eps, keep1, take1, keep2, take2, decay, shrink, sign, rectified."""
    beta1, beta2 = betas
    rate = lr / (1 - beta1**step)
    most = 2 / (1 - beta2) - 1
    rho = most - 2 * step * beta2**step / (1 - beta2**step)
    if rho > 5:
        squared = (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)
        rate *= (squared * (1 - beta2**step)) ** 0.5
    moments = _moments(betas, lr, weight_decay, decoupled_weight_decay)
    return rate, eps, *moments, _sign(maximize), rho > 5


def adamax_numbers(
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> Numbers:
    """rate, eps, keep1, take1, keep2, decay, sign."""
    beta1, beta2 = betas
    rate = lr / (1 - beta1**step)
    return rate, eps, beta1, 1 - beta1, beta2, weight_decay, _sign(maximize)


def adagrad_numbers(
    *, step: int, lr: float, lr_decay: float, weight_decay: float, eps: float, maximize: bool
) -> Numbers:
    """rate, eps, decay, sign."""
    return lr / (1 + (step - 1) * lr_decay), eps, weight_decay, _sign(maximize)


def adadelta_numbers(
    *, lr: float, rho: float, eps: float, weight_decay: float, maximize: bool
) -> Numbers:
    """lr, keep, take, eps, decay, sign."""
    return lr, rho, 1 - rho, eps, weight_decay, _sign(maximize)


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


def _moments(betas: tuple[float, float], lr: float, decay: float, decoupled: bool) -> Numbers:
    """keep1, take1, keep2, take2, decay, shrink."""
    beta1, beta2 = betas
    kept = beta1, 1 - beta1, beta2, 1 - beta2
    return (*kept, 0.0, 1 - lr * decay) if decoupled else (*kept, decay, 1.0)


def _sign(maximize: bool) -> float:
    return -1.0 if maximize else 1.0

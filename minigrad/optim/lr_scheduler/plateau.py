"""A schedule that reduces the rate when a metric stops improving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ... import check
from ...tensor import Tensor
from ..optimizer import Optimizer
from .base import Check, LRScheduler, checked, one_each, real, reals, whole


def _factor(name: str, value: Any) -> float:
    if not 0 < check.number(name, value, -math.inf) < 1:
        raise ValueError(f"{name}: expected a number between 0 and 1, got {check.shown(value)}")
    return float(value)


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by ``factor`` when a metric has not improved for ``patience`` epochs.

    Args:
        optimizer: whose groups' "lr" is reduced.
        mode: "min" or "max": the direction of improvement.
        factor: in (0, 1).
        patience: epochs without improvement before a reduction.
        threshold, threshold_mode: an improvement must exceed the best by this ("rel": a fraction of
            it, "abs": an amount).
        cooldown: epochs after a reduction that do not count.
        min_lr: bound for every group, or a list with one for each.
        eps: smaller reductions are not made.
    """

    mode: str
    factor: float
    patience: int
    threshold: float
    threshold_mode: str
    cooldown: int
    default_min_lr: float | None
    min_lrs: list[float]
    eps: float
    _checks: ClassVar[dict[str, Check]] = {
        "mode": partial(check.choice, allowed=("min", "max")),
        "factor": _factor,
        "patience": whole(0),
        "threshold": real(-math.inf),
        "threshold_mode": partial(check.choice, allowed=("rel", "abs")),
        "cooldown": whole(0),
        "default_min_lr": lambda name, value: None if value is None else real(0)(name, value),
        "min_lrs": reals,
        "eps": real(0),
        "best": real(-math.inf),
        "num_bad_epochs": whole(0),
        "cooldown_counter": whole(0),
        "last_epoch": whole(0),
        "_last_lr": reals,
    }

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        self.optimizer = checked(optimizer)
        self._set(
            mode=mode,
            factor=factor,
            patience=patience,
            threshold=threshold,
            threshold_mode=threshold_mode,
            cooldown=cooldown,
            eps=eps,
        )
        if isinstance(min_lr, (list, tuple)):
            self.default_min_lr, self.min_lrs = None, reals("min_lr", min_lr)
        else:
            self.default_min_lr, self.min_lrs = check.number("min_lr", min_lr, 0), []
        self._join()
        one_each("min_lr", "bounds", self.min_lrs, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = self._rates()

    def _join(self) -> None:
        if self.default_min_lr is not None:
            self.min_lrs = [self.default_min_lr] * len(self.optimizer.param_groups)

    def _better(self, metric: float) -> bool:
        """PyTorch's rule: better than best · (1 ∓ threshold), or best ∓ threshold."""
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "rel":
            bar = self.best * (1 - sign * self.threshold)
        else:
            bar = self.best - sign * self.threshold
        return sign * metric < sign * bar

    def step(self, metrics: float | Tensor, epoch: None = None) -> None:  # type: ignore[override]
        """Record the metric at the end of an epoch."""
        check.unsupported("epoch", epoch, None)
        if isinstance(metrics, Tensor) and metrics.numel() != 1:
            raise ValueError(f"metrics: expected one number, got shape {metrics.shape}")
        metric = metrics.item() if isinstance(metrics, Tensor) else metrics
        check.fits("metrics", metric, np.dtype(np.float64))  # NaN is no improvement
        metric = float(metric)
        self._join()
        groups = one_each("min_lr", "bounds", self.min_lrs, self.optimizer)
        self.last_epoch += 1
        if self._better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(groups, self.min_lrs, strict=True):
                lower = max(group["lr"] * self.factor, least)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._rates()

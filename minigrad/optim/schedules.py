"""Learning-rate schedules with PyTorch's names and rules.

A schedule multiplies each group's initial rate by a pure function of the epoch (the number of
``step`` calls), so that its whole state is that number; ReduceLROnPlateau alone looks at a metric.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from .. import check
from .optimizers import Optimizer


class LRScheduler:
    """Base: ``rate(initial, epoch)`` gives a group's learning rate at an epoch from 0.

    Args:
        optimizer: its groups' "lr" is set at once and by every ``step``.
        last_epoch: the epoch before the first one, -1 for a fresh start; to resume, prefer
            ``load_state_dict``.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: expected an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.last_epoch = check.integer("last_epoch", last_epoch, -1) + 1
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError('last_epoch: resuming needs "initial_lr" in every parameter group')
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._apply()

    def rate(self, initial: float, epoch: int) -> float:
        raise NotImplementedError

    def _apply(self) -> None:
        for group, initial in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.rate(initial, self.last_epoch)

    def step(self) -> None:
        """Go on to the next epoch; call it after the epoch's optimiser steps."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The rate now in force for each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All that ``load_state_dict`` needs."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.last_epoch, self.base_lrs = state_dict["last_epoch"], list(state_dict["base_lrs"])
        self._apply()


class LambdaLR(LRScheduler):
    """initial · ``lr_lambda(epoch)``."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float], last_epoch: int = -1
    ) -> None:
        if not callable(lr_lambda):
            raise NotImplementedError("lr_lambda: only one function for all groups is supported")
        self.lr_lambda = lr_lambda
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int) -> float:
        return initial * self.lr_lambda(epoch)


class StepLR(LRScheduler):
    """initial · γ^⌊epoch / step_size⌋: 0.1, 0.1, 0.01, 0.01, … for step_size 2."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size, self.gamma = check.integer("step_size", step_size, 1), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int) -> float:
        return float(initial * self.gamma ** (epoch // self.step_size))


class MultiStepLR(LRScheduler):
    """initial · γ^(number of milestones reached): milestones [6, 8] divide after epochs 6 and 8."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = sorted(check.integer("milestones", m, 0) for m in milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int) -> float:
        return float(initial * self.gamma ** bisect_right(self.milestones, epoch))


class CosineAnnealingLR(LRScheduler):
    """η_min + (initial − η_min)(1 + cos(π epoch / T_max)) / 2 (Loshchilov & Hutter, ICLR 2017)."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max, self.eta_min = check.integer("T_max", T_max, 1), eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int) -> float:
        span = initial - self.eta_min
        return self.eta_min + span * (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class ReduceLROnPlateau:
    """Multiply the rate by ``factor`` when a metric has not improved for ``patience`` epochs.

    Args:
        optimizer: whose groups' "lr" is reduced.
        mode: "min" or "max": which way is better.
        factor: in (0, 1).
        patience: epochs without improvement that are tolerated.
        threshold, threshold_mode: an improvement must exceed the best by this ("rel": a fraction of
            it, "abs": an amount).
        cooldown: epochs after a reduction in which none is counted.
        min_lr: bound for every group.
        eps: a reduction smaller than this is not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: expected an Optimizer, got {type(optimizer).__name__}")
        if isinstance(min_lr, (list, tuple)):
            raise NotImplementedError("min_lr: only one bound for all groups is supported")
        if not 0 < factor < 1:
            raise ValueError(f"factor: expected a number between 0 and 1, got {factor}")
        self.optimizer = optimizer
        self.mode = check.choice("mode", mode, ("min", "max"))
        self.factor, self.patience = factor, check.integer("patience", patience, 0)
        self.threshold = threshold
        self.threshold_mode = check.choice("threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown, self.min_lr, self.eps = cooldown, min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def _better(self, metric: float) -> bool:
        """PyTorch's rule: ahead of best · (1 ∓ threshold), or of best ∓ threshold."""
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "rel":
            bar = self.best * (1 - sign * self.threshold)
        else:
            bar = self.best - sign * self.threshold
        return sign * metric < sign * bar

    def step(self, metrics: float) -> None:
        """Take note of the metric at the end of an epoch."""
        metric = float(metrics)
        self.last_epoch += 1
        if self._better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                lower = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def get_last_lr(self) -> list[float]:
        """The rate now in force for each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All that ``load_state_dict`` needs; the rates themselves are the optimiser's."""
        names = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state."""
        vars(self).update({name: state_dict[name] for name in self.state_dict()})

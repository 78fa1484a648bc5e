"""Learning-rate schedules with PyTorch's names and rules.

A schedule multiplies each group's initial rate by a pure function of the epoch (the number of
``step`` calls), so that its whole state is that number; ReduceLROnPlateau alone looks at a metric.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import check
from ..tensor import Tensor
from .optimizers import Optimizer


class LRScheduler:
    """Base: ``rate(initial, epoch)`` gives a group's learning rate at an epoch from 0.

    Args:
        optimizer: its groups' "lr" is set at once and by every ``step``.
        last_epoch: the epoch before the first one, -1 for a fresh start; to resume, prefer
            ``load_state_dict``.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = _checked(optimizer)
        check.integer("last_epoch", last_epoch, -1)
        groups = optimizer.param_groups
        if last_epoch != -1 and not all("initial_lr" in group for group in groups):
            raise ValueError('last_epoch: resuming needs "initial_lr" in every parameter group')
        self.base_lrs = [group.get("initial_lr", group["lr"]) for group in groups]
        self._go_to(last_epoch + 1, self.base_lrs)
        for group, initial in zip(groups, self.base_lrs, strict=True):
            group["initial_lr"] = initial

    def rate(self, initial: float, epoch: int) -> float:
        raise NotImplementedError

    def _go_to(self, epoch: int, initials: list[float]) -> None:
        """Set the rates of ``epoch``, or nothing if one of them cannot be."""
        try:
            rates = [check.number("lr", self.rate(initial, epoch), 0) for initial in initials]
        except OverflowError as error:
            raise ValueError(
                f"lr: expected a number at epoch {check.shown(epoch)}: {error}"
            ) from None
        self.last_epoch, self.base_lrs = epoch, initials
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def step(self) -> None:
        """Go on to the next epoch; call it after the epoch's optimiser steps."""
        self._go_to(self.last_epoch + 1, self.base_lrs)

    def get_last_lr(self) -> list[float]:
        """The rate now in force for each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All that ``load_state_dict`` needs."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state.

        Raises:
            TypeError, ValueError: entries are missing or do not fit. Nothing has changed then.
        """
        epoch, initials = _entries(state_dict, "last_epoch", "base_lrs")
        initials = check.items("base_lrs", initials, "numbers")
        if len(initials) != len(self.base_lrs):
            expected = len(self.base_lrs)
            raise ValueError(f"base_lrs: expected {expected} numbers, got {len(initials)}")
        initials = [check.number("base_lrs", initial, 0) for initial in initials]
        self._go_to(check.integer("last_epoch", epoch, 0), initials)


def _checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: expected an Optimizer, got {type(optimizer).__name__}")
    return optimizer


def _entries(state_dict: Any, *names: str) -> list[Any]:
    """A saved state's entries, all of which must be there."""
    absent = [name for name in names if name not in check.mapping("state_dict", state_dict)]
    if absent:
        raise ValueError(f"state_dict: expected entries {list(names)}, no {absent}")
    return [state_dict[name] for name in names]


def _power(base: float, exponent: int) -> float:
    """``base ** exponent``, its limit where Python raises OverflowError."""
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf if base > 1 else float(base == 1)


class LambdaLR(LRScheduler):
    """initial · ``lr_lambda(epoch)``."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float], last_epoch: int = -1
    ) -> None:
        if isinstance(lr_lambda, (list, tuple)):
            raise NotImplementedError("lr_lambda: only one function for all groups is supported")
        self.lr_lambda = check.function("lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int) -> float:
        return initial * check.number("lr_lambda: its result", self.lr_lambda(epoch), 0)


class StepLR(LRScheduler):
    """initial · γ^⌊epoch / step_size⌋: 0.1, 0.1, 0.01, 0.01, … for step_size 2."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = check.integer("step_size", step_size, 1)
        self.gamma = check.number("gamma", gamma, 0)
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int) -> float:
        return initial * _power(self.gamma, epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """initial · γ^(number of milestones reached): milestones [6, 8] divide after epochs 6 and 8."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        numbers = check.items("milestones", milestones, "whole numbers")
        self.milestones = sorted(check.integer("milestones", m, 0) for m in numbers)
        self.gamma = check.number("gamma", gamma, 0)
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int) -> float:
        return initial * _power(self.gamma, bisect_right(self.milestones, epoch))


class CosineAnnealingLR(LRScheduler):
    """η_min + (initial − η_min)(1 + cos(π epoch / T_max)) / 2 (Loshchilov & Hutter, ICLR 2017)."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = check.integer("T_max", T_max, 1)
        self.eta_min = check.number("eta_min", eta_min, 0)
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
        if isinstance(min_lr, (list, tuple)):
            raise NotImplementedError("min_lr: only one bound for all groups is supported")
        if not 0 < check.number("factor", factor, -math.inf) < 1:
            raise ValueError(f"factor: expected a number between 0 and 1, got {factor}")
        self.optimizer = _checked(optimizer)
        self.mode = check.choice("mode", mode, ("min", "max"))
        self.factor, self.patience = factor, check.integer("patience", patience, 0)
        self.threshold = check.number("threshold", threshold, -math.inf)
        self.threshold_mode = check.choice("threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = check.integer("cooldown", cooldown, 0)
        self.min_lr, self.eps = check.number("min_lr", min_lr, 0), check.number("eps", eps, 0)
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

    def step(self, metrics: float | Tensor) -> None:
        """Take note of the metric at the end of an epoch."""
        if isinstance(metrics, Tensor) and metrics.numel() != 1:
            raise ValueError(f"metrics: expected one number, got shape {metrics.shape}")
        metric = metrics.item() if isinstance(metrics, Tensor) else metrics
        check.fits("metrics", metric, np.dtype(np.float64))  # NaN is no improvement
        metric = float(metric)
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
        """Continue from a saved state; see :meth:`LRScheduler.load_state_dict`."""
        names = list(self.state_dict())
        best, *counts = _entries(state_dict, *names)
        check.number("best", best, -math.inf)
        for name, count in zip(names[1:], counts, strict=True):
            check.integer(name, count, 0)
        vars(self).update(zip(names, (best, *counts), strict=True))

"""Schedules whose rate is a formula of the previous rate or of the initial rate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ... import check
from ..optimizer import Optimizer
from .base import LRScheduler, attributes, checked, one_each, real, whole


class _OfFunctions(LRScheduler):
    """Base: ``lr_lambda(epoch)``, or a list with a function for each group.

    The state holds the attributes of functions that are objects of a class of their own; others
    cannot be saved.
    """

    lr_lambdas: list[Callable[[int], float]]

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        given = lr_lambda if isinstance(lr_lambda, (list, tuple)) else [lr_lambda]
        self.lr_lambdas = [check.function("lr_lambda", function) for function in given]
        self._shared = given is not lr_lambda
        super().__init__(checked(optimizer), last_epoch)

    def _join(self) -> None:
        if self._shared:
            self.lr_lambdas = self.lr_lambdas[:1] * len(self.optimizer.param_groups)
        super()._join()

    def _factors(self) -> list[float]:
        one_each("lr_lambda", "functions", self.lr_lambdas, self.optimizer)
        return [
            check.number("lr_lambda: its result", function(self.last_epoch), 0)
            for function in self.lr_lambdas
        ]

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"lr_lambdas": [attributes(f) for f in self.lr_lambdas]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        state = self._checked_state(state_dict)
        saved = check.items("lr_lambdas", state.pop("lr_lambdas"), "dicts")
        one_each("lr_lambdas", "entries", saved, self.optimizer)
        for entries in saved:
            check.mapping("lr_lambdas", {} if entries is None else entries)
        vars(self).update(state)
        for function, entries in zip(self.lr_lambdas, saved, strict=True):
            if entries:
                vars(function).update(entries)


class LambdaLR(_OfFunctions):
    """initial · ``lr_lambda(epoch)``; ``lr_lambda`` may be a list with a function for each group.

    The state holds the attributes of functions that are objects of a class of their own; others
    cannot be saved.
    """

    def get_lr(self) -> list[float]:
        pairs = zip(self.base_lrs, self._factors(), strict=True)
        return [initial * factor for initial, factor in pairs]


class MultiplicativeLR(_OfFunctions):
    """Multiply the rate by ``lr_lambda(epoch)`` in each epoch; ``lr_lambda`` may be a list with a
    function for each group. The state is like that of LambdaLR."""

    def get_lr(self) -> list[float]:
        if self._is_initial:
            one_each("lr_lambda", "functions", self.lr_lambdas, self.optimizer)
            return self._rates()
        return [rate * f for rate, f in zip(self._rates(), self._factors(), strict=True)]

    def _restart(self) -> None:
        """As in PyTorch without a closed formula: continue from the last rate."""
        self._move(last_epoch=0)


class StepLR(LRScheduler):
    """Multiply by γ every ``step_size`` epochs: 0.1, 0.1, 0.01, 0.01, … for step_size 2."""

    step_size: int
    gamma: float
    _checks = LRScheduler._checks | {"step_size": whole(1), "gamma": real(0)}

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self._set(step_size=step_size, gamma=gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [rate * self.gamma if due else rate for rate in self._rates()]


def _milestones(name: str, value: Any) -> Counter[int]:
    """The epochs and how often each occurs."""
    numbers = (
        Counter(value).elements()
        if isinstance(value, Counter)
        else check.items(name, value, "whole numbers")
    )
    return Counter(check.integer(name, number, 0) for number in numbers)


class MultiStepLR(LRScheduler):
    """Multiply by γ at each milestone: [6, 8] divide after epochs 6 and 8."""

    milestones: Counter[int]
    gamma: float
    _checks = LRScheduler._checks | {"milestones": _milestones, "gamma": real(0)}

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self._set(milestones=milestones, gamma=gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        times = self.milestones[self.last_epoch]
        return [rate * self.gamma**times if times else rate for rate in self._rates()]


class ConstantLR(LRScheduler):
    """initial · ``factor`` before epoch ``total_iters``, the initial rate from then on."""

    factor: float
    total_iters: int
    _checks = LRScheduler._checks | {
        "factor": real(math.nextafter(0, 1), 1),
        "total_iters": whole(1),
    }

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self._set(factor=factor, total_iters=total_iters)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [rate * self.factor for rate in self._rates()]
        over = self.last_epoch == self.total_iters
        return [rate * (1 / self.factor) if over else rate for rate in self._rates()]


class LinearLR(LRScheduler):
    """initial · a factor that changes linearly from ``start_factor`` to ``end_factor`` in
    ``total_iters`` epochs; each rate is computed from the previous one."""

    start_factor: float
    end_factor: float
    total_iters: int
    _checks = LRScheduler._checks | {
        "start_factor": real(math.nextafter(0, 1), 1),
        "end_factor": real(0, 1),
        "total_iters": whole(1),
    }

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self._set(start_factor=start_factor, end_factor=end_factor, total_iters=total_iters)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [rate * self.start_factor for rate in self._rates()]
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._rates()
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return [rate * (1 + rise / before) for rate in self._rates()]


class ExponentialLR(LRScheduler):
    """Multiply by γ every epoch."""

    gamma: float
    _checks = LRScheduler._checks | {"gamma": real(0)}

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self._set(gamma=gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [rate if self._is_initial else rate * self.gamma for rate in self._rates()]


class PolynomialLR(LRScheduler):
    """initial · (1 − epoch / ``total_iters``)^power, 0 from then on; each rate is computed from the
    previous one."""

    total_iters: int
    power: float
    _checks = LRScheduler._checks | {"total_iters": whole(1), "power": real(0)}

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        self._set(total_iters=total_iters, power=power)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._rates()
        left, before = (1 - n / self.total_iters for n in (self.last_epoch, self.last_epoch - 1))
        return [rate * (left / before) ** self.power for rate in self._rates()]


class CosineAnnealingLR(LRScheduler):
    """η_min + (initial − η_min)(1 + cos(π epoch / T_max)) / 2 (Loshchilov & Hutter, ICLR 2017),
    where each rate is computed from the previous one."""

    T_max: int
    eta_min: float
    _checks = LRScheduler._checks | {"T_max": whole(1), "eta_min": real(0)}

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self._set(T_max=T_max, eta_min=eta_min)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        now, before, least = self.last_epoch, self.last_epoch - 1, self.eta_min
        if self._is_initial:
            return self._rates()
        if (before - self.T_max) % (2 * self.T_max) == 0:  # at the bottom, with nothing to scale
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            pairs = zip(self._rates(), self.base_lrs, strict=True)
            return [rate + (initial - least) * rise for rate, initial in pairs]
        height = 1 + math.cos(math.pi * now / self.T_max)
        ratio = height / (1 + math.cos(math.pi * before / self.T_max))
        return [ratio * (rate - least) + least for rate in self._rates()]

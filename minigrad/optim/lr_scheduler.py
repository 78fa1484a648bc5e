"""Learning-rate schedules with PyTorch's names, rules and state.

A step changes the rate that is in force, whoever set it: schedules act together, and a rate changed
by hand stays changed. Only LambdaLR computes its rate from the initial one.
"""

from __future__ import annotations

import copy
import math
import types
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import check
from ..tensor import Tensor
from .optimizer import Optimizer

Check = Callable[[str, Any], Any]


def _whole(minimum: int) -> Check:
    return partial(check.integer, minimum=minimum)


def _real(low: float) -> Check:
    return partial(check.number, low=low)


def _reals(name: str, value: Any) -> list[float]:
    return [check.number(name, x, 0) for x in check.items(name, value, "numbers")]


class LRScheduler:
    """Base: ``get_lr()`` computes every group's rate at the epoch ``last_epoch``.

    A group that is added to the optimiser later joins at the next step, with its own rate as the
    initial one.

    Args:
        optimizer: its groups' "lr" is set at once and by every ``step``.
        last_epoch: the epoch before the first one, -1 for a fresh start; to resume, prefer
            ``load_state_dict`` of both the schedule and the optimiser.
    """

    # How each entry of the state is checked, by the constructor and when it is loaded.
    _checks: ClassVar[dict[str, Check]] = {
        "last_epoch": _whole(0),
        "base_lrs": _reals,
        "_last_lr": _reals,
    }

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = _checked(optimizer)
        self.last_epoch = check.integer("last_epoch", last_epoch, -1)
        groups = optimizer.param_groups
        fresh = [group for group in groups if "initial_lr" not in group]
        if last_epoch != -1 and fresh:
            raise ValueError('last_epoch: resuming needs "initial_lr" in every parameter group')
        for group in fresh:
            group["initial_lr"] = group["lr"]
        self.base_lrs = [group["initial_lr"] for group in groups]
        self._is_initial = True
        try:
            self.step()
        except BaseException:
            for group in fresh:
                del group["initial_lr"]
            raise
        self._is_initial = False

    def get_lr(self) -> list[float]:
        """The rates to set at ``last_epoch``, for subclasses: one for each group."""
        raise NotImplementedError

    def step(self, epoch: None = None) -> None:
        """Go on to the next epoch; call it after the epoch's optimiser steps.

        Raises:
            TypeError, ValueError: a rate cannot be one. Nothing has changed then.
        """
        check.unsupported("epoch", epoch, None)
        self._join()
        self.last_epoch += 1
        try:
            rates = _reals("lr", self.get_lr())
            groups = _one_each("get_lr", "rates", rates, self.optimizer)
        except BaseException as error:
            self.last_epoch -= 1
            if isinstance(error, OverflowError):
                raise ValueError(f"lr: expected a number at the next epoch: {error}") from None
            raise
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    def _join(self) -> None:
        """Take note of the initial rates of groups that have been added."""
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            self.base_lrs.append(group.get("initial_lr", group["lr"]))

    def _rates(self) -> list[float]:
        """The rates in force."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """Each group's rate after this schedule's last step."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """What the schedule was made with and where it is, in PyTorch's form; the rates themselves
        are in the optimiser's state."""
        self._join()
        return {
            name: copy.copy(value)
            for name, value in vars(self).items()
            if name == "_last_lr" or not (name.startswith("_") or name == "optimizer")
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state of the same kind of schedule, or of PyTorch's of the same name.

        The rates are the optimiser's: load its state too.

        Raises:
            TypeError, ValueError: entries are missing or do not fit. Nothing has changed then.
        """
        vars(self).update(self._checked_state(state_dict))

    def _checked_state(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        check.mapping("state_dict", state_dict)
        names = [*self.state_dict()]
        if absent := [name for name in names if name not in state_dict]:
            raise ValueError(f"state_dict: expected entries {names}, no {absent}")
        state = self._checked_entries({name: state_dict[name] for name in names})
        if "base_lrs" in state:
            _one_each("base_lrs", "numbers", state["base_lrs"], self.optimizer)
        return state

    def _checked_entries(self, entries: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._checks[name](name, value) if name in self._checks else copy.copy(value)
            for name, value in entries.items()
        }

    def _set(self, **options: Any) -> None:
        vars(self).update(self._checked_entries(options))


def _checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: expected an Optimizer, got {type(optimizer).__name__}")
    return optimizer


def _one_each(
    name: str, what: str, values: Sequence[Any], optimizer: Optimizer
) -> list[dict[str, Any]]:
    """The optimiser's groups, as many as there are ``values``."""
    groups = optimizer.param_groups
    if len(values) != len(groups):
        raise ValueError(
            f"{name}: expected {len(groups)} {what}, one for each parameter group, "
            f"got {len(values)}"
        )
    return groups


class LambdaLR(LRScheduler):
    """initial · ``lr_lambda(epoch)``; ``lr_lambda`` may be a list with a function for each group.

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
        super().__init__(_checked(optimizer), last_epoch)

    def _join(self) -> None:
        if self._shared:
            self.lr_lambdas = self.lr_lambdas[:1] * len(self.optimizer.param_groups)
        super()._join()

    def get_lr(self) -> list[float]:
        _one_each("lr_lambda", "functions", self.lr_lambdas, self.optimizer)
        return [
            initial * check.number("lr_lambda: its result", function(self.last_epoch), 0)
            for initial, function in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        plain = types.FunctionType, types.BuiltinFunctionType, types.MethodType
        attributes = [
            None if isinstance(function, plain) else dict(getattr(function, "__dict__", {}))
            for function in self.lr_lambdas
        ]
        return super().state_dict() | {"lr_lambdas": attributes}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        state = self._checked_state(state_dict)
        saved = check.items("lr_lambdas", state.pop("lr_lambdas"), "dicts")
        _one_each("lr_lambdas", "entries", saved, self.optimizer)
        for attributes in saved:
            check.mapping("lr_lambdas", {} if attributes is None else attributes)
        vars(self).update(state)
        for function, attributes in zip(self.lr_lambdas, saved, strict=True):
            if attributes:
                vars(function).update(attributes)


class StepLR(LRScheduler):
    """Multiply by γ every ``step_size`` epochs: 0.1, 0.1, 0.01, 0.01, … for step_size 2."""

    step_size: int
    gamma: float
    _checks = LRScheduler._checks | {"step_size": _whole(1), "gamma": _real(0)}

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self._set(step_size=step_size, gamma=gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [rate * self.gamma if due else rate for rate in self._rates()]


def _milestones(name: str, value: Any) -> Counter[int]:
    """Epochs and how often each is named."""
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
    _checks = LRScheduler._checks | {"milestones": _milestones, "gamma": _real(0)}

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


class CosineAnnealingLR(LRScheduler):
    """η_min + (initial − η_min)(1 + cos(π epoch / T_max)) / 2 (Loshchilov & Hutter, ICLR 2017),
    each rate computed from the one before."""

    T_max: int
    eta_min: float
    _checks = LRScheduler._checks | {"T_max": _whole(1), "eta_min": _real(0)}

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


def _factor(name: str, value: Any) -> float:
    if not 0 < check.number(name, value, -math.inf) < 1:
        raise ValueError(f"{name}: expected a number between 0 and 1, got {check.shown(value)}")
    return float(value)


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by ``factor`` when a metric has not improved for ``patience`` epochs.

    Args:
        optimizer: whose groups' "lr" is reduced.
        mode: "min" or "max": which way is better.
        factor: in (0, 1).
        patience: epochs without improvement that are tolerated.
        threshold, threshold_mode: an improvement must exceed the best by this ("rel": a fraction of
            it, "abs": an amount).
        cooldown: epochs after a reduction in which none is counted.
        min_lr: bound for every group, or a list with one for each.
        eps: a reduction smaller than this is not made.
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
        "patience": _whole(0),
        "threshold": _real(-math.inf),
        "threshold_mode": partial(check.choice, allowed=("rel", "abs")),
        "cooldown": _whole(0),
        "default_min_lr": lambda name, value: None if value is None else _real(0)(name, value),
        "min_lrs": _reals,
        "eps": _real(0),
        "best": _real(-math.inf),
        "num_bad_epochs": _whole(0),
        "cooldown_counter": _whole(0),
        "last_epoch": _whole(0),
        "_last_lr": _reals,
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
        self.optimizer = _checked(optimizer)
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
            self.default_min_lr, self.min_lrs = None, _reals("min_lr", min_lr)
        else:
            self.default_min_lr, self.min_lrs = check.number("min_lr", min_lr, 0), []
        self._join()
        _one_each("min_lr", "bounds", self.min_lrs, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = self._rates()

    def _join(self) -> None:
        if self.default_min_lr is not None:
            self.min_lrs = [self.default_min_lr] * len(self.optimizer.param_groups)

    def _better(self, metric: float) -> bool:
        """PyTorch's rule: ahead of best · (1 ∓ threshold), or of best ∓ threshold."""
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "rel":
            bar = self.best * (1 - sign * self.threshold)
        else:
            bar = self.best - sign * self.threshold
        return sign * metric < sign * bar

    def step(self, metrics: float | Tensor, epoch: None = None) -> None:  # type: ignore[override]
        """Take note of the metric at the end of an epoch."""
        check.unsupported("epoch", epoch, None)
        if isinstance(metrics, Tensor) and metrics.numel() != 1:
            raise ValueError(f"metrics: expected one number, got shape {metrics.shape}")
        metric = metrics.item() if isinstance(metrics, Tensor) else metrics
        check.fits("metrics", metric, np.dtype(np.float64))  # NaN is no improvement
        metric = float(metric)
        self._join()
        groups = _one_each("min_lr", "bounds", self.min_lrs, self.optimizer)
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

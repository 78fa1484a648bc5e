"""Schedules whose rate rises and falls: warm restarts, cycles, one cycle."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from ... import check
from ..optimizer import Optimizer
from .base import (
    Check,
    LRScheduler,
    attributes,
    checked,
    for_each,
    one_each,
    real,
    reals,
    unchanged,
    whole,
)


class CosineAnnealingWarmRestarts(LRScheduler):
    """η_min + (initial − η_min)(1 + cos(π T_cur / T_i)) / 2, where T_cur is the number of epochs
    since the last restart and T_i the number from it to the next (SGDR: Loshchilov & Hutter, ICLR
    2017).

    Args:
        optimizer, last_epoch: see :class:`LRScheduler`.
        T_0: epochs to the first restart.
        T_mult: factor of T_i at each restart.
        eta_min: η_min.
    """

    T_0: int
    T_i: int
    T_mult: int
    eta_min: float
    T_cur: float
    _checks = LRScheduler._checks | {
        "T_0": whole(1),
        "T_i": whole(1),
        "T_mult": whole(1),
        "eta_min": real(0),
        "T_cur": real(-1),
    }

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        check.integer("last_epoch", last_epoch, -1)
        self._set(T_0=T_0, T_i=T_0, T_mult=T_mult, eta_min=eta_min, T_cur=last_epoch)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (initial - self.eta_min) * height for initial in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Advance to the next epoch, or to ``epoch``, which may be fractional: call ``step(epoch +
        batch / batches)`` after each batch."""
        if epoch is None and self.last_epoch >= 0:
            now, span = self.T_cur + 1, self.T_i
            if now >= span:
                now, span = now % span, span * self.T_mult
            self._move(last_epoch=self.last_epoch + 1, T_cur=now, T_i=span)
            return
        at = check.number("epoch", 0 if epoch is None else epoch, 0)
        if at == math.inf:
            raise ValueError("epoch: expected a finite number, got inf")
        now, span = at, self.T_0
        if self.T_mult == 1:
            now = at % self.T_0
        elif at >= self.T_0:
            times = int(math.log(at / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))  # restarts
            now = at - self.T_0 * (self.T_mult**times - 1) / (self.T_mult - 1)
            span = self.T_0 * self.T_mult**times
        self._move(last_epoch=math.floor(at), T_cur=now, T_i=span)

    def _restart(self) -> None:
        self.step(0)


class _Cycle(LRScheduler):
    """Base: the momentum of SGD, or Adam's β₁, goes down while the rate goes up."""

    cycle_momentum: bool
    use_beta1: bool
    _checks: ClassVar[dict[str, Check]] = LRScheduler._checks | {
        "cycle_momentum": check.boolean,
        "use_beta1": check.boolean,
    }

    def _momenta(self) -> list[float]:
        """Each group's momentum at ``last_epoch``."""
        raise NotImplementedError

    def _changes(self) -> list[dict[str, Any]]:
        changes = super()._changes()
        if self.cycle_momentum:
            for i, momentum in enumerate(self._momenta()):
                changes[i] |= _with_momentum(self.optimizer.param_groups[i], momentum)
        return changes

    def _set_momenta(self, base: list[float], most: list[float], fresh: bool) -> None:
        """Begin at the largest momentum, and store both in the groups, as in PyTorch."""
        defaults = self.optimizer.defaults
        if "momentum" not in defaults and "betas" not in defaults:
            kind = type(self.optimizer).__name__
            raise ValueError(
                f"cycle_momentum: needs an optimiser with momentum or betas, got {kind}"
            )
        self.use_beta1 = "betas" in defaults
        if fresh:
            for group, low, high in zip(self.optimizer.param_groups, base, most, strict=True):
                group |= {"base_momentum": low, "max_momentum": high}
                group |= _with_momentum(group, high)


def _with_momentum(group: dict[str, Any], momentum: float) -> dict[str, Any]:
    """The entry of a group that holds its momentum."""
    if "betas" in group:
        return {"betas": (momentum, *group["betas"][1:])}
    return {"momentum": momentum}


MODES = ("triangular", "triangular2", "exp_range")


class CyclicLR(_Cycle):
    """A rate that moves linearly up and down between two rates (Smith, WACV 2017); step it after
    each batch.

    Args:
        optimizer, last_epoch: see :class:`LRScheduler`.
        base_lr, max_lr: the smallest and the largest rate, or a list with one for each group.
        step_size_up, step_size_down: steps from the smallest to the largest rate, and back (None:
            the same).
        mode: the factor of a cycle's height: 1 for "triangular", half of the previous cycle's for
            "triangular2", γ^step for "exp_range".
        gamma: γ.
        scale_fn: replaces the mode: a function of the number of the cycle, from 1, or of the step.
        scale_mode: the argument of ``scale_fn``: "cycle" or "iterations".
        cycle_momentum: move the momentum the other way, between ``max_momentum`` and
            ``base_momentum`` (numbers, or lists with one for each group).
    """

    max_lrs: list[float]
    total_size: float
    step_ratio: float
    mode: str
    gamma: float
    scale_mode: str
    base_momentums: list[float]
    max_momentums: list[float]
    _checks = _Cycle._checks | {
        "max_lrs": reals,
        "total_size": real(0),
        "step_ratio": real(0, 1),
        "mode": partial(check.choice, allowed=MODES),
        "gamma": real(0),
        "scale_mode": partial(check.choice, allowed=("cycle", "iterations")),
        "base_momentums": reals,
        "max_momentums": reals,
    }

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked(optimizer)
        fresh = check.integer("last_epoch", last_epoch, -1) == -1
        base_lrs = for_each("base_lr", base_lr, optimizer)
        self.max_lrs = for_each("max_lr", max_lr, optimizer)
        up = check.number("step_size_up", step_size_up, math.nextafter(0, 1))
        down = up if step_size_down is None else check.number("step_size_down", step_size_down, 0)
        if up + down == math.inf:
            raise ValueError("step_size_up: expected a finite number of steps")
        self.total_size, self.step_ratio = up + down, up / (up + down)
        self._set(mode=mode, gamma=gamma, scale_mode=scale_mode, cycle_momentum=cycle_momentum)
        self._scale_fn_custom = None if scale_fn is None else check.function("scale_fn", scale_fn)
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        with unchanged(optimizer):
            if fresh:
                for group, rate in zip(optimizer.param_groups, base_lrs, strict=True):
                    group["lr"] = rate
            if self.cycle_momentum:
                self.base_momentums = for_each("base_momentum", base_momentum, optimizer)
                self.max_momentums = for_each("max_momentum", max_momentum, optimizer)
                self._set_momenta(self.base_momentums, self.max_momentums, fresh)
            super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs  # the groups' initial rates may be another schedule's

    def scale_fn(self, x: float) -> float:
        """The factor of the height of cycle ``x``, or at step ``x``."""
        if self._scale_fn_custom is not None:
            return check.number("scale_fn: its result", self._scale_fn_custom(x), -math.inf)
        if self.mode == "exp_range":
            return float(self.gamma**x)
        return 1.0 if self.mode == "triangular" else 1 / 2.0 ** (x - 1)

    def _height(self) -> float:
        """The height at ``last_epoch``, from 0 to 1 before scaling."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        up = x <= self.step_ratio
        height = x / self.step_ratio if up else (x - 1) / (self.step_ratio - 1)
        return height * self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)

    def get_lr(self) -> list[float]:
        one_each("max_lr", "numbers", self.max_lrs, self.optimizer)
        height, pairs = self._height(), zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height for low, high in pairs]

    def _momenta(self) -> list[float]:
        height, pairs = self._height(), zip(self.base_momentums, self.max_momentums, strict=True)
        return [high - (high - low) * height for low, high in pairs]

    def state_dict(self) -> dict[str, Any]:
        custom = self._scale_fn_custom
        return super().state_dict() | {
            "_scale_fn_custom": None if custom is None else attributes(custom)
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        state = self._checked_state(state_dict)
        entries = state.pop("_scale_fn_custom") or {}
        check.mapping("_scale_fn_custom", entries)
        if entries and self._scale_fn_custom is None:
            raise ValueError("_scale_fn_custom: expected None without a scale_fn of this schedule")
        vars(self).update(state)
        if entries:
            vars(self._scale_fn_custom).update(entries)


_PHASE = ("start_lr", "end_lr", "start_momentum", "end_momentum")
_ENDS = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")


def _phases(name: str, value: Any) -> list[dict[str, Any]]:
    phases = []
    for entry in check.items(name, value, "dicts"):
        phase = dict(check.mapping(name, entry))
        if phase.keys() != {"end_step", *_PHASE}:
            raise ValueError(f"{name}: expected entries end_step, {', '.join(_PHASE)}")
        check.number(name, phase["end_step"], -math.inf)
        for end in _PHASE:
            check.choice(name, phase[end], _ENDS)
        phases.append(phase)
    return phases


class OneCycleLR(_Cycle):
    """The rate rises to a maximum and falls far below the first rate (super-convergence: Smith &
    Topin, arXiv 1708.07120, 2017); step it after every batch.

    Args:
        optimizer, last_epoch: see :class:`LRScheduler`.
        max_lr: the largest rate, or a list with one for each group.
        total_steps: steps of the cycle; default ``epochs`` times ``steps_per_epoch``.
        pct_start: fraction of the steps in which the rate rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move the momentum the other way, between ``max_momentum`` and
            ``base_momentum`` (numbers, or lists with one for each group).
        div_factor: the first rate is ``max_lr / div_factor``.
        final_div_factor: the last rate is the first rate / ``final_div_factor``.
        three_phase: fall to the first rate as fast as it rose, and then to the last rate.

    Raises:
        ValueError: later, a step beyond ``total_steps``.
    """

    total_steps: int
    _schedule_phases: list[dict[str, Any]]
    _checks = _Cycle._checks | {
        "total_steps": whole(1),
        "_schedule_phases": _phases,
        "_anneal_func_type": partial(check.choice, allowed=("cos", "linear")),
    }

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked(optimizer)
        fresh = check.integer("last_epoch", last_epoch, -1) == -1
        if total_steps is not None:
            total_steps = check.integer("total_steps", total_steps, 1)
        elif epochs is None or steps_per_epoch is None:
            raise ValueError("total_steps: expected it, or both epochs and steps_per_epoch")
        else:
            steps = check.integer("steps_per_epoch", steps_per_epoch, 1)
            total_steps = check.integer("epochs", epochs, 1) * steps
        self.total_steps = total_steps
        rising = check.number("pct_start", pct_start, 0, 1) * total_steps - 1
        if rising == 0:
            what = f"expected more than one step to rise in, got {pct_start} of {total_steps}"
            raise ValueError(f"pct_start: {what}")
        check.choice("anneal_strategy", anneal_strategy, ("cos", "linear"))
        self._anneal_func_type = anneal_strategy
        up = dict(
            zip(_PHASE, ("initial_lr", "max_lr", "max_momentum", "base_momentum"), strict=True)
        )
        down = dict(zip(_PHASE, ("max_lr", "min_lr", "base_momentum", "max_momentum"), strict=True))
        last = {"end_step": total_steps - 1, **down}
        self._schedule_phases = [{"end_step": rising, **up}, last]
        if check.boolean("three_phase", three_phase):
            back = {"end_step": 2 * rising, **down, "end_lr": "initial_lr"}
            last |= {"start_lr": "initial_lr", "start_momentum": "max_momentum"}
            self._schedule_phases.insert(1, back)
        most = for_each("max_lr", max_lr, optimizer)
        first = check.number("div_factor", div_factor, math.nextafter(0, 1))
        final = check.number("final_div_factor", final_div_factor, math.nextafter(0, 1))
        self.cycle_momentum = check.boolean("cycle_momentum", cycle_momentum)
        with unchanged(optimizer):
            if fresh:
                for group, rate in zip(optimizer.param_groups, most, strict=True):
                    initial = rate / first
                    group |= {"initial_lr": initial, "max_lr": rate, "min_lr": initial / final}
            if self.cycle_momentum:
                base = for_each("base_momentum", base_momentum, optimizer)
                largest = for_each("max_momentum", max_momentum, optimizer)
                self._set_momenta(base, largest, fresh)
            super().__init__(optimizer, last_epoch)

    def _between(self, start: str, end: str) -> list[float]:
        """For each group, the value at ``last_epoch`` between the two of its phase."""
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"total_steps: {self.total_steps} steps are done; there is no next one"
            )
        before, phases = 0.0, self._schedule_phases
        phase = next((p for p in phases if self.last_epoch <= p["end_step"]), phases[-1])
        if phase is not phases[0]:
            before = phases[phases.index(phase) - 1]["end_step"]
        t = (self.last_epoch - before) / (phase["end_step"] - before)
        if self._anneal_func_type == "cos":
            t = (1 - math.cos(math.pi * t)) / 2
        return [
            _entry(group, phase[start])
            + (_entry(group, phase[end]) - _entry(group, phase[start])) * t
            for group in self.optimizer.param_groups
        ]

    def get_lr(self) -> list[float]:
        return [max(rate, 0.0) for rate in self._between("start_lr", "end_lr")]

    def _momenta(self) -> list[float]:
        return self._between("start_momentum", "end_momentum")


def _entry(group: dict[str, Any], name: str) -> float:
    if name not in group:
        raise ValueError(f"{name}: a parameter group that was added later has none")
    return float(group[name])

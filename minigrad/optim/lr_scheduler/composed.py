"""Schedules of schedules: one after another, or all together."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from ... import check
from ..optimizer import Optimizer
from .base import Check, LRScheduler, checked, reals, unchanged, whole
from .plateau import ReduceLROnPlateau


class _Composed(LRScheduler):
    """Base: several schedules of one optimiser, which step and load together or not at all."""

    _schedulers: list[LRScheduler]

    def _take(self, schedulers: Any, optimizer: Optimizer | None) -> None:
        """Store the schedules and their optimiser."""
        found = check.items("schedulers", schedulers, "schedules")
        if not found:
            raise ValueError("schedulers: expected at least one schedule, got none")
        for schedule in found:
            if not isinstance(schedule, LRScheduler):
                kind = type(schedule).__name__
                raise TypeError(f"schedulers: expected schedules, got {kind}")
            if isinstance(schedule, ReduceLROnPlateau):
                raise ValueError(
                    "schedulers: ReduceLROnPlateau needs a metric for each of its steps"
                )
        self.optimizer = checked(found[0].optimizer if optimizer is None else optimizer)
        if any(schedule.optimizer is not self.optimizer for schedule in found):
            raise ValueError("schedulers: expected schedules of one optimizer, got of several")
        self._schedulers = found

    @contextlib.contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """Context that restores the schedules and the optimiser's groups after an error."""
        before = [(schedule, dict(vars(schedule))) for schedule in _all(self._schedulers)]
        try:
            with unchanged(self.optimizer):
                yield
        except BaseException:
            for schedule, attributes in before:
                vars(schedule).clear()
                vars(schedule).update(attributes)
            raise

    def _join(self) -> None:
        """Each schedule does this itself."""

    def state_dict(self) -> dict[str, Any]:
        """The state, and those of the schedules, in PyTorch's form."""
        states = [schedule.state_dict() for schedule in self._schedulers]
        return super().state_dict() | {"_schedulers": states}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        state = self._checked_state(state_dict)
        states = check.items("_schedulers", state.pop("_schedulers"), "states")
        if len(states) != len(self._schedulers):
            what = f"expected states of {len(self._schedulers)} schedules, got {len(states)}"
            raise ValueError(f"_schedulers: {what}")
        with self._all_or_none():
            for schedule, one in zip(self._schedulers, states, strict=True):
                schedule.load_state_dict(one)
        vars(self).update(state)


def _all(schedules: Sequence[LRScheduler]) -> list[LRScheduler]:
    """The schedules and the schedules inside them."""
    found: list[LRScheduler] = []
    for schedule in schedules:
        inner = schedule._schedulers if isinstance(schedule, _Composed) else []
        found += [schedule, *_all(inner)]
    return found


def _rising(name: str, value: Any) -> list[int]:
    numbers = [check.integer(name, n, 0) for n in check.items(name, value, "whole numbers")]
    if any(a > b for a, b in pairwise(numbers)):
        raise ValueError(f"{name}: expected them in order, got {check.shown(numbers)}")
    return numbers


class SequentialLR(_Composed):
    """One schedule after another. Each starts at its milestone, with its own epoch 0 and the
    initial rates.

    Args:
        optimizer: the optimiser of all schedules. Its rates become the initial rates.
        schedulers: the schedules in order; no sequences or chains, which have no initial rates.
        milestones: the epochs at which the second, the third, … begin.
        last_epoch: only -1; resume by ``load_state_dict``.
    """

    _checks: ClassVar[dict[str, Check]] = {
        "last_epoch": whole(0),
        "_last_lr": reals,
        "_milestones": _rising,
    }

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        check.unsupported("last_epoch", last_epoch, -1)
        self._take(schedulers, checked(optimizer))
        for schedule in self._schedulers:
            if isinstance(schedule, _Composed):
                kind = type(schedule).__name__
                raise NotImplementedError(
                    f"schedulers: {kind} within SequentialLR is not supported"
                )
        self._milestones = _rising("milestones", milestones)
        if len(self._milestones) != len(self._schedulers) - 1:
            raise ValueError(
                f"milestones: expected {len(self._schedulers) - 1} for {len(self._schedulers)} "
                f"schedules, got {len(self._milestones)}"
            )
        self.last_epoch = 0
        with self._all_or_none():
            for group in optimizer.param_groups:
                group["lr"] = group.get("initial_lr", group["lr"])
            for schedule in self._schedulers:
                schedule.last_epoch -= 1
            self._at(0)._initial_step()
        self._last_lr = self._rates()

    def _at(self, epoch: int) -> LRScheduler:
        return self._schedulers[bisect_right(self._milestones, epoch)]

    def step(self, epoch: None = None) -> None:
        """Go on to the next epoch; call it after the epoch's optimiser steps."""
        check.unsupported("epoch", epoch, None)
        now = self.last_epoch + 1
        with self._all_or_none():
            if now in self._milestones:
                self._at(now)._restart()
            else:
                self._at(now).step()
        self.last_epoch, self._last_lr = now, self._at(now).get_last_lr()


class ChainedScheduler(_Composed):
    """All schedules together: each step steps all of them in order.

    Args:
        schedulers: schedules of one optimiser.
        optimizer: their optimiser; optional.
    """

    _checks: ClassVar[dict[str, Check]] = {"_last_lr": reals}

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._take(schedulers, optimizer)
        self._last_lr = self._rates()

    def step(self, epoch: None = None) -> None:
        """Go on to the next epoch; call it after the epoch's optimiser steps."""
        check.unsupported("epoch", epoch, None)
        with self._all_or_none():
            for schedule in self._schedulers:
                schedule.step()
        self._last_lr = self._rates()

"""The base of all schedules: the learning rates of an epoch, state, and saving."""

from __future__ import annotations

import contextlib
import copy
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from ... import check
from ..optimizer import Optimizer

Check = Callable[[str, Any], Any]

ROUNDING = 1e-12  # rounding error of a rate that decays to 0


def whole(minimum: int) -> Check:
    return partial(check.integer, minimum=minimum)


def real(low: float, high: float = math.inf) -> Check:
    return partial(check.number, low=low, high=high)


def reals(name: str, value: Any) -> list[float]:
    """Numbers from 0 on. One that rounding has put below is 0."""
    return [
        0.0 if isinstance(x, float) and -ROUNDING < x < 0 else check.number(name, x, 0)
        for x in check.items(name, value, "numbers")
    ]


class LRScheduler:
    """Base of schedules: ``get_lr()`` computes the rate of each group at epoch ``last_epoch``.

    A group that is added to the optimiser later joins at the next step, with its own rate as the
    initial rate.

    Args:
        optimizer: the "lr" of its groups is set at once and by each ``step``.
        last_epoch: the epoch before the first one, -1 for a fresh start; to resume, prefer
            ``load_state_dict`` of both the schedule and the optimiser.
    """

    # How each entry of the state is checked, by the constructor and when it is loaded. Attributes
    # that begin with an underscore are of the state only if they are here.
    _checks: ClassVar[dict[str, Check]] = {
        "last_epoch": whole(-1),  # of one that waits for its turn in a sequence
        "base_lrs": reals,
        "_last_lr": reals,
    }
    _is_initial = False  # during the first epoch, whose rates the optimiser already has

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked(optimizer)
        self.last_epoch = check.integer("last_epoch", last_epoch, -1)
        with unchanged(optimizer):
            for group in optimizer.param_groups:
                if last_epoch != -1 and "initial_lr" not in group:
                    what = 'resuming needs "initial_lr" in every parameter group'
                    raise ValueError(f"last_epoch: {what}")
                group.setdefault("initial_lr", group["lr"])
            self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
            self._initial_step()

    def get_lr(self) -> list[float]:
        """The rates to set at ``last_epoch``, for subclasses: one for each group."""
        raise NotImplementedError

    def step(self, epoch: None = None) -> None:
        """Advance to the next epoch; call it after the optimiser steps of an epoch.

        Raises:
            TypeError, ValueError: a rate is invalid. Nothing has changed then.
        """
        check.unsupported("epoch", epoch, None)
        self._move(last_epoch=self.last_epoch + 1)

    def _move(self, **place: Any) -> None:
        """Set the attributes of another epoch, and its rates."""
        self._join()
        before = {name: getattr(self, name) for name in place}
        vars(self).update(place)
        try:
            changes = self._changes()
        except BaseException as error:
            vars(self).update(before)
            if isinstance(error, (OverflowError, ZeroDivisionError)):
                raise ValueError(f"lr: expected a number at the next epoch: {error}") from None
            raise
        for group, entries in zip(self.optimizer.param_groups, changes, strict=True):
            group.update(entries)
        self._last_lr = self._rates()

    def _changes(self) -> list[dict[str, Any]]:
        """The entries to set in each group at ``last_epoch``."""
        rates = reals("lr", self.get_lr())
        one_each("get_lr", "rates", rates, self.optimizer)
        return [{"lr": rate} for rate in rates]

    def _initial_step(self) -> None:
        self._is_initial = True
        try:
            self.step()
        finally:
            del self._is_initial

    def _restart(self) -> None:
        """Begin at epoch 0 with the initial rates, as the next of a sequence of schedules."""
        self._join()
        with unchanged(self.optimizer):
            for group, initial in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
                group["lr"] = initial
            self._is_initial = True
            try:
                self._move(last_epoch=0)
            finally:
                del self._is_initial

    def _join(self) -> None:
        """Record the initial rates of groups that have been added."""
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            self.base_lrs.append(group.get("initial_lr", group["lr"]))

    def _rates(self) -> list[float]:
        """The current rates."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """Each group's rate after this schedule's last step."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """The arguments and position of the schedule, in PyTorch's form. The rates themselves are
        in the optimiser's state."""
        self._join()
        return {
            name: copy.copy(value)
            for name, value in vars(self).items()
            if name in self._checks or not (name.startswith("_") or name == "optimizer")
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a state of the same kind of schedule, or of PyTorch's schedule of the same name.

        The optimiser's state holds the rates: load it too.

        Raises:
            TypeError, ValueError: entries are missing or invalid. Nothing has changed then.
        """
        vars(self).update(self._checked_state(state_dict))

    def _checked_state(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        check.mapping("state_dict", state_dict)
        names = [*self.state_dict()]
        if absent := [name for name in names if name not in state_dict]:
            raise ValueError(f"state_dict: expected entries {names}, no {absent}")
        state = self._checked_entries({name: state_dict[name] for name in names})
        if "base_lrs" in state:
            one_each("base_lrs", "numbers", state["base_lrs"], self.optimizer)
        return state

    def _checked_entries(self, entries: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._checks[name](name, value) if name in self._checks else copy.copy(value)
            for name, value in entries.items()
        }

    def _set(self, **options: Any) -> None:
        vars(self).update(self._checked_entries(options))


def checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer: expected an Optimizer, got {type(optimizer).__name__}")
    return optimizer


@contextlib.contextmanager
def unchanged(optimizer: Optimizer) -> Iterator[None]:
    """Context that restores the optimiser's groups after an error."""
    before = [dict(group) for group in optimizer.param_groups]
    try:
        yield
    except BaseException:
        for group, entries in zip(optimizer.param_groups, before, strict=True):
            group.clear()
            group.update(entries)
        raise


def one_each(
    name: str, what: str, values: Sequence[Any], optimizer: Optimizer
) -> list[dict[str, Any]]:
    """The optimiser's groups, which must be as many as ``values``."""
    groups = optimizer.param_groups
    if len(values) != len(groups):
        raise ValueError(
            f"{name}: expected {len(groups)} {what}, one for each parameter group, "
            f"got {len(values)}"
        )
    return groups


def for_each(name: str, value: Any, optimizer: Optimizer) -> list[float]:
    """A number for each of the optimiser's groups, from a list of them or one for all."""
    if isinstance(value, (list, tuple)):
        numbers = reals(name, value)
        one_each(name, "numbers", numbers, optimizer)
        return numbers
    return [check.number(name, value, 0)] * len(optimizer.param_groups)


def attributes(function: Any) -> dict[str, Any] | None:
    """The saved state of a function: its attributes, if it is an instance of a user's class."""
    plain = types.FunctionType, types.BuiltinFunctionType, types.MethodType, type
    return None if isinstance(function, plain) else dict(getattr(function, "__dict__", {}))

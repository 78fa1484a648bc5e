"""The optimisers of a run and their schedules, with the interface of one optimiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import minigrad as mg
from cifar.recipes.groups import Part

Schedule = mg.optim.lr_scheduler.LRScheduler


class Optimizers(mg.optim.Optimizer):
    """Several optimisers as one. ``param_groups``, ``state`` and ``state_dict`` concatenate those
    of all.

    Args:
        parts: the parameters and settings of each optimiser.
        parameters: parameters by name.

    Attributes:
        members: the optimisers.
        schedules: their schedules; None for a constant rate.

    Raises:
        AttributeError, TypeError, ValueError, NotImplementedError: an optimiser or schedule does
            not exist, or refuses its options.
    """

    def __init__(self, parts: Iterable[Part], parameters: Mapping[str, mg.nn.Parameter]) -> None:
        self.members: list[mg.optim.Optimizer] = []
        self.schedules: list[Schedule | None] = []
        for part in parts:
            kind = getattr(mg.optim, part.optimizer)
            own = [parameters[name] for name in part.parameters]
            optimizer = kind(own, lr=part.lr, **part.optimizer_options)
            self.members.append(optimizer)
            schedule = part.schedule and getattr(mg.optim.lr_scheduler, part.schedule)
            self.schedules.append(
                schedule(optimizer, **part.schedule_options) if schedule else None
            )
        self.defaults = {}

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The parameter groups of all members."""
        return [group for member in self.members for group in member.param_groups]

    @property
    def state(self) -> dict[mg.Tensor, dict[str, Any]]:  # type: ignore[override]
        """The state of all members."""
        return {p: state for member in self.members for p, state in member.state.items()}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient."""
        loss = None if closure is None else closure()
        for member in self.members:
            member.step()
        return loss

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load the result of ``state_dict``."""
        groups, first = list(state_dict["param_groups"]), 0
        for member in self.members:
            count = len(member.param_groups)
            numbers = [n for group in groups[first : first + count] for n in group["params"]]
            state = {n: state_dict["state"][n] for n in numbers if n in state_dict["state"]}
            member.load_state_dict({"state": state, "param_groups": groups[first : first + count]})
            first += count

    def step_schedules(self, val_loss: float = 0.0) -> None:
        """Set the rates of the next step or epoch, which may depend on the validation loss."""
        step_schedules(self.schedules, val_loss, mg.optim.lr_scheduler.ReduceLROnPlateau)


def step_schedules(schedules: Sequence[Any], val_loss: float, plateau: Any) -> None:
    """Step schedules of either library; those of class ``plateau`` depend on the loss."""
    for schedule in schedules:
        if isinstance(schedule, plateau):
            schedule.step(val_loss)
        elif schedule is not None:
            schedule.step()

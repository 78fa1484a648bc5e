"""Parameter groups of a recipe, their optimisers and schedules, as plain values."""

from __future__ import annotations

import bisect
import fnmatch
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COUNTED_IN_EPOCHS = (  # of a schedule's options
    "T_0", "T_max", "epochs", "milestones", "step_size", "step_size_down", "step_size_up",
    "total_iters", "total_steps",
)  # fmt: skip


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that a recipe trains with other settings.

    Attributes:
        parameters: pattern of their names, as in a shell: "head.weight", "*.norm?.bias".
        optimizer, lr, optimizer_options, schedule_options: replace the recipe's unless None.
        epochs: number of first epochs in which they are trained; None for all epochs.
    """

    parameters: str
    optimizer: str | None = None
    lr: float | None = None
    optimizer_options: Mapping[str, Any] | None = None
    schedule_options: Mapping[str, Any] | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Part:
    """An optimiser of a run, and its schedule, in the words of ``minigrad.optim`` and
    ``torch.optim``.

    Attributes:
        parameters: names of its parameters.
        optimizer, lr, optimizer_options: class and arguments of the optimiser.
        schedule, schedule_options: class and arguments of the schedule, in units of its steps; the
            class is None for a constant rate.
        epochs: see :class:`ParameterGroup`.
    """

    parameters: tuple[str, ...]
    optimizer: str
    lr: float
    optimizer_options: Mapping[str, Any]
    schedule: str | None
    schedule_options: Mapping[str, Any]
    epochs: int | None = None


def divide(names: Iterable[str], groups: Mapping[str, ParameterGroup]) -> dict[str, list[str]]:
    """Parameter names by group, the first whose pattern they match; the others under "".

    Raises:
        ValueError: a group has no parameter.
    """
    members: dict[str, list[str]] = {"": [], **{key: [] for key in groups}}
    for name in names:
        matching = (key for key, g in groups.items() if fnmatch.fnmatchcase(name, g.parameters))
        members[next(matching, "")].append(name)
    for key, group in groups.items():
        if not members[key]:
            raise ValueError(
                f"{key}: no parameter is left that matches {group.parameters!r}; there are "
                f"{', '.join([*names][:4])}, …"
            )
    return members


def in_steps(
    schedule: str | None, options: Mapping[str, Any], steps: int
) -> tuple[str | None, dict[str, Any]]:
    """Class name and options of a schedule with epochs converted to steps, of which an epoch has
    ``steps``. "PiecewiseLinear" becomes a ``LambdaLR``."""
    if schedule == "PiecewiseLinear":
        if options.keys() != {"points"}:
            raise ValueError(f"PiecewiseLinear takes points, got {', '.join(options) or 'nothing'}")
        return "LambdaLR", {"lr_lambda": piecewise_linear(options["points"], steps)}

    def counted(epochs: Any) -> Any:
        if isinstance(epochs, (tuple, list)):
            return tuple(counted(one) for one in epochs)
        return epochs * steps if type(epochs) in (int, float) else epochs  # which it refuses

    # OneCycleLR itself multiplies its epochs by the steps_per_epoch that it wants with them.
    names = {*COUNTED_IN_EPOCHS} - {"epochs"}
    return schedule, {k: counted(v) if k in names else v for k, v in options.items()}


def piecewise_linear(points: Sequence[Any], steps: int) -> Callable[[int], float]:
    """A function from the step to the factor of the rate: linear between ``points`` (epoch,
    factor), and constant before the first and after the last. A fractional number of steps is
    rounded down.

    Raises:
        ValueError: there is no point, a factor is negative, or the epochs do not increase.
    """
    try:
        at, factors = ([float(value) for value in row] for row in zip(*points, strict=True))
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"points: expected pairs (epoch, factor), got {points!r:.80}") from None
    finite = all(map(math.isfinite, (*at, *factors)))
    rising = all(a < b for a, b in itertools.pairwise(at))
    if not finite or not rising or min(at[0], *factors) < 0:
        raise ValueError(
            f"points: expected rising epochs and factors, all from 0, got {points!r:.80}"
        )
    at = [float(int(epoch * steps)) for epoch in at]

    def factor(step: int) -> float:
        after = bisect.bisect_right(at, step)
        if after in (0, len(at)):
            return factors[max(0, after - 1)]
        share = (step - at[after - 1]) / (at[after] - at[after - 1])
        return factors[after - 1] * (1 - share) + factors[after] * share

    return factor

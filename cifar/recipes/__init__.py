"""The documented recipes, one per file; a file ``some_name.py`` holds the recipe "some-name".

Each file defines ``RECIPE``, a frozen :class:`Recipe`: every number that decides a run, and the
figures of the study that it reproduces; where the study tells of its way there, also ``COURSE``,
figures by metric after so many epochs.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any

from cifar.datasets.augment import Augmentation
from cifar.errors import UserError
from cifar.recipes import studies

SCHEDULE = ("schedule", "schedule_options", "restarts")
COUNTED = ("T_max", "milestones", "step_size")  # of a schedule's options, those in epochs


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: plain values, so that a run can record all of it.

    Attributes:
        name, model: of the recipe, and of the model in :mod:`cifar.models`.
        epochs, batch_size: passes over the training set, images per step.
        optimizer: class name in ``minigrad.optim``.
        lr: its learning rate at first.
        optimizer_options: its other options.
        schedule: class name in ``minigrad.optim.lr_scheduler``, stepped once per epoch
            (ReduceLROnPlateau with the evaluation loss); None for a constant rate.
        schedule_options: its options.
        restarts: (epoch, lr): before that epoch, counted from 0, the optimiser starts anew, its
            moments forgotten, at that rate.
        loss: "cross_entropy" or "focal_loss".
        gamma: the focal loss's exponent.
        class_balance: β of class-balanced weights in the loss (see
            :mod:`cifar.datasets.subsets`), or None for equal weights.
        l2: λ of λ Σ w² over the 3 x 3 kernels, a term of the loss and of every loss reported.
        long_tail: the smallest class's share of the largest's images; 1 keeps all.
        validation: training images held out, evaluated on after every epoch in place of the test
            set, which is then used once, after the last.
        augmentation: of training images.
        mean, std: per channel (red, green, blue), of pixels in [0, 1]; they normalise the input.
        claim: the study's own figures, by metric.

    Raises:
        UserError: a restart before the first epoch, or at a rate that is none.
    """

    name: str
    model: str
    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    schedule: str | None = None
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    restarts: tuple[tuple[int, float], ...] = ()
    loss: str = "cross_entropy"
    gamma: float = 0.0
    class_balance: float | None = None
    l2: float = 0.0
    long_tail: float = 1.0
    validation: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    claim: Mapping[str, float] = field(default_factory=dict)

    def lasting(self, epochs: int) -> Recipe:
        """This recipe for another number of epochs: whatever its schedule counts in epochs, and its
        restarts, in proportion, rounded, none before the second epoch."""
        if epochs == self.epochs:
            return self

        def scaled(epoch: Any) -> Any:
            if isinstance(epoch, (tuple, list)):
                return tuple(scaled(one) for one in epoch)
            if type(epoch) is not int or epoch <= 0:
                return epoch  # what is wrong with it, the schedule says
            return max(1, (2 * epoch * epochs + self.epochs) // (2 * self.epochs))

        options = {k: scaled(v) if k in COUNTED else v for k, v in self.schedule_options.items()}
        restarts = tuple((scaled(epoch), lr) for epoch, lr in self.restarts)
        return dataclasses.replace(self, epochs=epochs, schedule_options=options, restarts=restarts)

    def schedule_in_words(self) -> str:
        """The options of the schedule, and the restarts: "T_max 10"; "" of a constant rate."""
        told = dict(self.schedule_options) if self.schedule else {}
        told |= {"restarts": self.restarts} if self.restarts else {}
        return ", ".join(f"{name} {value}" for name, value in told.items())

    def __post_init__(self) -> None:
        for epoch, lr in self.restarts:  # the other numbers are tried before training begins
            if epoch < 0 or not 0 < lr < math.inf:
                expected = "epochs from 0, each with a finite rate above 0"
                raise UserError(f"restarts: expected {expected}, got {self.restarts}")


def names() -> tuple[str, ...]:
    """Names of all recipes."""
    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(studies.__path__)))


def load(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: there is none.
    """
    if name not in names():
        raise UserError(f"recipe: expected one of {', '.join(names())}, got {name!r}")
    recipe: Recipe = _module(name).RECIPE
    return recipe


def course(recipe: Mapping[str, Any]) -> Mapping[int, Mapping[str, float]]:
    """What the study of a recipe, as records hold it, tells of its way: figures by metric, by
    number of epochs done. Empty where it tells nothing, where there is no recipe of that name, and
    where the schedule is another one."""
    nothing: Mapping[int, Mapping[str, float]] = MappingProxyType({})
    name = recipe.get("name")
    if name not in names():
        return nothing
    own = json.loads(json.dumps(dataclasses.asdict(load(name))))
    came = json.loads(json.dumps({field: recipe.get(field, own[field]) for field in SCHEDULE}))
    if any(came[field] != own[field] for field in SCHEDULE):
        return nothing
    return getattr(_module(name), "COURSE", nothing)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{studies.__name__}.{name.replace('-', '_')}")

"""A recipe: every number that decides how a network is trained, as plain values."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import minigrad as mg
from cifar.datasets.augment import Augmentation
from cifar.errors import UserError

SCHEDULE = ("schedule", "schedule_options", "restarts")
COUNTED_IN_EPOCHS = ("T_max", "milestones", "step_size")  # of a schedule's options
LOSSES = ("cross_entropy", "focal_loss")
TAKEN = {"image_size", "name", "num_classes", "seed", "source"}  # no options of a model
MEAN = "numbers from 0 to 1, since pixels are"
STD = "numbers above 0 and at most 1, since pixels are from 0 to 1"


@dataclass(frozen=True)
class Recipe:
    """How a model is trained, checked as a whole when it is made.

    Data:
        batch_size: images per step.
        validation: training images held out and evaluated after every epoch in place of the test
            set, which is then used once, after the last epoch.
        long_tail: the smallest class's share of the largest class's images; 1 keeps all images.
        subset: training images that are used, chosen at random from those that are left; 0 keeps
            all.
        augmentation: of training images.
        mean, std: per channel (red, green, blue) of pixels in [0, 1]; they normalise the input.

    Model:
        model: its name in :mod:`cifar.models`, or FILE.py:FUNCTION of a person's own.

        model_options: its options, such as the channels of "resnet".

    Optimiser:
        epochs: passes over the training set.
        optimizer: class name in ``minigrad.optim``.
        lr: its learning rate at first.
        optimizer_options: its other options.
        schedule: class name in ``minigrad.optim.lr_scheduler``, stepped once per epoch
            (ReduceLROnPlateau with the evaluation loss); None for a constant rate.
        schedule_options: its options.
        restarts: pairs (epoch, lr): before that epoch, counted from 0, the optimiser starts anew at
            that rate, its moments forgotten.

    Loss:
        loss: "cross_entropy" or "focal_loss".
        gamma: the focal loss's exponent.
        class_balance: β of class-balanced weights (see :mod:`cifar.datasets.subsets`), or None for
            equal weights.
        l2: λ of λ Σ w² over the 3 x 3 kernels, a term of the loss and of every loss reported.

    Claim:
        name: of the recipe.
        claim: the study's own figures, by metric.

    Raises:
        UserError: a value is out of range, or the optimiser or schedule refuses its options; the
            message names the field.
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
    model_options: Mapping[str, Any] = field(default_factory=dict)
    subset: int = 0

    def __post_init__(self) -> None:
        beta = self.class_balance
        for name, fits, expected in (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("lr", 0 < self.lr < math.inf, "a finite number above 0"),
            (
                "restarts",
                all(epoch >= 0 and 0 < lr < math.inf for epoch, lr in self.restarts),
                "epochs from 0, each with a finite rate above 0",
            ),
            ("loss", self.loss in LOSSES, f"one of {', '.join(LOSSES)}"),
            ("gamma", 0 <= self.gamma < math.inf, "a finite number from 0"),
            ("class_balance", beta is None or 0 <= beta < 1, "a number from 0, less than 1"),
            ("l2", 0 <= self.l2 < math.inf, "a finite number from 0"),
            ("long_tail", 0 < self.long_tail <= 1, "a number above 0 and at most 1"),
            ("validation", self.validation >= 0, "a whole number from 0"),
            ("subset", self.subset >= 0, "a whole number from 0"),
            ("mean", all(0 <= channel <= 1 for channel in self.mean), MEAN),
            (
                "model_options",
                not TAKEN & self.model_options.keys(),
                f"none of {', '.join(sorted(TAKEN))}",
            ),
            ("std", all(0 < channel <= 1 for channel in self.std), STD),
        ):
            if not fits:
                raise UserError(f"{name}: expected {expected}, got {getattr(self, name)}")
        try:
            self.make_optimizer([mg.nn.Parameter(mg.zeros(1))])
        except (AttributeError, TypeError, ValueError, NotImplementedError) as error:
            raise UserError(f"optimizer and schedule of {self.name}: {error}") from None

    def make_optimizer(
        self, parameters: Iterable[mg.nn.Parameter], epoch: int = 0
    ) -> tuple[mg.optim.Optimizer, Any]:
        """A fresh optimiser and its schedule (None for a constant rate), to start at ``epoch``."""
        kind = getattr(mg.optim, self.optimizer)
        lr = dict(self.restarts).get(epoch, self.lr)
        optimizer: mg.optim.Optimizer = kind(parameters, lr=lr, **self.optimizer_options)
        if self.schedule is None:
            return optimizer, None
        schedule = getattr(mg.optim.lr_scheduler, self.schedule)
        return optimizer, schedule(optimizer, **self.schedule_options)

    def lasting(self, epochs: int) -> Recipe:
        """This recipe for another number of epochs. Its restarts and what its schedule
        counts in epochs are scaled and rounded; none falls before the second epoch."""
        if epochs == self.epochs:
            return self

        def scaled(epoch: Any) -> Any:
            if isinstance(epoch, (tuple, list)):
                return tuple(scaled(one) for one in epoch)
            if type(epoch) is not int or epoch <= 0:
                return epoch  # the schedule refuses it
            return max(1, (2 * epoch * epochs + self.epochs) // (2 * self.epochs))

        options = {
            k: scaled(v) if k in COUNTED_IN_EPOCHS else v for k, v in self.schedule_options.items()
        }
        restarts = tuple((scaled(epoch), lr) for epoch, lr in self.restarts)
        return dataclasses.replace(self, epochs=epochs, schedule_options=options, restarts=restarts)

    def schedule_in_words(self) -> str:
        """The options of the schedule, and the restarts: "T_max 10"; "" of a constant rate."""
        options = dict(self.schedule_options) if self.schedule else {}
        options |= {"restarts": self.restarts} if self.restarts else {}
        return ", ".join(f"{name} {value}" for name, value in options.items())


def plain(value: Any) -> Any:
    """A recipe, or a value of one, as JSON holds it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    return json.loads(json.dumps(value))

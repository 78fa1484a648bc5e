"""A recipe: all settings of a network's training, as plain values."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import minigrad as mg
from cifar.datasets.augment import Augmentation
from cifar.errors import UserError
from cifar.recipes.groups import COUNTED_IN_EPOCHS, ParameterGroup, Part, divide, in_steps
from cifar.recipes.optimizers import Optimizers

SCHEDULE = ("schedule", "schedule_options", "schedule_every", "restarts", "groups")
LOSSES = ("cross_entropy", "focal_loss")
TAKEN = {"image_size", "name", "num_classes", "seed", "source"}  # no options of a model
REDUCTIONS = ("mean", "sum")
EVERY = ("epoch", "step")
MANY = 1000  # steps of an epoch, if unknown: a schedule in epochs is not refused for few steps
MEAN = "numbers from 0 to 1, since pixels are"
STD = "numbers above 0 and at most 1, since pixels are from 0 to 1"


@dataclass(frozen=True)
class Lookahead:
    """A running average of weights and running statistics, which replaces the model's at intervals:
    average ← d · average + (1 − d) · model, then model ← average, after every ``every`` steps, with
    d = decay · (t / T)^power after step t of T; and at the end of training once more with d = 1.

    Zhang et al., *Lookahead optimizer: k steps forward, 1 step back* (NeurIPS 2019), with the
    growing decay of Jordan (arXiv 2404.00498).

    Raises:
        UserError: a value is out of range.
    """

    every: int = 5
    decay: float = 0.95**5
    power: float = 3.0

    def __post_init__(self) -> None:
        for name, fits, expected in (
            ("every", self.every >= 1, "at least 1"),
            ("decay", 0 <= self.decay <= 1, "a number from 0 to 1"),
            ("power", 0 <= self.power < math.inf, "a finite number from 0"),
        ):
            if not fits:
                raise UserError(f"lookahead.{name}: expected {expected}, got {getattr(self, name)}")

    def decay_at(self, step: int, steps: int) -> float:
        """d after step ``step`` of ``steps``, counted from 1."""
        return self.decay * (step / steps) ** self.power


@dataclass(frozen=True)
class Recipe:
    """The settings of a training, checked as a whole on creation.

    Data:
        batch_size: images per step.
        validation: number of training images held out and evaluated after every epoch instead of
            the test set, which is then evaluated only after the last epoch.
        long_tail: size of the smallest class as a fraction of the largest; 1 keeps all images.
        subset: number of training images used, chosen at random from the remaining ones; 0 for all.
        augmentation: augmentation of training images.
        mean, std: per channel (red, green, blue), for pixels in [0, 1]; they normalise the input.
        drop_last: drop the last batch of an epoch if it is smaller than the others.
        tta: also evaluate the last epoch with test-time augmentation (:mod:`cifar.results.tta`).

    Model:
        model: name in :mod:`cifar.models`, or FILE.py:FUNCTION of the user.
        whiten: number of training images from which the filters of the model's layer ``whiten``
            are computed (see :mod:`cifar.datasets.whitening`); 0 for none.
        model_options: options of the model, such as the channels of "resnet".

    Optimiser:
        epochs: passes over the training set.
        optimizer: class name in ``minigrad.optim``.
        lr: initial learning rate.
        optimizer_options: other options of the optimiser.
        schedule: class name in ``minigrad.optim.lr_scheduler`` (ReduceLROnPlateau uses the
            evaluation loss), or "PiecewiseLinear", whose option "points" holds pairs (epoch, factor
            of lr); None for a constant rate.
        schedule_options: options of the schedule, in units of epochs.
        schedule_every: "epoch" or "step", after which the schedule sets the rate.
        restarts: pairs (epoch, lr): before that epoch, counted from 0, the optimiser is created
            anew with that rate, without its moments.
        groups: parameter groups with their own optimisers, by a name of your choice; a parameter
            belongs to the first group that it matches.
        lookahead: an average that replaces the model at intervals (:class:`Lookahead`), or None.

    Loss:
        loss: "cross_entropy" or "focal_loss".
        reduction: "mean" or "sum" of a batch's losses, for the gradient. Losses are reported as
            means.
        label_smoothing: fraction of the cross-entropy's target that is spread over all classes.
        gamma: exponent of the focal loss.
        class_balance: β of class-balanced weights (see :mod:`cifar.datasets.subsets`), or None for
            equal weights.
        l2: λ of λ Σ w² over the 3 x 3 kernels, a term of the loss and of every reported loss.

    Claim:
        name: name of the recipe.
        claim: the study's figures, by metric.

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
    schedule_every: str = "epoch"
    restarts: tuple[tuple[int, float], ...] = ()
    groups: Mapping[str, ParameterGroup] = field(default_factory=dict)
    lookahead: Lookahead | None = None
    loss: str = "cross_entropy"
    reduction: str = "mean"
    label_smoothing: float = 0.0
    gamma: float = 0.0
    class_balance: float | None = None
    l2: float = 0.0
    long_tail: float = 1.0
    validation: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    drop_last: bool = False
    whiten: int = 0
    tta: bool = False
    claim: Mapping[str, float] = field(default_factory=dict)
    model_options: Mapping[str, Any] = field(default_factory=dict)
    subset: int = 0

    def __post_init__(self) -> None:
        beta, plateau = self.class_balance, self.schedule == "ReduceLROnPlateau"
        rates = [g.lr for g in self.groups.values() if g.lr is not None]
        trained = [g.epochs for g in self.groups.values() if g.epochs is not None]
        for name, fits, expected in (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("lr", 0 < self.lr < math.inf, "a finite number above 0"),
            (
                "restarts",
                all(epoch >= 0 and 0 < lr < math.inf for epoch, lr in self.restarts),
                "epochs from 0, each with a finite rate above 0",
            ),
            ("restarts", not (self.restarts and self.groups), "none beside groups"),
            ("groups", all(0 < lr < math.inf for lr in rates), "finite rates above 0"),
            ("groups", all(epochs >= 1 for epochs in trained), "epochs from 1"),
            ("schedule_every", self.schedule_every in EVERY, f"one of {', '.join(EVERY)}"),
            (
                "schedule_every",
                self.schedule_every == "epoch" or not plateau,
                "epoch, after which the loss that ReduceLROnPlateau follows is known",
            ),
            ("loss", self.loss in LOSSES, f"one of {', '.join(LOSSES)}"),
            ("reduction", self.reduction in REDUCTIONS, f"one of {', '.join(REDUCTIONS)}"),
            (
                "reduction",
                self.reduction == "mean" or (self.loss == "cross_entropy" and not self.l2),
                "mean with focal_loss or l2",
            ),
            ("label_smoothing", 0 <= self.label_smoothing <= 1, "a number from 0 to 1"),
            (
                "label_smoothing",
                not self.label_smoothing or self.loss == "cross_entropy",
                "0 with focal_loss",
            ),
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
            ("whiten", self.whiten >= 0, "a whole number from 0"),
        ):
            if not fits:
                raise UserError(f"{name}: expected {expected}, got {getattr(self, name)}")
        for key in ("", *self.groups):
            try:
                self._stand_in(key, MANY)
            except (AttributeError, TypeError, ValueError, NotImplementedError) as error:
                where = f"group {key} of {self.name}" if key else self.name
                raise UserError(f"optimizer and schedule of {where}: {error}") from None

    def _stand_in(self, group: str, steps: int, epoch: int = 0) -> Optimizers:
        """The optimiser of a group, "" being the recipe itself, for a parameter of no model."""
        parts = self._parts({group: [""]}, steps, epoch)
        return Optimizers(parts, {"": mg.nn.Parameter(mg.zeros(1, 1))})

    def _parts(self, names: Mapping[str, Iterable[str]], steps: int, epoch: int = 0) -> list[Part]:
        """A part per group of ``names``, "" being the recipe itself."""
        per = steps if self.schedule_every == "step" else 1
        parts = []
        for key, members in names.items():
            group = self.groups[key] if key else ParameterGroup("*")

            def own(name: str, group: ParameterGroup = group) -> Any:
                value = getattr(group, name)
                return getattr(self, name) if value is None else value

            rate = own("lr") if key else dict(self.restarts).get(epoch, self.lr)
            schedule, options = in_steps(self.schedule, own("schedule_options"), per)
            parts.append(
                Part(
                    tuple(members),
                    own("optimizer"),
                    rate,
                    own("optimizer_options"),
                    schedule,
                    options if schedule else {},
                    group.epochs,
                )
            )
        return parts

    def parts(self, names: Iterable[str], steps: int, epoch: int = 0) -> list[Part]:
        """The optimisers of the named parameters from ``epoch`` on, with ``steps`` steps per epoch.
        The recipe's own optimiser is first, unless all parameters belong to groups.

        Raises:
            UserError: a group has no parameter.
        """
        try:
            divided = divide([*names], self.groups)
        except ValueError as error:
            raise UserError(f"groups: {error}") from None
        return self._parts({k: members for k, members in divided.items() if members}, steps, epoch)

    def make_optimizer(
        self, parameters: Mapping[str, mg.nn.Parameter], steps: int, epoch: int = 0
    ) -> Optimizers:
        """New optimisers of the named ``parameters``, with their schedules; see :meth:`parts`."""
        return Optimizers(self.parts(parameters, steps, epoch), parameters)

    def check_rates(self, steps: int) -> None:
        """Check that the schedules have a rate for every step of the run, with ``steps`` steps per
        epoch. It is no check of a recipe itself: files of runs that ended too early can be read.

        Raises:
            UserError: one has none, such as a OneCycleLR of fewer epochs.
        """
        if self.schedule in (None, "ReduceLROnPlateau"):  # whose rates go on for ever
            return
        per = steps if self.schedule_every == "step" else 1
        starts = {0, *(epoch for epoch, _ in self.restarts if epoch < self.epochs)}
        for first, end in itertools.pairwise(sorted({*starts, self.epochs})):
            for key in ("", *self.groups):
                try:
                    optimizer = self._stand_in(key, steps, first)
                    for _ in range((end - first) * per):
                        optimizer.step_schedules()
                except (TypeError, ValueError) as error:
                    own = key and self.groups[key].schedule_options is not None
                    name = f"groups.{key}.schedule_options" if own else "schedule_options"
                    raise UserError(
                        f"{name}: expected rates for {end - first} epochs of {steps} steps, got a "
                        f"{self.schedule} that ends or fails before: {error}"
                    ) from None

    def lasting(self, epochs: int) -> Recipe:
        """This recipe for another number of epochs. Restarts and schedule options in units of
        epochs are scaled, and rounded if they are whole; none falls before the second epoch."""
        if epochs == self.epochs:
            return self

        def scaled(epoch: Any) -> Any:
            if isinstance(epoch, (tuple, list)):
                return tuple(scaled(one) for one in epoch)
            if type(epoch) is float:  # a schedule that takes it needs no whole number
                return epoch * epochs / self.epochs
            if type(epoch) is not int or epoch <= 0:
                return epoch  # the schedule refuses it
            return max(1, (2 * epoch * epochs + self.epochs) // (2 * self.epochs))

        def stretched(options: Mapping[str, Any]) -> dict[str, Any]:
            scaled_options = {
                k: scaled(v) if k in COUNTED_IN_EPOCHS else v for k, v in options.items()
            }
            if self.schedule == "PiecewiseLinear" and "points" in scaled_options:  # not rounded
                scaled_options["points"] = tuple(
                    (e * epochs / self.epochs, f) for e, f in scaled_options["points"]
                )
            return scaled_options

        groups = {
            key: dataclasses.replace(
                group,
                epochs=None if group.epochs is None else scaled(group.epochs),
                schedule_options=None
                if group.schedule_options is None
                else stretched(group.schedule_options),
            )
            for key, group in self.groups.items()
        }
        return dataclasses.replace(
            self,
            epochs=epochs,
            schedule_options=stretched(self.schedule_options),
            restarts=tuple((scaled(epoch), lr) for epoch, lr in self.restarts),
            groups=groups,
        )

    def schedule_in_words(self) -> str:
        """The options of the schedule, and the restarts, such as "T_max 10"; "" for a constant
        rate."""
        options = dict(self.schedule_options) if self.schedule else {}
        options |= {"restarts": self.restarts} if self.restarts else {}
        return ", ".join(f"{name} {value}" for name, value in options.items())


def plain(value: Any) -> Any:
    """A recipe, or a value of one, as in JSON."""
    return json.loads(json.dumps(value, default=dataclasses.asdict))

"""The documented recipes, one per file; a file ``some_name.py`` holds the recipe "some-name".

Each file defines ``RECIPE``, a frozen :class:`Recipe`: every number that decides a run, and the
figures of the study that it reproduces.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cifar.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        name, model: of the recipe, and of the model in :mod:`cifar.models`.
        epochs, batch_size: passes over the training set, images per step.
        optimizer: class name in ``minigrad.optim``.
        lr: its learning rate, constant unless a schedule is given.
        optimizer_options: its other options.
        crop: largest shift in pixels of a random crop from the zero-padded image.
        flip: mirror half of the images left to right.
        mean, std: per channel (red, green, blue), of pixels in [0, 1]; they normalise the input.
        claim: the study's own figures, by metric.
    """

    name: str
    model: str
    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    crop: int = 0
    flip: bool = False
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    claim: Mapping[str, float] = field(default_factory=dict)


def names() -> tuple[str, ...]:
    """Names of all recipes."""
    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__)))


def load(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UserError: there is none.
    """
    if name not in names():
        raise UserError(f"recipe: expected one of {', '.join(names())}, got {name!r}")
    recipe: Recipe = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").RECIPE
    return recipe

"""The documented models, one per file; a file ``some_name.py`` holds the model "some-name".

Each file defines ``create(num_classes, image_size) -> Module``.
"""

from __future__ import annotations

import importlib
import pkgutil

import minigrad as mg
from cifar.errors import UserError


def names() -> tuple[str, ...]:
    """Names of all models."""
    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__)))


def create(name: str, num_classes: int = 10, seed: int = 0, image_size: int = 32) -> mg.nn.Module:
    """A freshly initialised model: images (N, 3, image_size, image_size) to logits
    (N, num_classes).

    Raises:
        UserError: there is no model of that name, or it is for images of other sizes.
    """
    if name not in names():
        raise UserError(f"model: expected one of {', '.join(names())}, got {name!r}")
    mg.manual_seed(seed)
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    try:
        model: mg.nn.Module = module.create(num_classes, image_size)
    except ValueError as error:
        raise UserError(f"image_size: {name} is not for such images: {error}") from None
    return model

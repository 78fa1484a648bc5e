"""The documented models, one per file; a file ``some_name.py`` holds the model "some-name".

Each file defines ``create(num_classes, image_size) -> Module``.
"""

from __future__ import annotations

import importlib
import pkgutil

import minigrad as mg
from cifar import own_code
from cifar.errors import UserError
from cifar.own_code import Source


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


def build(
    name: str, num_classes: int, seed: int, image_size: int, source: Source | None
) -> mg.nn.Module:
    """A model by name, or the one that a person's own ``source`` makes.

    Raises:
        UserError: see :func:`create`; or the name is that of a file, and its source is missing.
    """
    if source is not None:
        return own_code.make_model(source, num_classes, seed, image_size)
    return create(name, num_classes, seed, image_size)

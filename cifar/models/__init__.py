"""The models, one per file; a file ``some_name.py`` has the model "some-name".

Each file defines ``create(num_classes, image_size) -> Module``; options of a model are further
arguments, by keyword (``Recipe.model_options``).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

import minigrad as mg
from cifar import own_code
from cifar.errors import UserError
from cifar.own_code import Source


def names() -> tuple[str, ...]:
    """Names of all models."""
    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(__path__)))


def create(
    name: str, num_classes: int = 10, seed: int = 0, image_size: int = 32, **options: Any
) -> mg.nn.Module:
    """A freshly initialised model: images (N, 3, image_size, image_size) to logits
    (N, num_classes).

    Args:
        options: options of the model; see its file.

    Raises:
        UserError: there is no model of that name, it has no such option, or it does not accept
            that image size.
    """
    if name not in names():
        raise UserError(f"model: expected one of {', '.join(names())}, got {name!r}")
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    known = [*inspect.signature(module.create).parameters][2:]
    for option in options:
        if option not in known:
            some = f"some of {', '.join(known)}" if known else "none"
            raise UserError(f"model_options: {name} has {some}, got {option!r:.80}")
    mg.manual_seed(seed)
    try:
        model: mg.nn.Module = module.create(num_classes, image_size, **options)
    except ValueError as error:
        if options:
            raise UserError(f"model_options: {name}: {error}") from None
        raise UserError(f"image_size: {name} is not for such images: {error}") from None
    return model


def build(
    name: str,
    num_classes: int,
    seed: int,
    image_size: int,
    source: Source | None,
    **options: Any,
) -> mg.nn.Module:
    """A model by name, or from the user's own ``source``.

    Raises:
        UserError: as :func:`create`; or the name is that of a file, and its source is missing.
    """
    if source is not None:
        return own_code.make_model(source, num_classes, seed, image_size, **options)
    return create(name, num_classes, seed, image_size, **options)

"""The documented recipes, one per file of ``studies/``; ``some_name.py`` holds "some-name".

Each file defines ``RECIPE``, a :class:`Recipe`: every number that decides a run, and the figures of
the study that it reproduces; where the study reports its way there, also ``COURSE``, figures by
metric after so many epochs.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from cifar import own_code
from cifar.errors import UserError
from cifar.recipes import studies
from cifar.recipes.recipe import SCHEDULE, Recipe, plain

__all__ = [
    "FIXED", "SCHEDULE", "Recipe", "changes", "continued", "course", "is_own", "load", "names",
    "plain",
]  # fmt: skip

FIXED = ("name", "claim")  # fields that are no settings


def names() -> tuple[str, ...]:
    """Names of all recipes."""
    return tuple(sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(studies.__path__)))


def load(name: str | Recipe) -> Recipe:
    """The recipe of that name, or ``RECIPE`` of a Python file that a person names, whose code runs.
    A recipe is itself.

    Raises:
        UserError: there is none, or the file cannot be used.
    """
    if isinstance(name, Recipe):
        return name
    if is_own(name):
        return _from_file(name)
    if name not in names():
        raise UserError(f"recipe: expected one of {', '.join(names())}, got {name!r}")
    recipe: Recipe = _module(name).RECIPE
    return recipe


def is_own(name: str) -> bool:
    """Whether a recipe is a person's own: it has the name of its file, such as my_recipe.py."""
    return own_code.is_path(name)


def _from_file(name: str) -> Recipe:
    source = own_code.read(name)
    found = getattr(own_code.run(source), "RECIPE", None)
    if not isinstance(found, Recipe):
        raise UserError(f"recipe: {name} does not define RECIPE, a Recipe; see cifar new-recipe")
    model = found.model
    if own_code.is_path(model):  # a path beside the recipe's
        model = os.path.join(os.path.dirname(source.file), model)
    return dataclasses.replace(found, name=Path(source.file).name, model=model)


def course(recipe: Recipe) -> Mapping[int, Mapping[str, float]]:
    """What the study of a recipe reports of its way: figures by metric, by number of epochs done.

    It is empty where the study reports nothing, where there is no recipe of that name, and where
    the schedule is another one.
    """
    nothing: Mapping[int, Mapping[str, float]] = MappingProxyType({})
    if recipe.name not in names() or schedule(recipe) != schedule(load(recipe.name)):
        return nothing
    return getattr(_module(recipe.name), "COURSE", nothing)


def schedule(recipe: Recipe) -> dict[str, Any]:
    """The fields that determine the learning rates, as JSON holds them."""
    return {name: plain(getattr(recipe, name)) for name in SCHEDULE}


def continued(then: Recipe, epochs: int) -> Recipe:
    """``then`` for a run that goes on to so many epochs, its schedule in proportion.

    A schedule that follows the recipe's own is taken from that, so that it is rounded once.
    """
    if is_own(then.name):
        return then.lasting(epochs)
    own = load(then.name)
    if schedule(then) != schedule(own.lasting(then.epochs)):
        return then.lasting(epochs)
    stretched = own.lasting(epochs)
    return dataclasses.replace(
        then, epochs=epochs, **{name: getattr(stretched, name) for name in SCHEDULE}
    )


def changes(now: Recipe, own: Recipe | None = None) -> dict[str, Any]:
    """The fields by which ``now`` differs from ``own``, or else from the recipe of its name."""
    own = own or load(now.name)
    base = dataclasses.replace(own.lasting(now.epochs), epochs=own.epochs)
    fields = [f.name for f in dataclasses.fields(now) if f.name not in FIXED]
    return {
        name: getattr(now, name)
        for name in fields
        if plain(getattr(now, name)) != plain(getattr(base, name))
    }


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{studies.__name__}.{name.replace('-', '_')}")

"""The recipes, one per file of ``studies/``; ``some_name.py`` has "some-name".

Each file defines ``RECIPE``, a :class:`Recipe` with all settings of a run and the figures of the
study that it reproduces. If the study reports figures during training, the file also defines
``COURSE``, a dict of these by number of epochs and metric.
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
    """The recipe of that name, or ``RECIPE`` of a Python file of the user, which is executed. A
    recipe is returned unchanged.

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
    """Whether a recipe is the user's own: then its name is that of its file, such as
    my_recipe.py."""
    return own_code.is_path(name)


def _from_file(name: str) -> Recipe:
    source = own_code.read(name)
    recipe = getattr(own_code.run(source), "RECIPE", None)
    if not isinstance(recipe, Recipe):
        raise UserError(f"recipe: {name} does not define RECIPE, a Recipe; see cifar new-recipe")
    model, whole = recipe.model, os.path.abspath(source.file)
    if model.startswith(whole):  # by __file__: named as the user does, on any machine
        model = source.file + model.removeprefix(whole)
    elif own_code.is_path(model):  # a path beside the recipe's
        model = os.path.join(os.path.dirname(source.file), model)
    return dataclasses.replace(recipe, name=Path(source.file).name, model=model)


def course(recipe: Recipe) -> Mapping[int, Mapping[str, float]]:
    """The figures that the study of a recipe reports during training, by epochs done and metric.

    Empty if the study reports none, if there is no recipe of that name, or if the schedule differs.
    """
    nothing: Mapping[int, Mapping[str, float]] = MappingProxyType({})
    if recipe.name not in names() or schedule(recipe) != schedule(load(recipe.name)):
        return nothing
    return getattr(_module(recipe.name), "COURSE", nothing)


def schedule(recipe: Recipe) -> dict[str, Any]:
    """The fields that determine the learning rates, as in JSON."""
    return {name: plain(getattr(recipe, name)) for name in SCHEDULE}


def continued(then: Recipe, epochs: int) -> Recipe:
    """``then`` for a run that is continued to ``epochs`` epochs, with its schedule in proportion.

    A schedule that equals the recipe's own is scaled from that, so that it is rounded only once.
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
    """The fields in which ``now`` differs from ``own`` (default: the recipe of the same name)."""
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

"""The documented recipes, one per file of ``studies/``; ``some_name.py`` holds "some-name".

Each file defines ``RECIPE``, a :class:`Recipe`: every number that decides a run, and the figures of
the study that it reproduces; where the study reports its way there, also ``COURSE``, figures by
metric after so many epochs.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from cifar.errors import UserError
from cifar.recipes import studies
from cifar.recipes.recipe import SCHEDULE, Recipe, plain

__all__ = [
    "FIXED", "SCHEDULE", "Recipe", "changes", "continued", "course", "load", "names", "plain",
]  # fmt: skip

FIXED = ("name", "claim")  # fields that are no settings


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
    own = load(then.name)
    if schedule(then) != schedule(own.lasting(then.epochs)):
        return then.lasting(epochs)
    stretched = own.lasting(epochs)
    return dataclasses.replace(
        then, epochs=epochs, **{name: getattr(stretched, name) for name in SCHEDULE}
    )


def changes(now: Recipe) -> dict[str, Any]:
    """The fields by which ``now`` differs from the recipe of its name."""
    own = load(now.name)
    base = dataclasses.replace(own.lasting(now.epochs), epochs=own.epochs)
    fields = [f.name for f in dataclasses.fields(now) if f.name not in FIXED]
    return {
        name: getattr(now, name)
        for name in fields
        if plain(getattr(now, name)) != plain(getattr(base, name))
    }


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{studies.__name__}.{name.replace('-', '_')}")

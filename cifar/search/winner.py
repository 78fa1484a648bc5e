"""The best trial: its accuracy on the test set, evaluated once, and its settings as a recipe."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optuna.trial import FixedTrial, FrozenTrial

import minigrad as mg
from cifar import own_code, process, recipes
from cifar.errors import UserError
from cifar.recipes import Recipe
from cifar.results import evaluate
from cifar.results.report import runs
from cifar.search.live import ranked
from cifar.search.request import Settings
from cifar.search.study import PLACE, Study

TEST = "test"  # what is noted of a study: {"number", "accuracy", "loss"} of its winner
RECIPE = "best.py"


def evaluate_once(study: Study, settings: Settings) -> None:
    """Store the accuracy of the best trial on the test set, unless it is known already, or another
    machine has the weights."""
    best = next(iter(ranked(study.all())), None)
    if best is None or best.user_attrs.get(PLACE) != study.place:
        return
    folder = study.folder(best.number)
    with process.held(study.out / "winner.lock", wait=True):
        if tested(study, best) is not None:
            return
        out = folder / runs.EVALUATION
        if not (out / "evaluation.json").exists():
            evaluate.run(
                evaluate.Settings(
                    str(folder),
                    last=True,
                    data_dir=settings.data_dir,
                    device=settings.device.partition(",")[0],
                    out=str(out),
                    progress=False,
                )
            )
        figures = json.loads((out / "evaluation.json").read_text("utf-8"))
        result = {name: figures[name] for name in ("accuracy", "loss", "images")}
        study.note(TEST, {"number": best.number, **result})


def tested(study: Study, best: FrozenTrial) -> dict[str, Any] | None:
    """The stored results of the best trial on the test set."""
    result = study.attrs.get(TEST)
    return result if result and result["number"] == best.number else None


def recipe_of(study: Study, trial: FrozenTrial) -> Recipe:
    """The recipe of a trial."""
    try:
        return study.plan.space.recipe_of(study.plan.space.draw(FixedTrial(trial.params)))
    except ValueError as error:
        raise UserError(f"study: trial {trial.number} is not of its space: {error}") from None


def recipe_for_file(study: Study, best: FrozenTrial) -> Recipe:
    """The best trial's settings, with the number of epochs of the space's recipe, and with all
    images that are not held out."""
    own = recipes.load(study.plan.space.recipe)
    return dataclasses.replace(recipe_of(study, best).lasting(own.epochs), subset=0, claim={})


def write_recipe(study: Study, best: FrozenTrial, path: Path) -> None:
    """Write a recipe file for ``cifar train``."""
    mg.checkpoint.write_text(path, source(recipe_for_file(study, best), study, best))


def source(recipe: Recipe, study: Study, best: FrozenTrial) -> str:
    """The text of a file that defines ``recipe``."""
    epochs = study.plan.space.epochs
    lines = [
        f'"""Trial {best.number} of the search {study.plan.name}: {best.values[0]:.2%} of the '
        "validation images",
        f"after {epochs} epoch{'s' * (epochs != 1)}. `cifar train ./{RECIPE}`",
        '"""',
        "",
    ]
    values = {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)}
    values["name"] = Path(RECIPE).stem
    if own_code.is_path(recipe.model):  # a relative one would be taken as beside this file
        values["model"] = os.path.abspath(recipe.model)
    given = {}
    for field in dataclasses.fields(recipe):
        default = (
            field.default_factory()
            if field.default_factory is not dataclasses.MISSING
            else field.default
        )
        if values[field.name] != default:
            given[field.name] = values[field.name]
    classes = {Recipe, *_classes_in(list(given.values()))}
    imports = [f"from {one.__module__} import {one.__name__}" for one in classes]
    fields = [f"    {name}={value!r}," for name, value in given.items()]
    return "\n".join([*lines, *sorted(imports), "", "RECIPE = Recipe(", *fields, ")", ""])


def _classes_in(value: Any) -> Iterator[type]:
    """The dataclasses whose names are in the ``repr`` of ``value``."""
    if dataclasses.is_dataclass(value):
        yield type(value)
        value = vars(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    for one in value if isinstance(value, (list, tuple)) else ():
        yield from _classes_in(one)

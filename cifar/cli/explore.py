"""``cifar explore``: a page that replays one training step of a recipe."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tyro

import minigrad as mg
from cifar import datasets, models, own_code, process, recipes
from cifar.cli.command import Command
from cifar.datasets import augment, subsets, whitening
from cifar.errors import UserError
from cifar.recipes import overrides
from cifar.training.objective import make_objective

# The fields of a recipe that a step depends on, up to the gradients.
SEEN: Final = {
    "model", "model_options", "whiten", "mean", "std", "validation", "long_tail", "subset",
    "loss", "reduction", "label_smoothing", "gamma", "class_balance", "l2",
}  # fmt: skip


@dataclass(frozen=True)
class Explore:
    """A page that replays one training step of a recipe's network: values, gradients, memory.

    Attributes:
        recipe: the recipe's name, or your own FILE.py; `cifar recipes` lists them.
        dataset: cifar10, synthetic, or auto: CIFAR-10 if it is on this machine, otherwise the
            built-in synthetic set, with a note.
        data_dir: folder of CIFAR-10 (default: the usual places).
        seed: seed of the weights and of dropout.
        batch: number of images of the step, taken from the start of the training set.
        out: the HTML file (default: explore-RECIPE.html).
        set: FIELD=VALUE, such as loss=focal_loss, changes a field of the recipe; may be repeated.
    """

    recipe: tyro.conf.Positional[str]
    dataset: str = "auto"
    data_dir: str | None = None
    seed: int = 0
    batch: int = 8
    out: str | None = None
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()


def write_page(settings: Explore) -> int:
    """Write the page, and print where it is."""
    for name, least in (("seed", 0), ("batch", 2)):
        if (value := getattr(settings, name)) < least:
            raise UserError(f"{name}: expected a whole number from {least}, got {value}")
    recipe = recipes.load(settings.recipe)
    changes = overrides.parse(recipe, settings.set)
    if idle := changes.keys() - SEEN:
        raise UserError(
            f"set: {min(idle)} has no effect on the page, which shows a step up to its gradients, "
            "without augmentation"
        )
    recipe = dataclasses.replace(recipe, **changes)
    overrides.refuse_idle(recipe, changes)
    source = own_code.read(recipe.model) if own_code.is_path(recipe.model) else None
    data = datasets.load(settings.dataset, "train", settings.data_dir)
    data, _ = subsets.split(data, recipe.validation, recipe.long_tail, recipe.subset)
    out = Path(settings.out or f"explore-{Path(recipe.name).stem}.html")
    classes, side = len(data.classes), data.images.shape[-1]
    model = models.build(recipe.model, classes, settings.seed, side, source, **recipe.model_options)
    if recipe.whiten:
        whitening.whiten(model, data.images[: recipe.whiten], recipe.mean, recipe.std)
    counts = subsets.class_counts(data.labels, classes)
    objective = make_objective(recipe, model, counts, mg.device("cpu"))
    pixels = mg.tensor(data.images[: settings.batch])
    inputs = {
        "images": augment.normalize(pixels, recipe.mean, recipe.std),
        "labels": mg.tensor(data.labels[: settings.batch]),
    }
    mg.manual_seed(settings.seed)  # for dropout
    with process.writing("out", out):
        mg.explore(
            lambda images, labels: objective(model(images), labels),
            out,
            inputs,
            f"{recipe.name}: one training step",
        )
    print(f"a training step of {recipe.name} on {len(pixels)} images is in {out}")
    return 0


EXPLORE = Command(Explore, write_page)

"""``cifar explore``: a page that replays one training step of a recipe."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import tyro

import minigrad as mg
from cifar import datasets, models, process, recipes
from cifar.cli.command import Command
from cifar.datasets import augment, subsets
from cifar.errors import UserError
from cifar.recipes import overrides
from cifar.training.objective import make_objective


@dataclass(frozen=True)
class Explore:
    """A page that replays one training step of a recipe's network: values, gradients, memory.

    Attributes:
        recipe: the recipe's name; `cifar recipes` lists them.
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
    recipe = dataclasses.replace(recipe, **overrides.parse(recipe, settings.set))
    data = datasets.load(settings.dataset, "train", settings.data_dir)
    out = Path(settings.out or f"explore-{recipe.name}.html")
    classes = len(data.classes)
    model = models.create(recipe.model, classes, settings.seed, **recipe.model_options)
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

"""``cifar recipes``, ``cifar models`` and ``cifar augment``: recipes, networks, augmentation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tyro

from cifar import datasets, models, own_code, process, recipes, summary
from cifar.cli.command import Command
from cifar.errors import UserError
from cifar.recipes import overrides, template
from cifar.recipes.groups import ParameterGroup
from cifar.recipes.recipe import Lookahead
from cifar.results import plots, report, tables


@dataclass(frozen=True)
class Recipes:
    """Show the studies' recipes: how each network is trained, and the study's results.

    Attributes:
        name: show all settings of this recipe, or of your own FILE.py.
    """

    name: tyro.conf.Positional[str | None] = None


def show_recipes(settings: Recipes) -> int:
    """Print a table of all recipes, or all settings of one."""
    if settings.name is not None:
        recipe = recipes.load(settings.name)
        fields = dataclasses.fields(recipe)
        settings_rows = [(f.name, _as_text(getattr(recipe, f.name))) for f in fields]
        print(tables.table(("setting", "value"), settings_rows))
        return 0
    header = ("recipe", "model", "parameters", "epochs", "batch", "optimizer", "lr", "study")
    rows = []
    for name in recipes.names():
        r = recipes.load(name)
        size = sum(p.numel() for p in models.create(r.model, **r.model_options).parameters())
        claims = [f"{k.replace('_', ' ')} {report.figure(k, v)}" for k, v in r.claim.items()]
        rows.append(
            (name, r.model, size, r.epochs, r.batch_size, r.optimizer, r.lr, ", ".join(claims))
        )
    print(tables.table(header, rows))
    return 0


def _as_text(value: object, inner: bool = False) -> str:
    """A setting's value, written much as for --set: 0.001, momentum=0.9, "crop 2 px, flip"."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={_as_text(v, True)}" for k, v in value.items()) or "none"
    if isinstance(value, tuple):
        items = ", ".join(_as_text(v, True) for v in value)
        return f"[{items}]" if inner else items or "none"
    if isinstance(value, (ParameterGroup, Lookahead)):
        given = dataclasses.asdict(value).items()
        return f"[{_as_text({k: v for k, v in given if v is not None})}]"
    return "none" if value is None else str(value)


RECIPES = Command(Recipes, show_recipes)


@dataclass(frozen=True)
class NewRecipe:
    """Write a file with a recipe and a model to start from; then run `cifar train ./FILE.py`.

    Attributes:
        file: the .py file to write.
    """

    file: tyro.conf.Positional[str]


def write_recipe(settings: NewRecipe) -> int:
    """Write the file, unless it exists, and print the next command."""
    path = Path(settings.file)
    if path.suffix != ".py":
        raise UserError(f"file: expected a name that ends in .py, got {path}")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template.TEXT.format(file=path.name, name=path.stem))
    except FileExistsError:
        raise UserError(f"file: {path} exists; name another one") from None
    except OSError as error:
        raise UserError(f"file: cannot write {path}: {error.strerror}") from None
    word = process.shell_word(str(path))
    print(f"a recipe and a model are in {path}; next: cifar train {word}")
    return 0


NEW_RECIPE = Command(NewRecipe, write_recipe)


@dataclass(frozen=True)
class Models:
    """Show the studies' networks: parameters and multiply-adds, or one of them layer by layer.

    Attributes:
        name: show the layers of this model, or of your own FILE.py:FUNCTION: output shape,
            parameters, multiply-adds for one image.
    """

    name: tyro.conf.Positional[str | None] = None


def show_models(settings: Models) -> int:
    """Print a table of all models, or of the layers of one."""
    rows: list[tuple[object, ...]]
    if settings.name is None:
        header = ("model", "parameters", "running statistics", "multiply-adds", "MB")
        rows = []
        for name in models.names():
            s = summary.summarize(models.create(name))
            megabytes = f"{4 * (s.parameters + s.statistics) / 1e6:.1f}"
            rows.append((name, s.parameters, s.statistics, s.multiply_adds, megabytes))
        print(tables.table(header, rows))
        return 0
    source = own_code.read(settings.name) if own_code.is_path(settings.name) else None
    s = summary.summarize(models.build(settings.name, 10, 0, datasets.SIDE, source))
    rows = [
        (x.name, x.kind, " × ".join(map(str, x.shape)), x.parameters, x.multiply_adds)
        for x in s.layers
    ]
    rows.append(("total", "", "", s.parameters, s.multiply_adds))
    print(tables.table(("layer", "kind", "output", "parameters", "multiply-adds"), rows))
    if s.statistics:
        print(f"{s.parameters + s.statistics:,} values with batch norm's running statistics")
    return 0


MODELS = Command(Models, show_models)


@dataclass(frozen=True)
class Augment:
    """Draw training images of six classes before and after a recipe's augmentation.

    Attributes:
        recipe: the recipe's name; `cifar recipes` lists them.
        dataset: cifar10, synthetic, or auto: CIFAR-10 if it is on this machine, otherwise the
            built-in synthetic set, with a note.
        data_dir: folder of CIFAR-10 (default: the usual places).
        seed: seed of the random draws.
        out: the PNG file (default: augmentation-RECIPE.png).
        set: FIELD=VALUE, such as augmentation.rotation=15, changes a field of the recipe; may be
            repeated.
    """

    recipe: tyro.conf.Positional[str]
    dataset: str = "auto"
    data_dir: str | None = None
    seed: int = 0
    out: str | None = None
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()


def show_augmentation(settings: Augment) -> int:
    """Draw the contact sheet, and print its path."""
    if settings.seed < 0:
        raise UserError(f"seed: expected a whole number from 0, got {settings.seed}")
    recipe = recipes.load(settings.recipe)
    changes = overrides.parse(recipe, settings.set)
    if idle := changes.keys() - {"augmentation"}:
        raise UserError(f"set: {min(idle)} has no effect on the picture, only augmentation has")
    recipe = dataclasses.replace(recipe, **changes)
    overrides.refuse_idle(recipe, changes)
    data = datasets.load(settings.dataset, "train", settings.data_dir)
    out = Path(settings.out or f"augmentation-{Path(recipe.name).stem}.png")
    title = f"{recipe.name} on {data.name} training images, seed {settings.seed}"
    try:
        plots.augmentations(data, recipe.augmentation, title, out, seed=settings.seed)
    except OSError as error:  # str(error) would name a temporary file
        raise UserError(f"out: cannot write {out}: {error.strerror or error}") from None
    print(f"{recipe.augmentation}: {out}")
    return 0


AUGMENT = Command(Augment, show_augmentation)

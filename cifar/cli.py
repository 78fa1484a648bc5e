"""The ``cifar`` command: CIFAR-10's data, recipes and models; training, evaluation, prediction,
reports, and models to and from other programs.

    cifar train simple --dataset cifar10
    cifar evaluate runs/simple-seed0

Exit codes: 0 done, 1 no (``cifar data`` without CIFAR-10, ``cifar verify`` of a run that came out
differently), 2 a mistake to mend (one line on stderr says which), 130 stopped by Ctrl-C, 141 the
reader of stdout, such as ``head``, had seen enough.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import itertools
import os
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

import minigrad as mg
from cifar import datasets, models, process, recipes, summary
from cifar.datasets import subsets
from cifar.errors import UserError
from cifar.recipes import overrides
from cifar.results import evaluate, exchange, plots, predict, report, tables
from cifar.training import request, train, verify
from cifar.twins import compare
from cifar.twins import tables as twin_tables

T = TypeVar("T")

# ---------------------------------------------------------------------------- what can be asked for


@dataclass(frozen=True)
class Data:
    """Where CIFAR-10 is on this machine, and whether it is whole.

    Attributes:
        data_dir: the folder to look in; $MINIGRAD_DATA, then ~/.cache/minigrad unless given.
        download: fetch it (170 MB) if it is not there, and verify it.
        verify: compare every byte with the published hashes, and count the images of each class.
    """

    data_dir: str | None = None
    download: bool = False
    verify: bool = False


@dataclass(frozen=True)
class Recipes:
    """The studies' recipes: how each network is trained, and what the study reached.

    Attributes:
        name: show all of this recipe's settings.
    """

    name: tyro.conf.Positional[str | None] = None


@dataclass(frozen=True)
class Models:
    """The studies' networks: parameters and multiply-adds, or one of them layer by layer.

    Attributes:
        name: show this model's layers: output shape, parameters, multiply-adds for one image.
    """

    name: tyro.conf.Positional[str | None] = None


@dataclass(frozen=True)
class Train(request.Request):
    """Train a recipe's network; writes models, metrics and pictures into a folder.

    Attributes:
        recipe: which one; `cifar recipes` lists them. A resumed run has its own.
    """

    recipe: tyro.conf.Positional[str | None] = None
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()


@dataclass(frozen=True)
class Augment:
    """A picture of what a recipe's augmentation makes of training images, of six classes.

    Attributes:
        recipe: which one; `cifar recipes` lists them.
        dataset: cifar10, synthetic, or auto: CIFAR-10 if it is on this machine, else the built-in
            synthetic set, saying so.
        data_dir: folder of CIFAR-10; the usual places unless given.
        seed: of what is drawn.
        out: the PNG file; augmentation-RECIPE.png unless given.
        set: FIELD=VALUE, such as augmentation.rotation=15, in place of the recipe's; may be
            repeated.
    """

    recipe: tyro.conf.Positional[str]
    dataset: str = "auto"
    data_dir: str | None = None
    seed: int = 0
    out: str | None = None
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()


@dataclass(frozen=True)
class Compare(compare.Settings):
    """Train a recipe by minigrad and by PyTorch, from the same weights on the same batches with the
    same dropout masks, and show how far apart they are, and the time and memory of each.

    Attributes:
        recipe: which one; `cifar recipes` lists them.
        dataset: cifar10, synthetic, or auto: CIFAR-10 if it is on this machine, else the built-in
            synthetic set, saying so.
        data_dir: where CIFAR-10 lies; the usual places unless given.
        out: folder for compare.json and compare.png, which are replaced;
            runs/compare-RECIPE-seedSEED unless given.
        timing: measure time and memory too, unless --no-timing.
        progress: a bar, shown on a terminal unless --no-progress.
        set: FIELD=VALUE, any field of the recipe, such as batch_size=32; may be repeated.
    """

    recipe: tyro.conf.Positional[str] = tyro.MISSING
    out: str | None = None  # type: ignore[assignment]  # depends on the recipe and the seed
    overrides: tyro.conf.Suppress[dict[str, Any]] = dataclasses.field(default_factory=dict)
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()

    def settings(self) -> compare.Settings:
        """What :func:`cifar.twins.compare.run` takes.

        Raises:
            UserError: there is no such recipe, or a field of it cannot be set to what was given.
        """
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(compare.Settings)}
        recipe = recipes.load(self.recipe).lasting(self.epochs)
        given["overrides"] = overrides.parse(recipe, self.set)
        given["out"] = self.out or f"runs/compare-{self.recipe}-seed{self.seed}"
        given["progress"] = self.progress and sys.stderr.isatty()
        return compare.Settings(**given)


# What each command takes, and what it does where its settings do not say that themselves.
COMMANDS: dict[str, tuple[type, str | None]] = {
    "data": (Data, None),
    "recipes": (Recipes, None),
    "models": (Models, None),
    "augment": (Augment, None),
    "train": (Train, None),
    "evaluate": (
        evaluate.Settings,
        "Loss, accuracy and per-class scores of a trained model, as a table, JSON and pictures.",
    ),
    "predict": (predict.Settings, "What a trained model takes pictures for, and how surely."),
    "verify": (verify.Settings, None),
    "compare": (Compare, None),
    "report": (
        report.Settings,
        "All runs in a folder beside the studies' figures, as a page.",
    ),
    "export": (exchange.Export, None),
    "import": (exchange.Import, None),
}


def parse(arguments: Sequence[str]) -> Any:
    """One of the dataclasses above, or a module's Settings.

    Raises:
        UserError: the arguments are not understood.
        SystemExit: after --help.
    """
    command = arguments[0] if arguments else ""
    if command not in COMMANDS and not command.startswith("-"):  # as --help does
        raise _no_command(command)
    shown, boxed = io.StringIO(), io.StringIO()
    try:  # where stdout is a terminal, tyro colours its errors
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(boxed):
            asked, unknown = _tyro(arguments, return_unknown_args=True)
    except SystemExit as stop:
        if not stop.code:
            _tyro(arguments)  # again, for its help on this terminal
        if command not in COMMANDS:
            raise _no_command(command) from None
        raise UserError(f"{_unboxed(boxed.getvalue())} (see cifar {command} --help)") from None
    if unknown:
        name = unknown[0].partition("=")[0]
        near = _nearest(name, _flags(type(asked)))
        raise UserError(f"unknown argument {name!r}{near} (see cifar {command} --help)")
    return asked


def _no_command(came: str) -> UserError:
    what = f"unknown command {came!r}{_nearest(came, COMMANDS)}" if came else "command"
    return UserError(f"{what}: expected one of {', '.join(COMMANDS)} (see cifar --help)")


def _flags(settings: type) -> list[str]:
    """The options of a command that have a name; its positional arguments have none."""
    fields = [
        field
        for field in dataclasses.fields(settings)
        if field.name != "overrides" and "Positional" not in str(field.type)
    ]
    names = [("no-" if field.default is True else "") + field.name for field in fields]
    return ["--" + name.replace("_", "-") for name in names]


def _tyro(arguments: Sequence[str], **options: Any) -> Any:
    commands = tuple(
        Annotated[settings, tyro.conf.subcommand(name, description=words)]
        for name, (settings, words) in COMMANDS.items()
    )
    any_command: Any = typing.Union[commands]  # noqa: UP007  # of a tuple made here
    return tyro.cli(
        any_command,
        prog="cifar",
        description="Studies of CIFAR-10 on minigrad. `cifar COMMAND --help` says more.",
        args=list(arguments),
        config=(
            tyro.conf.PositionalRequiredArgs,
            tyro.conf.PositionalMetavarFromFieldName,
            tyro.conf.DisallowNone,
            tyro.conf.FlagCreatePairsOff,
        ),
        **options,
    )


def _nearest(word: str, words: Iterable[str]) -> str:
    """The one of ``words`` that was probably meant, as a question; nothing if none is like it."""
    found = difflib.get_close_matches(word, list(words), 1, 0.7)
    return f" (did you mean {found[0]}?)" if found else ""


def _unboxed(text: str) -> str:
    """The first paragraph below the title of tyro's framed message, as one line."""
    _, *lines = (line.strip("│ ") for line in text.splitlines())
    told = itertools.dropwhile(_is_blank, lines)
    paragraph = itertools.takewhile(lambda line: not _is_blank(line), told)
    return " ".join(paragraph).removeprefix("Error parsing ").rstrip(".")


def _is_blank(line: str) -> bool:
    """Whether it is empty, a rule or the frame."""
    return not any(c.isalnum() for c in line)


# ---------------------------------------------------------------------------- what is done


def show_data(asked: Data) -> int:
    """Where CIFAR-10 is; once every byte has been read and checked, its images by class."""
    folder, places = datasets.find(asked.data_dir)
    if folder is None and not asked.download:
        print(f"CIFAR-10 is not in {places}; --download fetches it (170 MB)")
        return 1
    if asked.download or asked.verify:
        splits = [datasets.load("cifar10", name, asked.data_dir) for name in ("train", "test")]
        folder, _ = datasets.find(asked.data_dir)
        counts = [subsets.class_counts(data.labels, len(data.classes)) for data in splits]
        rows: list[tuple[object, ...]] = [
            (name, *(int(count[i]) for count in counts)) for i, name in enumerate(splits[0].classes)
        ]
        rows.append(("all", *(len(data) for data in splits)))
        print(tables.table(("class", "training images", "test images"), rows))
        print("every byte is as published")
    print(f"CIFAR-10 is in {folder}")
    return 0


def show_recipes(asked: Recipes) -> int:
    """All recipes in a table, or all settings of one."""
    if asked.name is not None:
        recipe = recipes.load(asked.name)
        rows = [(f.name, _words(getattr(recipe, f.name))) for f in dataclasses.fields(recipe)]
        print(tables.table(("setting", "value"), rows))
        return 0
    header = ("recipe", "model", "parameters", "epochs", "batch", "optimizer", "lr", "study")
    found = []
    for name in recipes.names():
        r = recipes.load(name)
        size = sum(p.numel() for p in models.create(r.model).parameters())
        claims = [f"{k.replace('_', ' ')} {report.figure(k, v)}" for k, v in r.claim.items()]
        found.append(
            (name, r.model, size, r.epochs, r.batch_size, r.optimizer, r.lr, ", ".join(claims))
        )
    print(tables.table(header, found))
    return 0


def _words(value: object, inner: bool = False) -> str:
    """A setting's value as --set takes it, or nearly: 0.001, momentum=0.9, "crop 2 px, flip"."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={_words(v, True)}" for k, v in value.items()) or "none"
    if isinstance(value, tuple):
        items = ", ".join(_words(v, True) for v in value)
        return f"[{items}]" if inner else items or "none"
    return "none" if value is None else str(value)


def show_models(asked: Models) -> int:
    """All models in a table, or the layers of one."""
    if asked.name is None:
        header = ("model", "parameters", "running statistics", "multiply-adds", "MB")
        found = []
        for name in models.names():
            s = summary.summarize(models.create(name))
            megabytes = f"{4 * (s.parameters + s.statistics) / 1e6:.1f}"
            found.append((name, s.parameters, s.statistics, s.multiply_adds, megabytes))
        print(tables.table(header, found))
        return 0
    s = summary.summarize(models.create(asked.name))
    rows: list[tuple[object, ...]] = [
        (x.name, x.kind, " × ".join(map(str, x.shape)), x.parameters, x.multiply_adds)
        for x in s.layers
    ]
    rows.append(("total", "", "", s.parameters, s.multiply_adds))
    print(tables.table(("layer", "kind", "output", "parameters", "multiply-adds"), rows))
    if s.statistics:
        print(f"{s.parameters + s.statistics:,} values with batch norm's running statistics")
    return 0


def show_augmentation(asked: Augment) -> int:
    """Draw the contact sheet, and say where it is."""
    if asked.seed < 0:
        raise UserError(f"seed: expected a whole number from 0, got {asked.seed}")
    recipe = recipes.load(asked.recipe)
    changes = overrides.parse(recipe, asked.set)
    if idle := changes.keys() - {"augmentation"}:
        raise UserError(f"set: {min(idle)} has no effect on the picture, only augmentation has")
    recipe = dataclasses.replace(recipe, **changes)
    overrides.refuse_idle(recipe, changes)
    data = datasets.load(asked.dataset, "train", asked.data_dir)
    out = Path(asked.out or f"augmentation-{recipe.name}.png")
    title = f"{recipe.name} on {data.name} training images, seed {asked.seed}"
    try:
        plots.augmentations(data, recipe.augmentation, title, out, seed=asked.seed)
    except OSError as error:  # its file name would be a temporary one's
        raise UserError(f"out: cannot write {out}: {error.strerror or error}") from None
    print(f"{recipe.augmentation}: {out}")
    return 0


def run_training(asked: Train) -> int:
    """Train, and say where it led."""
    last = train.run(asked.settings("train"))[-1]
    print(f"test accuracy {last['test_accuracy']:.2%} after epoch {last['epoch']}")
    return 0


def run_evaluation(asked: evaluate.Settings) -> int:
    """Evaluate, and show the scores."""
    found, out = evaluate.run(asked)
    named = {**found.per_class, "macro average": found.macro, "weighted average": found.weighted}
    rows = [
        (name, f"{s.precision:.4f}", f"{s.recall:.4f}", f"{s.f1:.4f}", s.support)
        for name, s in named.items()
    ]
    print(tables.table(("class", "precision", "recall", "F1", "support"), rows))
    term = f" + {found.l2_term:.4f} (L2 term)" if found.l2_term else ""
    print(f"accuracy {found.accuracy:.2%}, loss {found.loss:.4f}{term} on {found.images:,} images")
    if found.picked:
        print(
            "this epoch was picked by its accuracy on these images, which flatters it; --last "
            "evaluates the last one, which nobody picked"
        )
    print(f"evaluation.json, confusion.png and mistakes.png are in {out}")
    return 0


def run_verification(asked: verify.Settings) -> int:
    """Repeat the first steps of a run; show where they part if they do."""
    found = verify.run(asked)
    steps = f"the first {len(found.then)} steps of {found.path}"
    for change in found.changes:
        print(f"{found.path} was trained with {change}")
    if found.matches:
        print(f"{steps}: losses and weights are the same, bit for bit")
        return 0
    rows = [(i, *pair) for i, pair in enumerate(zip(found.then, found.now, strict=False), start=1)]
    print(tables.table(("step", "loss then", "loss now"), rows))
    print(f"{steps} are NOT the same" + (": the weights" if found.then == found.now else ""))
    return 1


def run_prediction(asked: predict.Settings) -> int:
    """Predict, and show the likeliest classes or say where the CSV file is."""
    found = predict.run(asked)
    if asked.csv is not None:
        print(f"{len(found.ids):,} predictions are in {asked.csv}")
        return 0
    rows = [
        (name, *(text for label, p in best for text in (label, f"{100 * p:.1f}")))
        for name, best in found.top()
    ]
    guesses = ("first", "%", "second", "%", "third", "%")
    print(tables.table(("image", *guesses)[: len(rows[0])], rows))
    return 0


def run_report(asked: report.Settings) -> int:
    """Show all runs beside the studies' figures, and say where the page is."""
    groups, out = report.run(asked)
    print(tables.table(report.HEADER, report.rows(groups)))
    print(f"curves and details are in {out}")
    return 0


def run_export(asked: exchange.Export) -> int:
    """Export, and say what is where."""
    trained = exchange.export(asked)
    print(f"{evaluate.describe(trained.record)} is in {asked.out}")
    return 0


def run_import(asked: exchange.Import) -> int:
    """Import, and say what to do with it."""
    exchange.adopt(asked)
    where = process.shell_word(asked.out)
    print(f"the weights are in {asked.out}; next: cifar evaluate {where}")
    return 0


def run_comparison(asked: Compare) -> int:
    """Train on both sides; show losses, differences, epochs, time and memory."""
    found, out = compare.run(asked.settings())
    shown = [
        ("Loss and accuracy of the batch", twin_tables.step_table(found)),
        ("Largest difference from PyTorch (relative)", twin_tables.difference_table(found)),
        ("Epochs", twin_tables.epoch_table(found)),
    ]
    if found.speed:
        shown.append(("Time and memory of a training step", twin_tables.speed_table(found)))
    for title, (header, rows) in shown:
        print(f"\n{title}:\n{tables.table(header, rows)}")
    print(f"\ncompare.json and compare.png are in {out}")
    return 0


ACTIONS: dict[type, Callable[[Any], int]] = {
    Data: show_data,
    Recipes: show_recipes,
    Models: show_models,
    Augment: show_augmentation,
    Train: run_training,
    evaluate.Settings: run_evaluation,
    predict.Settings: run_prediction,
    verify.Settings: run_verification,
    Compare: run_comparison,
    report.Settings: run_report,
    exchange.Export: run_export,
    exchange.Import: run_import,
}


def guarded(parse: Callable[[], T], act: Callable[[T], int]) -> int:
    """The exit code of ``act(parse())``; a person's mistake becomes one line on stderr and 2."""

    def checked(asked: T) -> int:
        try:  # what the environment asks for, before any work
            mg.get_num_threads()
            if os.environ.get("MINIGRAD_COMPILED"):
                mg.is_compiled()
        except (ImportError, ValueError) as error:
            raise UserError(str(error)) from None
        return act(asked)

    return mg.console.run(parse, checked, (UserError, mg.DeviceError))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    return guarded(
        lambda: parse(sys.argv[1:] if arguments is None else arguments),
        lambda asked: ACTIONS[type(asked)](asked),
    )

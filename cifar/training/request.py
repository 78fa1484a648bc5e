"""The options of a training command, and their completion from the record of a resumed run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from cifar import metadata, own_code, process, recipes
from cifar.errors import UserError
from cifar.recipes import overrides
from cifar.results.record import Record, find_folder
from cifar.training import state
from cifar.training.run import Settings

DEFAULTS = {"device": "auto", "dataset": "auto", "seed": 0}
DATA = ("image_size", "test_share", "split_seed")
SHORT = ("epochs", "batch_size", "lr")  # fields of a recipe that have their own flags


@dataclass(frozen=True)
class Request:
    """The options of a training command; None where one is not given.

    Attributes:
        recipe: name of the recipe, or a Python file that defines RECIPE (`cifar new-recipe` writes
            one). A resumed run uses its own.
        device: cpu, gpu, gpu:N or auto (default: auto; the same as before for a resumed run).
        dataset: cifar10, cifar100, cifar100-coarse, synthetic, folder (your own pictures, in a
            folder for each class), arrays (your own .npz file), or auto (default): CIFAR-10 if it
            is on this machine, otherwise the built-in synthetic set, with a note. A resumed run
            uses its own.
        data_dir: folder of CIFAR-10 (default: that of the resumed run, or the usual places). With
            --dataset folder, the folder of pictures, which may contain train and test.
        image_size: side in pixels to which your own pictures are scaled (default: 32).
        test_share: fraction of each class's pictures that becomes the test set, such as 0.2, if
            the folder has no train and test.
        split_seed: seed of this choice (default: 0).
        init: a file of weights to start from. Weights whose shape differs, such as those of a head
            for other classes, are named and initialised anew.
        freeze: pattern of the names of parameters that are not trained, such as 'features.*'; may
            be repeated. Batch norm layers among them keep their running statistics.
        seed: seed of initialisation, order, augmentation and dropout (default: 0). A resumed run
            uses its own.
        out: folder for all files of the run (default: runs/RECIPE-seedSEED).
        resume: continue the run in --out with its settings, or start it if there is none yet.
        progress: --no-progress hides the progress bar of a terminal.
        precision: how a GPU multiplies in convolutions and linear layers: fp32, tf32 or bf16
            (default: that of the GPU).
        detect_anomaly: name the layer and operation in which NaN or infinity first appears; slower.
        capture: on a GPU, record the training step once and replay it: the same values, faster.
        distributed: train as one of the processes that mpirun started, which share each batch.
        sync_batch_norm: with --distributed, normalise over the whole batch, not over each process's
            part. A resumed run uses its own setting.
        epochs: passes over the training set, instead of the recipe's; the schedule is scaled in
            proportion. A resumed run accepts a larger number.
        batch_size: images per step, instead of the recipe's.
        lr: learning rate, instead of the recipe's.
        set: FIELD=VALUE, any field of the recipe, such as augmentation.crop=4,
            optimizer_options.momentum=0.8 or model=./my_model.py:create, a function in your own
            file that makes the model; may be repeated.
    """

    recipe: str | None = None
    device: str | None = None
    dataset: str | None = None
    data_dir: str | None = None
    seed: int | None = None
    out: str | None = None
    resume: bool = False
    progress: bool = True
    precision: str | None = None
    detect_anomaly: bool = False
    capture: bool = False
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    distributed: bool = False
    sync_batch_norm: bool = False
    image_size: int | None = None
    test_share: float | None = None
    split_seed: int | None = None
    init: str | None = None
    freeze: tyro.conf.UseAppendAction[tuple[str, ...]] = ()

    def settings(self, *command: str, default_recipe: str | None = None) -> Settings:
        """The settings that :func:`cifar.training.train.run` takes.

        Args:
            command: the words after this program's name that make it train.
            default_recipe: used where neither the options nor a resumed run name one.

        Raises:
            UserError: no recipe has that name, or a field of it cannot have the given value; or the
                run to resume cannot be read, or contradicts an option.
        """
        name = self.recipe or default_recipe
        if self.out is None and name is None:
            what = "out: name the folder of the run" if self.resume else "recipe: name one"
            raise UserError(f"{what}; the recipes are {', '.join(recipes.names())}")
        own = Path(name).stem if name and recipes.is_own(name) else name
        out = Path(self.out or f"runs/{own}-seed{self.seed or 0}")
        saved = state.find(out) if self.resume else None
        if saved is None:
            if name is None:
                raise UserError(
                    f"recipe: there is no run in {out} to resume; to start one, name a recipe: "
                    f"{', '.join(recipes.names())}"
                )
            found = self._new(name)
        else:
            found = self._resumed(saved, out)
        return Settings(
            out=str(out),
            resume=self.resume,
            progress=self.progress and sys.stderr.isatty(),
            detect_anomaly=self.detect_anomaly,
            command=(*process.program(), *command),
            **found,
        )

    def _new(self, name: str) -> dict[str, Any]:
        """The settings of a new run."""
        if self.sync_batch_norm and not self.distributed:
            raise UserError(
                "sync_batch_norm: one process has nothing to synchronise: add --distributed, or "
                "leave it out"
            )
        recipe = recipes.load(name)
        own = recipe.lasting(self._fields(recipe).get("epochs", recipe.epochs))
        given = {k: getattr(self, k) for k in (*DEFAULTS, *DATA) if getattr(self, k) is not None}
        return {
            **DEFAULTS,
            **given,
            "recipe": recipe if recipes.is_own(name) else name,
            "data_dir": self.data_dir,
            "overrides": self._fields(own),
            "init": self.init,
            "freeze": self.freeze,
            "precision": self.precision,
            "capture": self.capture,
            "sync_batch_norm": self.sync_batch_norm,
        }

    def _fields(self, recipe: recipes.Recipe) -> dict[str, Any]:
        """The fields of ``recipe`` that the options replace.

        Raises:
            UserError: a field cannot have the given value, or is given twice.
        """
        fields = overrides.parse(recipe, self.set)
        given = {name: getattr(self, name) for name in SHORT if getattr(self, name) is not None}
        options = [("--" + name.replace("_", "-"), name) for name in given]
        for text in self.set:
            options.append(
                (f"--set {metadata.brief(text)}", text.partition("=")[0].strip().replace("-", "_"))
            )
        for number, (option, path) in enumerate(options):
            for other, before in options[:number]:
                if f"{before}.".startswith(f"{path}."):  # a later value below it only adds to it
                    raise UserError(f"{path}: expected one value, got {other} and {option}")
        return fields | given

    def _resumed(self, saved: state.State, out: Path) -> dict[str, Any]:
        """The settings of the run in ``out``, unless an option contradicts them."""
        record, original = saved.record, saved.record.recipe
        recipe = recipes.continued(original, self._fields(original).get("epochs", original.epochs))
        different = [
            f"{name} {metadata.brief(theirs)}, not {metadata.brief(ours)}"
            for name, theirs, ours in self._compared(record, original, recipe)
            if theirs != ours
        ]
        if different:
            raise UserError(
                f"resume: the run in {out} has {'; '.join(different)}; leave that out, or choose "
                "another --out"
            )
        device = self.device or record.device
        if device is None or record.seed is None:
            raise UserError(f"resume: the run in {out} does not say its device and seed")
        same_gpu = device == record.device and device.startswith("gpu")
        data_dir = self.data_dir
        if data_dir is None:
            data_dir = find_folder(saved.data_dir, record.dataset)
        own = original if recipes.is_own(original.name) else None
        changes = recipes.changes(recipe, own)
        for name in record.overrides:
            if hasattr(recipe, name) and name not in recipes.FIXED:
                changes[name] = getattr(recipe, name)
        source = record.source
        if source is not None:
            source = own_code.permitted(source, self._fields(recipe).get("model"))
        return {
            "recipe": own or recipe.name,
            "source": source,
            "freeze": record.freeze,
            "device": device,
            "dataset": record.dataset,
            "data_dir": data_dir,
            **{name: getattr(record, name) for name in DATA},
            "seed": record.seed,
            "sync_batch_norm": record.sync_batch_norm,
            "overrides": changes,
            "precision": self.precision or (record.precision if same_gpu else None),
            "capture": self.capture or (same_gpu and record.captured and not self.detect_anomaly),
        }

    def _compared(
        self, record: Record, original: recipes.Recipe, recipe: recipes.Recipe
    ) -> Iterator[tuple[str, Any, Any]]:
        """(name, the run's value, the option's) of every option that is given."""
        if self.recipe is not None:
            own = recipes.is_own(self.recipe)
            yield "recipe", recipe.name, Path(self.recipe).name if own else self.recipe
        if self.dataset not in (None, "auto"):
            yield "dataset", record.dataset, self.dataset
        if self.init is not None:
            yield "init", record.init and record.init.path, os.path.abspath(self.init)
        if self.sync_batch_norm:
            yield "sync_batch_norm", record.sync_batch_norm, True
        if self.freeze:
            yield "freeze", record.freeze, self.freeze
        for name in ("seed", *DATA):
            if getattr(self, name) is not None:
                yield name, getattr(record, name), getattr(self, name)
        if recipe.epochs < original.epochs:
            yield "epochs", original.epochs, recipe.epochs
        for name, value in self._fields(recipe).items():
            yield name, recipes.plain(getattr(recipe, name)), recipes.plain(value)

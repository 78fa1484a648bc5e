"""What a command line asks of training, completed by the record of the run that it resumes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifar import metadata, process, recipes
from cifar.errors import UserError
from cifar.recipes import overrides
from cifar.results import records
from cifar.training import train

DEFAULTS = {"device": "auto", "dataset": "auto", "seed": 0}
SHORT = ("epochs", "batch_size", "lr")  # fields of a recipe with flags of their own


@dataclass(frozen=True)
class Request:
    """What was said; None where nothing was.

    Attributes:
        recipe: name of the recipe; a resumed run has its own.
        device: cpu, gpu, gpu:N or auto (default); a resumed run's own unless given.
        dataset: cifar10, synthetic, or auto (default): CIFAR-10 if it is on this machine, else the
            built-in synthetic set, saying so; a resumed run has its own.
        data_dir: folder of CIFAR-10; a resumed run's own, or the usual places, unless given.
        seed: of initialisation, order, augmentation and dropout, 0 unless given; a resumed run has
            its own.
        out: folder for everything the run writes; runs/RECIPE-seedSEED unless given.
        resume: continue the run in --out, which brings all settings with it; where there is none
            yet, start it.
        progress: --no-progress hides the bar of each epoch that a terminal shows.
        precision: how a GPU multiplies in convolutions and linear layers: fp32, tf32 or bf16; the
            card's default unless given.
        detect_anomaly: name the layer and operation in which NaN or infinity first appears; slower.
        capture: on a GPU, record the training step once and replay it from then on: the same
            values, sooner.
        epochs: passes over the training set, in place of the recipe's; its schedule follows in
            proportion. A resumed run may be given more.
        batch_size: images per step, in place of the recipe's.
        lr: learning rate, in place of the recipe's.
        set: FIELD=VALUE, any field of the recipe, such as augmentation.crop=4 or
            optimizer_options.momentum=0.8; may be repeated.
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
    set: tuple[str, ...] = ()

    def settings(self, *command: str, otherwise: str | None = None) -> train.Settings:
        """What :func:`cifar.training.train.run` takes.

        Args:
            command: of this program, the words after its name that train.
            otherwise: the recipe where neither the command line nor a resumed run names one.

        Raises:
            UserError: there is no such recipe, or a field of it cannot be set to what was given; or
                the run to resume cannot be read, or was started with something else.
        """
        name = self.recipe or otherwise
        if self.out is None and name is None:
            what = "out: name the folder of the run" if self.resume else "recipe: name one"
            raise UserError(f"{what}; the recipes are {', '.join(recipes.names())}")
        out = Path(self.out or f"runs/{name}-seed{self.seed or 0}")
        note = train.saved_note(out) if self.resume else None
        if note is None:
            if name is None:
                raise UserError(
                    f"recipe: there is no run in {out} to resume; to start one, name a recipe: "
                    f"{', '.join(recipes.names())}"
                )
            found = self._new(name)
        else:
            found = self._resumed(note, out)
        return train.Settings(
            out=str(out),
            resume=self.resume,
            progress=self.progress and sys.stderr.isatty(),
            detect_anomaly=self.detect_anomaly,
            command=(*process.program(), *command),
            **found,
        )

    def _new(self, name: str) -> dict[str, Any]:
        """Settings of a run that starts."""
        own = recipes.load(name)
        own = own.lasting(self._fields(own).get("epochs", own.epochs))
        given = {k: getattr(self, k) for k in DEFAULTS if getattr(self, k) is not None}
        return {
            **DEFAULTS,
            **given,
            "recipe": name,
            "data_dir": self.data_dir,
            "overrides": self._fields(own),
            "precision": self.precision,
            "capture": self.capture,
        }

    def _fields(self, recipe: recipes.Recipe) -> dict[str, Any]:
        """The fields of ``recipe`` that are to be others."""
        found = overrides.parse(recipe, self.set)
        given = {name: getattr(self, name) for name in SHORT if getattr(self, name) is not None}
        return found | given

    def _resumed(self, note: dict[str, Any], out: Path) -> dict[str, Any]:
        """Settings of the run in ``out``, if nothing that was said contradicts them."""
        record = note["record"]
        then = records.recipe(record["recipe"])
        now = records.continued(then, self._fields(then).get("epochs", then.epochs))
        different = [
            f"{name} {metadata.brief(theirs)}, not {metadata.brief(ours)}"
            for name, theirs, ours in self._compared(record, then, now)
            if theirs != ours
        ]
        if different:
            raise UserError(
                f"resume: the run in {out} has {'; '.join(different)}; leave that out, or choose "
                "another --out"
            )
        device, seed = self.device or record.get("device"), record.get("seed")
        if not isinstance(device, str) or not metadata.is_whole(seed):
            raise UserError(f"resume: the run in {out} does not say its device and seed")
        same = device == record.get("device") and device.startswith("gpu")
        place = self.data_dir
        if place is None and record.get("dataset") == "cifar10":
            place = records.data_dir(note)
        named = record.get("overrides")
        changes = records.changes(now)
        for name in named if isinstance(named, dict) else {}:
            if hasattr(now, name) and name not in overrides.FIXED:
                changes[name] = getattr(now, name)
        return {
            "recipe": now.name,
            "device": device,
            "dataset": str(record.get("dataset")),
            "data_dir": place,
            "seed": seed,
            "overrides": changes,
            "precision": self.precision or (record.get("precision") if same else None),
            "capture": self.capture
            or (same and record.get("captured") is True and not self.detect_anomaly),
        }

    def _compared(
        self, record: dict[str, Any], then: recipes.Recipe, now: recipes.Recipe
    ) -> Iterator[tuple[str, Any, Any]]:
        """(name, the run's value, the one that was said) of all that was said."""
        if self.recipe is not None:
            yield "recipe", now.name, self.recipe
        if self.dataset not in (None, "auto"):
            yield "dataset", record.get("dataset"), self.dataset
        if self.seed is not None:
            yield "seed", record.get("seed"), self.seed
        if now.epochs < then.epochs:
            yield "epochs", then.epochs, now.epochs
        for name, value in self._fields(now).items():
            yield name, records.plain(getattr(now, name)), records.plain(value)

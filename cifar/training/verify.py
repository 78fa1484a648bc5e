"""Verification: repeats the first steps of a stored run and compares the results bit by bit.

verified = run(Settings("runs/simple-seed0"))
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import minigrad as mg
from cifar import metadata, own_code, recipes
from cifar.device import find_device, use_precision
from cifar.errors import UserError
from cifar.results.record import (
    Opening,
    Record,
    SavedRecord,
    decode,
    find_folder,
    rounding_differences,
)
from cifar.training import loop, train
from cifar.training.run import STATE
from cifar.training.run import Settings as TrainingSettings
from cifar.training.state import State

FILES = ("last.safetensors", STATE)  # the second is all that a run of less than an epoch has
MAX_THREADS = 1024  # that a file can make this machine start


@dataclass(frozen=True)
class Settings:
    """Repeat the first training steps of a stored run, and say whether the results are the same.

    Attributes:
        run: a folder that training wrote, or one of its .safetensors files.
        data_dir: folder of the data (default: the run's, or the usual places).
        device: cpu, gpu, gpu:N or auto (default: the run's).
        model: FILE.py:FUNCTION, the run's own model, if it was trained on another machine and
            you trust its code.
    """

    run: str
    data_dir: str | None = None
    device: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Verified:
    """The results of a stored run's first steps, then and now.

    Attributes:
        path: the file that the run was read from.
        then, now: the losses of the steps; strings for infinity and NaN, in skipped steps.
        same_weights: whether the weights after these steps are bit-identical.
        changes: differences that affect rounding, in words.
    """

    path: Path
    then: list[float | str]
    now: list[float | str]
    same_weights: bool
    changes: list[str]

    @property
    def matches(self) -> bool:
        """Whether all losses and the weights after them are the same, bit for bit."""
        return self.then == self.now and self.same_weights


def run(settings: Settings) -> Verified:
    """Repeat the first steps with the recipe, number of threads, kernels and precision of the
    session that began the run.

    Raises:
        UserError: the run cannot be read or does not hold its first steps; its data set is missing
            or has changed.
    """
    path = _find(Path(settings.run))
    record, opening, noted_folder = _read(path)
    device = find_device(settings.device or str(record.device))
    own = record.recipe if recipes.is_own(record.recipe.name) else None
    asked = TrainingSettings(
        recipe=own or record.recipe.name,
        init=record.init.path if record.init else None,
        freeze=record.freeze,
        source=record.source and own_code.permitted(record.source, settings.model),
        dataset=record.dataset,
        data_dir=settings.data_dir or find_folder(noted_folder, record.dataset),
        image_size=record.image_size,
        test_share=record.test_share,
        split_seed=record.split_seed,
        seed=record.seed or 0,
        overrides=recipes.changes(record.recipe, own),
        progress=False,
    )
    with _as_it_was(record, device):
        run, _ = train.prepare(asked, train.checked_recipe(asked), device, path.parent)
        if run.record.data_fingerprint != record.data_fingerprint:
            then, now = (metadata.brief(r.data_fingerprint)[:12] for r in (record, run.record))
            raise UserError(
                f"data_dir: the run was trained on other images of {record.dataset} "
                f"(SHA-256 {then}, not {now})"
            )
        if run.record.init != record.init:
            raise UserError(f"run: {path} began from other weights than are in {asked.init} now")
        again = loop.train_opening(run)
    return Verified(
        path,
        opening.losses,
        again.losses,
        opening.sha256 == again.sha256,
        rounding_differences(record, run.record),
    )


def _read(path: Path) -> tuple[Record, Opening, str | None]:
    """The record of the session that began the run, its opening, and the folder of data, as a file
    of weights or a state holds them."""
    saved: SavedRecord | State
    try:
        _, note = metadata.read(path)
    except ValueError as error:
        raise UserError(f"run: {error}") from None
    try:
        if "record" in note:
            saved = decode(note, State)
            record, opening = saved.record, saved.progress.opening
        else:
            saved = record = decode(note, SavedRecord)
            opening = saved.opening or Opening()
        record = opening.began or record
    except ValueError as error:
        what = f"does not hold the first steps of a run ({error})"
        raise UserError(f"run: {path} {what}") from None
    for name, fits in (
        ("data_fingerprint", record.data_fingerprint is not None),
        ("seed", record.seed is not None),
        ("device", record.device is not None),
        ("threads", record.threads is not None and record.threads <= MAX_THREADS),
        ("losses", opening.losses),
        ("sha256", opening.sha256 is not None),
    ):
        if not fits:
            raise UserError(f"run: {path} does not hold the first steps of a run (no {name})")
    return record, opening, saved.data_dir


def _find(run: Path) -> Path:
    places = [run / name for name in FILES] if os.path.isdir(run) else [run]
    for place in places:
        try:
            return mg.checkpoint.readable(place)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"run: {str(error).removeprefix('path: ')}") from None
    raise UserError(f"run: there is no {' or '.join(map(str, places))}; name one of training's")


@contextmanager
def _as_it_was(record: Record, device: mg.device) -> Iterator[None]:
    """The record's number of threads, kind of kernels and, on a GPU, precision."""
    threads, compiled, precision = mg.get_num_threads(), mg.is_compiled(), mg.get_precision()
    mg.set_num_threads(record.threads or threads)
    if record.kernels == "NumPy":
        mg.set_compiled(False)
    if device.type == "gpu":
        use_precision(record.precision, device)
    try:
        yield
    finally:
        mg.set_num_threads(threads)
        mg.set_compiled(compiled)
        if device.type == "gpu":
            mg.set_precision(precision)

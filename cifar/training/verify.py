"""The first steps of a stored run, once more: does this machine come to the same bits?

verified = run(Settings("runs/simple-seed0"))
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import minigrad as mg
from cifar import metadata
from cifar.errors import UserError
from cifar.results import records
from cifar.training import train

FILES = ("last.safetensors", train.STATE)  # the second is all that a run of less than an epoch has
MOST_THREADS = 1024  # that a file can make this machine start
Checks: TypeAlias = Mapping[str, Callable[[Any], bool]]


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kind)


def _are_losses(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(train.is_loss, value))


RECORD: Checks = {
    "recipe": _is(dict),
    "dataset": _is(str),
    "data_fingerprint": _is(str),
    "seed": metadata.is_whole,
    "device": _is(str),
    "threads": lambda value: metadata.is_whole(value, 1, MOST_THREADS),
}
OPENING: Checks = {"losses": _are_losses, "sha256": _is(str)}


@dataclass(frozen=True)
class Settings:
    """Train the first steps of a stored run once more, and say whether they come out the same.

    Attributes:
        run: a folder that training wrote, or one of its .safetensors files.
        data_dir: folder of CIFAR-10; the run's own, or the usual places, unless given.
        device: cpu, gpu, gpu:N or auto; the run's own unless given.
    """

    run: str
    data_dir: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class Verified:
    """What a stored run's first steps gave then, and give now.

    Attributes:
        path: the file that the run was read from.
        then, now: the losses of the steps; words for infinity and NaN, of steps that were skipped.
        same_weights: whether the weights after them are the same, bit for bit.
        changes: what differs and decides how sums are rounded, in words.
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
    """Repeat the first steps with the number of threads or the precision, and with compiled kernels
    or without, as the run had them.

    Raises:
        UserError: the run cannot be read or does not tell of its first steps; its data set is not
            here, or is another one now.
    """
    path, note, record, opening = _read(Path(settings.run))
    device = train.find_device(settings.device or record["device"])
    recipe = records.recipe(record["recipe"])
    asked = train.Settings(
        recipe=recipe.name,
        dataset=record["dataset"],
        data_dir=settings.data_dir or records.data_dir(note),
        seed=record["seed"],
        overrides=records.changes(recipe),
        progress=False,
    )
    with _as_it_was(record, device):
        _, this = train.prepare(asked, train.checked_recipe(asked), device, path.parent)
        if this.record["data_fingerprint"] != record["data_fingerprint"]:
            then, now = (metadata.brief(r["data_fingerprint"])[:12] for r in (record, this.record))
            raise UserError(
                f"data_dir: the run was trained on other images of {this.record['dataset']} "
                f"(SHA-256 {then}, not {now})"
            )
        again = train.opening(this)
    return Verified(
        path,
        opening["losses"],
        again["losses"],
        opening["sha256"] == again["sha256"],
        train.changes(record, this.record),
    )


def _read(run: Path) -> tuple[Path, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The file, its note, and the record and the opening that are in it."""
    path = _find(run)
    try:
        _, note = metadata.read(path)
    except ValueError as error:
        raise UserError(f"run: {error}") from None
    record, progress = note.get("record", note), note.get("progress", note)
    opening = progress.get("opening") if isinstance(progress, dict) else None
    return path, note, _checked(path, record, RECORD), _checked(path, opening, OPENING)


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


def _checked(path: Path, came: Any, expected: Checks) -> dict[str, Any]:
    """``came``, if it is a dict that has all that is expected."""
    found = came if isinstance(came, dict) else {}
    for name, fits in expected.items():
        if not fits(found.get(name)):
            raise UserError(f"run: {path} does not tell of the first steps of a run (no {name})")
    return found


@contextmanager
def _as_it_was(record: dict[str, Any], device: mg.device) -> Iterator[None]:
    """The number of threads, the kind of kernels and, on a GPU, the precision that the record tells
    of."""
    threads, compiled, precision = mg.get_num_threads(), mg.is_compiled(), mg.get_precision()
    mg.set_num_threads(record["threads"])
    if record.get("kernels") == "NumPy":
        mg.set_compiled(False)
    if device.type == "gpu":
        train.use_precision(record.get("precision"), device)
    try:
        yield
    finally:
        mg.set_num_threads(threads)
        mg.set_compiled(compiled)
        if device.type == "gpu":
            mg.set_precision(precision)

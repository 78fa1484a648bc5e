"""Predictions of a trained model for unlabelled images: pictures or arrays.

found = predict(load("runs/simple-seed0"), *read(["cat.jpg", "test_images.npy"]))
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import tyro
from numpy.typing import NDArray
from tqdm import tqdm

import minigrad as mg
from cifar import process
from cifar.datasets.arrays import read_array, read_pickle
from cifar.datasets.dataset import SIDE
from cifar.datasets.pictures import Images, in_one_line, pictures_below, read_picture
from cifar.errors import UserError
from cifar.results import evaluate, shipped, tables
from cifar.results.metrics import log_probabilities

TOP: Final = 3  # guesses shown per image
_ARRAYS: Final = (".npy", ".npz")
_KINDS: Final = "pictures, folders of them, or .npy, .npz or pickled files of images"


@dataclass(frozen=True)
class Settings:
    """Predict the classes of pictures with a trained model, with probabilities.

    Attributes:
        run: a folder that training wrote, or one of its .safetensors files; without one, the model
            that comes with the package.
        files: pictures of any size, as JPEG, PNG, WebP, TIFF and other common formats (the largest
            centred square is scaled to the model's size), folders of pictures, or .npy, .npz or
            pickled files of uint8 images of that size, such as (N, 3072), (N, 3, 32, 32) or
            (N, 32, 32, 3), or CIFAR-10's own batches.
        files_from: a file that lists more of them, one per line; - is standard input.
        csv: write ID,Labels to this file instead of printing a table. ID is a picture's file name,
            an array's row from 0, or the ID in a pickle; the label is the class's number. An
            apostrophe is put before a name that a spreadsheet would read as a formula.
        names: write class names in the CSV file, not numbers.
        probabilities: also write the probability of each class, in a column with its name.
        last: use a folder's weights of the last epoch, not of the best one.
        tta: test-time augmentation: the mean over six views of each image, mirrored and shifted by
            one pixel.
        device: cpu, gpu, gpu:N or auto.
        progress: --no-progress hides the progress bar of a terminal.
        model: FILE.py:FUNCTION, the run's own model, if it was trained on another machine and
            you trust its code.
    """

    run: tyro.conf.Positional[str | None] = None
    files: tyro.conf.Positional[tuple[str, ...]] = ()
    files_from: str | None = None
    csv: str | None = None
    names: bool = False
    probabilities: bool = False
    last: bool = False
    device: str = "auto"
    progress: bool = True
    model: str | None = None
    tta: bool = False


@dataclass(frozen=True, eq=False)
class Predictions:
    """A model's predictions for N images.

    Attributes:
        ids: a name for each image.
        classes: names by class index.
        probabilities: float64 (N, classes), rows summing to 1.
    """

    ids: list[str]
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]

    def top(self) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        """Each image's ID and its TOP likeliest classes with their probabilities, in this order."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :TOP]
        for name, row, best in zip(self.ids, self.probabilities, order, strict=True):
            yield name, [(self.classes[c], float(row[c])) for c in best]


def run(settings: Settings) -> Predictions:
    """Predict, and write the CSV file if ``settings`` name one.

    Raises:
        UserError: the run or a file cannot be used; the message names it.
    """
    for name in ("names", "probabilities"):
        if getattr(settings, name) and settings.csv is None:
            raise UserError(f"{name}: is about the CSV file; give --csv FILE too")
    if settings.run is None and settings.files_from is None:
        raise UserError(f"files: no image to look at; name {_KINDS}")
    if settings.csv is not None:
        with process.writing("csv", settings.csv):
            mg.checkpoint.writable(settings.csv)
    name, files = shipped.choose(settings.run, settings.files)
    trained = evaluate.load(name, settings.device, settings.last, settings.model)
    more = [] if settings.files_from is None else listed(settings.files_from)
    side = trained.record.image_size
    ids, images = read([*files, *more], settings.progress, side)
    predictions = predict(trained, ids, images, settings.progress, settings.tta)
    if settings.csv is not None:
        write_csv(predictions, settings.csv, settings.names, settings.probabilities)
    return predictions


def predict(
    trained: evaluate.Trained,
    ids: list[str],
    images: Images,
    progress: bool = False,
    tta: bool = False,
) -> Predictions:
    """Class probabilities of uint8 images (N, 3, side, side), from one view of each or, with
    ``tta``, from six."""
    logits = evaluate.logits(trained, images, progress, tta)
    return Predictions(ids, trained.classes, np.exp(log_probabilities(logits)))


def write_csv(
    predictions: Predictions,
    path: str | os.PathLike[str],
    names: bool = False,
    probabilities: bool = False,
) -> None:
    """Write the line "ID,Labels", then one per image; the label is the class's number or name.

    Args:
        probabilities: after the label, write the probability of each class, in a column with its
            name.

    Raises:
        UserError: the file cannot be written.
    """
    rows: list[list[object]] = [["ID", "Labels", *(predictions.classes if probabilities else ())]]
    for name, shares in zip(predictions.ids, predictions.probabilities, strict=True):
        guess = int(shares.argmax())
        label = predictions.classes[guess] if names else guess
        rows.append([name, label, *(f"{share:.6g}" for share in shares if probabilities)])
    with process.writing("csv", path):
        mg.checkpoint.write_text(path, tables.comma_separated(rows))


# ---------------------------------------------------------------------------- reading


def listed(source: str | os.PathLike[str]) -> list[str]:
    """The names in a file or, for "-", on standard input: one per line, or each ended by a NUL
    byte, as ``find -print0`` writes them.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        content = (
            sys.stdin.buffer.read()
            if source == "-"
            else mg.checkpoint.readable(source).read_bytes()
        )
    except OSError as error:
        raise UserError(f"files_from: {str(error).removeprefix('path: ')}") from None
    lines = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [os.fsdecode(line) for line in lines if line]


def read(
    files: Sequence[str | os.PathLike[str]], progress: bool = False, side: int = SIDE
) -> tuple[list[str], Images]:
    """IDs and uint8 images (N, 3, side, side) of all ``files``, in order; a folder stands for the
    pictures in it and in its subfolders.

    A picture's ID is its file name as given. An array's images are numbered from 0, unless a pickle
    contains IDs, with the file's name before them if there are several files.

    Raises:
        UserError: files are missing, damaged or of another kind; the message names them.
    """
    ids: list[str] = []
    parts: list[Images] = []
    wrong: list[str] = []
    paths = [path for file in map(Path, files) for path in _pictures_below(file) or [file]]
    hidden = None if progress and len(paths) > 1 else True  # None: where stderr is no terminal
    for file in tqdm(paths, unit="file", disable=hidden):
        try:
            names, images = _read_file(file, len(paths) > 1, side)
        except UserError as error:  # all are reported at once: there may be thousands of files
            wrong.append(str(error))
            continue
        ids += names
        parts.append(images)
    if wrong:
        raise UserError(in_one_line(wrong))
    if not ids:
        raise UserError(f"files: no image to look at; name {_KINDS}")
    return ids, np.concatenate(parts)


def _pictures_below(folder: Path) -> list[Path]:
    """The pictures in a folder; none of a file."""
    if not folder.is_dir():
        return []
    files = pictures_below(folder)
    if not files:
        raise UserError(f"files: no picture in the folder {folder}; name {_KINDS}")
    return files


def _read_file(file: Path, is_one_of_many: bool, side: int) -> tuple[list[str], Images]:
    """IDs and images of a picture, an array or a pickle."""
    try:
        mg.checkpoint.readable(file)
    except OSError as error:
        why = str(error).removeprefix("path: ")
        raise UserError(f"files: {why}; name {_KINDS}") from None
    rows: Sequence[object]
    if _is_pickle(file):
        rows, images = read_pickle(file, side)
    elif file.suffix.lower() in _ARRAYS:
        images = read_array(file, side)
        rows = range(len(images))
    else:
        return [mg.console.decoded(file)], read_picture(file, side)[None]
    before = f"{mg.console.decoded(file)}:" if is_one_of_many else ""
    return [f"{before}{row}" for row in rows], images


def _is_pickle(path: Path) -> bool:
    """Whether the name or the first two bytes, "protocol 2" to 5, say that it is one."""
    if path.suffix.lower() in _ARRAYS:
        return False
    with path.open("rb") as file:
        start = file.read(2)
    return path.suffix.lower() in (".pkl", ".pickle") or (
        start[:1] == b"\x80" and start[1:] in (b"\2", b"\3", b"\4", b"\5")
    )

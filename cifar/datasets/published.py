"""A data set of the CIFAR collection as published: pickles of Python 2 in an archive. Their digests
are checked before they are parsed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cifar.datasets import archive, pickles, places
from cifar.datasets.archive import Archive
from cifar.datasets.dataset import Dataset, Options
from cifar.datasets.download import obtain


@dataclass(frozen=True)
class Published:
    """One data set; a :class:`~cifar.datasets.dataset.Source`.

    Attributes:
        name: name of the data set.
        archive: its files: those with the training images, with equal numbers of them; the test
            images; and the class names.
        key: key of the labels in the files.
        names: names of the classes.
    """

    name: str
    archive: Archive
    key: bytes
    names: tuple[str, ...]

    def classes(self, data_dir: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
        """The class names, the same for every `data_dir`."""
        return self.names

    def load(
        self,
        split: str,
        data_dir: str | os.PathLike[str] | None,
        options: Options,
        download: bool,
    ) -> Dataset:
        """One split; see :func:`cifar.datasets.load`.

        Raises:
            DataError: the data are missing, damaged or cannot be fetched.
        """
        return self.read(obtain(self.archive, data_dir, download), split)

    def read(self, folder: Path, split: str) -> Dataset:
        """One split from the files in a folder.

        Raises:
            DataError: a file is missing or differs from the published one in any byte.
        """
        *train, test, meta = self.archive.files
        archive.read(folder, meta)  # the published one, which holds the class names
        files = train if split == "train" else [test]
        labels: list[int] = []
        for i, file in enumerate(files):
            batch = pickles.read(archive.read(folder, file))
            pixels = pickles.array(batch[b"data"])
            if i == 0:  # at once: pieces that are joined later need twice the memory
                images = np.empty((len(files), len(pixels), 3, 32, 32), np.uint8)
            images[i] = pixels.reshape(images[i].shape)
            labels += batch[self.key]
        return Dataset(
            self.name,
            split,
            images.reshape(-1, 3, 32, 32),
            np.array(labels, np.int64),
            self.names,
        )

    def find(self, data_dir: str | os.PathLike[str] | None = None) -> tuple[Path | None, str]:
        """(folder of the files or None, phrase that lists the places searched). If only the archive
        is found, it is unpacked.

        Raises:
            DataError: `data_dir` is not a folder, or what is there is damaged or cannot be read.
        """
        folders = places.candidates(data_dir)
        return archive.find(folders, self.archive), places.join(folders)

    def chosen_folder(self, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
        """The folder of the files if `data_dir` or `$MINIGRAD_DATA` names a place, else None."""
        return self.find(data_dir)[0] if places.named_by(data_dir) else None

    def holds(self, folder: str | os.PathLike[str]) -> bool:
        """Whether a folder holds all the files, unpacked."""
        return self.archive.is_unpacked_in(folder)

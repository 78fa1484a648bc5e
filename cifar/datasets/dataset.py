"""What every data set is: labelled images, and how they are loaded by name."""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images; both arrays are read-only, so every user sees the same data.

    Attributes:
        name: of the data set, such as "cifar10".
        split: "train" or "test"; "validation" for training images held out.
        images: uint8, (N, 3, 32, 32), C-contiguous; red, green, blue, rows from top to bottom.
        labels: int64, (N,), each an index into `classes`.
        classes: the class names.
    """

    name: str
    split: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        self.images.setflags(write=False)
        self.labels.setflags(write=False)

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the bytes of the images, then of the labels as little-endian int64.

        Computed on first use: it takes 0.1 to 0.5 s on the CIFAR-10 training set.
        """
        digest = hashlib.sha256(self.images.data)
        digest.update(self.labels.astype("<i8", copy=False).data)
        return digest.hexdigest()


class Source(Protocol):
    """A data set that can be loaded by name: a module of this package with these functions, listed
    in :data:`cifar.datasets.SOURCES`."""

    def classes(self, data_dir: str | os.PathLike[str] | None) -> tuple[str, ...]:
        """The class names; `data_dir` is where they come from if the data decide them."""

    def load(self, split: str, data_dir: str | os.PathLike[str] | None, download: bool) -> Dataset:
        """The "train" or "test" images.

        Raises:
            DataError: the data are missing, damaged or cannot be fetched.
        """

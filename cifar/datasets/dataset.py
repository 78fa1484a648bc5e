"""The interface of data sets: labelled images, and loading them by name."""

from __future__ import annotations

import functools
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cifar.errors import UserError

SPLITS = ("train", "test")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images. Both arrays are read-only, so that all users share the same data.

    Attributes:
        name: name of the data set, such as "cifar10".
        split: "train" or "test"; "validation" for held-out training images.
        images: uint8 (N, 3, side, side), C-contiguous; red, green, blue, rows from top to bottom.
        labels: int64 (N,), each an index into `classes`.
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


SIDE: Final = 32  # pixels of a CIFAR-10 image, both ways
SIDES: Final = (8, 256)  # the smallest and the largest that own images may have


@dataclass(frozen=True)
class Options:
    """How the user's own images become a data set.

    Attributes:
        image_size: the side in pixels to which pictures are scaled; None for 32, or the size of
            arrays.
        test_share: fraction of each class's images that becomes the test set, if the data are not
            divided already.
        split_seed: seed of this choice.
        whole: take all images of data that are not divided already, as "train" and as "test";
            test_share and split_seed then have no effect.

    Raises:
        UserError: a value is out of range.
    """

    image_size: int | None = None
    test_share: float | None = None
    split_seed: int = 0
    whole: bool = False

    def __post_init__(self) -> None:
        least, most = SIDES
        for name, fits, expected in (
            (
                "image_size",
                self.image_size is None or least <= self.image_size <= most,
                f"{least} to {most} pixels",
            ),
            (
                "test_share",
                self.test_share is None or 0 < self.test_share < 1,
                "a number above 0 and below 1",
            ),
            ("split_seed", self.split_seed >= 0, "a whole number from 0"),
        ):
            if not fits:
                raise UserError(f"{name}: expected {expected}, got {getattr(self, name)}")


class Source(Protocol):
    """A data set that can be loaded by name: a module of this package with these functions, listed
    in :data:`cifar.datasets.SOURCES`."""

    def classes(self, data_dir: str | os.PathLike[str] | None) -> tuple[str, ...]:
        """The class names, read from `data_dir` if the data define them."""

    def load(
        self,
        split: str,
        data_dir: str | os.PathLike[str] | None,
        options: Options,
        download: bool,
    ) -> Dataset:
        """The "train" or "test" images.

        Raises:
            DataError: the data are missing, damaged or cannot be fetched.
        """

    def chosen_folder(self, data_dir: str | os.PathLike[str] | None) -> Path | None:
        """The folder of the data, to be recorded with a run, if the user named it."""

    def holds(self, folder: str | os.PathLike[str]) -> bool:
        """Whether the data are in ``folder``, as recorded by a run."""

"""CIFAR-100: 50,000 training and 10,000 test images of a hundred classes, which are in twenty
groups of five (Krizhevsky, 2009).

"cifar100" has the classes as labels, "cifar100-coarse" the groups. The published files are pickles
of Python 2. Their digests are compared before they are parsed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from cifar.datasets import archive, pickles, places
from cifar.datasets.archive import Archive, File
from cifar.datasets.dataset import Dataset, Options
from cifar.datasets.download import obtain

_CLASSES: Final = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab
crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
_GROUPS: Final = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables
household_electrical_devices household_furniture insects large_carnivores
large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1
vehicles_2
"""
CLASSES: Final = tuple(_CLASSES.split())
GROUPS: Final = tuple(_GROUPS.split())
ARCHIVE: Final = Archive(
    title="CIFAR-100",
    name="cifar-100-python.tar.gz",
    size=169_001_437,
    sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    folder="cifar-100-python",
    files=(
        File("train", 155_249_918, "16019d7e3df5f24257cddd939b257f8d"),
        File("test", None, "f0ef6b0ae62326f3e7ffdfab6717acfc"),
        File("meta", None, "7973b15100ade9c7d40fb424638fde48"),
    ),
    mirrors=(
        "https://dataset.bj.bcebos.com/cifar/cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    ),
)


@dataclass(frozen=True)
class Labels:
    """CIFAR-100 with one of its two labels; a :class:`~cifar.datasets.dataset.Source`.

    Attributes:
        name: of the data set.
        key: of the labels in the published files.
        names: of the classes.
    """

    name: str
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
        return self.read(obtain(ARCHIVE, data_dir, download), split)

    def read(self, folder: Path, split: str) -> Dataset:
        """One split from the files in a folder.

        Raises:
            DataError: a file is missing or differs from the published one in any byte.
        """
        train, test, meta = ARCHIVE.files
        archive.read(folder, meta)  # the published one, which holds CLASSES and GROUPS
        batch = pickles.read(archive.read(folder, train if split == "train" else test))
        images = pickles.array(batch[b"data"]).reshape(-1, 3, 32, 32)
        labels = np.array(batch[self.key], np.int64)
        return Dataset(self.name, split, np.ascontiguousarray(images), labels, self.names)

    def chosen_folder(self, data_dir: str | os.PathLike[str] | None = None) -> Path | None:
        """The folder of the files if `data_dir` or `$MINIGRAD_DATA` names a place, else None."""
        if not places.named_by(data_dir):
            return None
        return archive.find(places.candidates(data_dir), ARCHIVE)

    def holds(self, folder: str | os.PathLike[str]) -> bool:
        """Whether a folder holds all the files, unpacked."""
        return ARCHIVE.is_unpacked_in(folder)


FINE: Final = Labels("cifar100", b"fine_labels", CLASSES)
COARSE: Final = Labels("cifar100-coarse", b"coarse_labels", GROUPS)

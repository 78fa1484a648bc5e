"""``cifar data``: where CIFAR-10 is."""

from __future__ import annotations

from dataclasses import dataclass

from cifar import datasets
from cifar.cli.command import Command
from cifar.datasets import subsets
from cifar.results import tables


@dataclass(frozen=True)
class Data:
    """Show where CIFAR-10 is on this machine, and whether it is complete.

    Attributes:
        data_dir: the folder to look in (default: $MINIGRAD_DATA, then ~/.cache/minigrad).
        download: download it (170 MB) if it is missing, and verify it.
        verify: compare every byte with the published hashes, and count the images of each class.
    """

    data_dir: str | None = None
    download: bool = False
    verify: bool = False


def show_data(settings: Data) -> int:
    """Print where CIFAR-10 is and, after verification, the number of images of each class."""
    folder, places = datasets.find(settings.data_dir)
    if folder is None and not settings.download:
        print(f"CIFAR-10 is not in {places}; --download fetches it (170 MB)")
        return 1
    if settings.download or settings.verify:
        splits = [datasets.load("cifar10", name, settings.data_dir) for name in ("train", "test")]
        folder, _ = datasets.find(settings.data_dir)
        classes = splits[0].classes
        counts = [subsets.class_counts(data.labels, len(classes)) for data in splits]
        rows: list[tuple[object, ...]] = [
            (name, *(int(count[i]) for count in counts)) for i, name in enumerate(classes)
        ]
        rows.append(("all", *(len(data) for data in splits)))
        print(tables.table(("class", "training images", "test images"), rows))
        print("every byte is as published")
    print(f"CIFAR-10 is in {folder}")
    return 0


DATA = Command(Data, show_data)

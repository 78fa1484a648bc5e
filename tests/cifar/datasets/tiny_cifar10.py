"""CIFAR-10 of ten images a file, with digests of its own, in place of the real one."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cifar import datasets
from cifar.datasets import cifar10
from cifar.datasets.archive import Archive, File

ROWS = 10
FOLDER = cifar10.ARCHIVE.folder
NAME = cifar10.ARCHIVE.name
TRAIN = [f"data_batch_{i}" for i in range(1, 6)]
PIXELS = {
    name: np.random.default_rng(i).integers(0, 256, (ROWS, 3 * 32 * 32), np.uint8)
    for i, name in enumerate([*TRAIN, "test_batch"])
}
FILES = {
    **{
        name: pickle.dumps({b"data": pixels, b"labels": list(range(ROWS))}, 2)
        for name, pixels in PIXELS.items()
    },
    "batches.meta": b"class names",
}


def pack(files: dict[str, bytes], *members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """An archive of ``members``, then ``files``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for info, raw in members:
            tar.addfile(info, io.BytesIO(raw))
        for name, raw in files.items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    return buffer.getvalue()


def describe(packed: bytes) -> Archive:
    """The archive whose size and digest are those of ``packed``."""
    return replace(
        cifar10.ARCHIVE,
        size=len(packed),
        sha256=hashlib.sha256(packed).hexdigest(),
        files=tuple(
            File(name, len(raw), hashlib.md5(raw).hexdigest()) for name, raw in FILES.items()
        ),
        mirrors=("https://127.0.0.1:1/nobody-listens-here",),
    )


PACKED = pack(FILES)
ARCHIVE = describe(PACKED)


def install(setattr: Callable[[Any, str, Any], None], archive: Archive = ARCHIVE) -> None:
    """Put it in place of the real one by ``setattr(owner, name, value)``."""
    tiny = replace(cifar10.CIFAR10, archive=archive)
    setattr(cifar10, "CIFAR10", tiny)
    setattr(datasets, "SOURCES", {**datasets.SOURCES, tiny.name: tiny})
    setattr(datasets, "find", tiny.find)


def write(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    """The folder, in which these files now lie."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    return folder

"""CIFAR-100 with both its labels, from an archive of ten images a file with digests of its own."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from cifar import datasets
from cifar.datasets import cifar100
from cifar.datasets.archive import File
from cifar.errors import DataError
from tests.common import refuses

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 10, 3072), np.uint8)
FILES = {
    name: pickle.dumps(
        {
            b"filenames": [b"apple_s_000022.png"] * 10,
            b"batch_label": b"of 1",
            b"fine_labels": list(range(90, 100)),
            b"coarse_labels": list(range(10, 20)),
            b"data": pixels,
        },
        2,
    )
    for name, pixels in zip(("train", "test"), PIXELS, strict=True)
} | {"meta": b"names"}


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A folder that holds the archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, raw in FILES.items():
            info = tarfile.TarInfo(f"cifar-100-python/{name}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    packed = buffer.getvalue()
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(packed)
    files = tuple(File(name, None, hashlib.md5(raw).hexdigest()) for name, raw in FILES.items())
    digest = hashlib.sha256(packed).hexdigest()
    ours = replace(cifar100.ARCHIVE, size=len(packed), sha256=digest, files=files)
    for source in (cifar100.FINE, cifar100.COARSE):
        monkeypatch.setitem(datasets.SOURCES, source.name, replace(source, archive=ours))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "first", "last"), [("cifar100", 90, "worm"), ("cifar100-coarse", 10, "vehicles_2")]
)
def test_both_labels(archive, name, first, last):
    for split, pixels in zip(("train", "test"), PIXELS, strict=True):
        data = datasets.load(name, split, archive)
        np.testing.assert_array_equal(data.images.reshape(10, -1), pixels)
        assert data.labels.tolist() == list(range(first, first + 10))
        assert data.classes[data.labels[-1]] == last
        assert (data.name, data.classes) == (name, datasets.classes(name))
    folder = datasets.chosen_folder(name, archive)
    assert folder == archive / "cifar-100-python"
    assert datasets.holds(name, folder)


def test_folders_called_train_and_test_are_not_the_data(archive):
    """Such as those of pictures of one's own."""
    for name in ("train", "test", "meta"):
        (archive / name).mkdir()
    assert datasets.chosen_folder("cifar100", archive) == archive / "cifar-100-python"
    bare = archive / "cifar-100-python"
    assert datasets.chosen_folder("cifar100", bare) == bare
    (bare / "meta").unlink()
    assert datasets.chosen_folder("cifar100", bare) is None


def test_names_are_those_of_the_paper():
    assert len(set(cifar100.CLASSES)) == 100
    assert len(set(cifar100.GROUPS)) == 20
    assert list(cifar100.CLASSES) == sorted(cifar100.CLASSES)
    assert list(cifar100.GROUPS) == sorted(cifar100.GROUPS)


def test_a_changed_file_is_refused(archive):
    datasets.load("cifar100", "test", archive)
    path = archive / "cifar-100-python/test"
    raw = bytearray(path.read_bytes())
    raw[-9] ^= 1
    path.write_bytes(raw)
    refuses(DataError, "test: changed: MD5", lambda: datasets.load("cifar100", "test", archive))

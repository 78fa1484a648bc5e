"""Published files, by the example of CIFAR-10: they are found, and read if they are the published
ones, byte for byte."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifar import datasets
from cifar.datasets import cifar10
from cifar.errors import DataError
from tests.cifar.datasets.tiny_cifar10 import FILES, FOLDER, NAME, PACKED, PIXELS, ROWS, write
from tests.common import refuses, unprivileged


@pytest.fixture(autouse=True)
def _home(home):
    pass


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / FOLDER)


# ---------------------------------------------------------------------------- reading


def test_images_and_labels(folder):
    train = datasets.load("cifar10", "train", folder.parent)
    expected = np.concatenate([PIXELS[f"data_batch_{i}"] for i in range(1, 6)])
    np.testing.assert_array_equal(train.images, expected.reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(train.labels, np.tile(np.arange(10), 5))
    assert [train.images.dtype, train.labels.dtype] == ["uint8", "int64"]
    assert (train.name, train.split, train.classes) == ("cifar10", "train", cifar10.CLASSES)
    assert train.images.flags.c_contiguous
    test = datasets.load("cifar10", "test", folder.parent)
    np.testing.assert_array_equal(test.images.reshape(ROWS, -1), PIXELS["test_batch"])


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    split = "test" if name == "test_batch" else "train"
    text = f"{folder / name}: missing; restore it, or move the folder {folder} away"
    refuses(DataError, text, lambda: datasets.load("cifar10", split, folder.parent))


def test_a_file_that_is_a_folder(folder):
    (folder / "test_batch").unlink()
    (folder / "test_batch").mkdir()
    text = "test_batch: not a regular file"
    refuses(DataError, text, lambda: datasets.load("cifar10", "test", folder.parent))


@pytest.mark.parametrize("change", [-len(FILES["test_batch"]), -1, 1])
def test_a_file_of_another_size_is_not_read(folder, monkeypatch, change):
    size = len(FILES["test_batch"])
    os.truncate(folder / "test_batch", size + change)
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) if p.stat().st_size < 1e3 else 1 / 0)
    text = f"{folder / 'test_batch'}: {size + change} bytes, expected {size}"
    refuses(DataError, text, lambda: datasets.load("cifar10", "test", folder.parent))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bit=st.integers(0, 8 * len(FILES["test_batch"]) - 1))
def test_any_flipped_bit_is_refused(folder, bit):
    raw = bytearray(FILES["test_batch"])
    raw[bit // 8] ^= 1 << bit % 8
    (folder / "test_batch").write_bytes(raw)
    found, expected = (hashlib.md5(x).hexdigest() for x in (raw, FILES["test_batch"]))
    text = f"{folder / 'test_batch'}: changed: MD5 {found}, expected {expected}"
    refuses(DataError, text, lambda: datasets.load("cifar10", "test", folder.parent))


# ---------------------------------------------------------------------------- finding


def test_the_first_place_that_has_it(tmp_path, home, monkeypatch):
    cache = write(home / ".cache/minigrad" / FOLDER)
    chosen = write(tmp_path / "chosen" / FOLDER)
    given_ = write(tmp_path / "given" / FOLDER)
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "empty"))
    assert datasets.find()[0] == cache
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "chosen"))
    assert datasets.find()[0] == chosen
    assert datasets.find(tmp_path / "given") == (given_, str(tmp_path / "given"))


def test_data_dir_is_the_only_place(tmp_path, home):
    write(home / ".cache/minigrad" / FOLDER)
    assert len(datasets.load("cifar10", "test", download=False)) == ROWS
    (tmp_path / "given").mkdir()
    text = f"CIFAR-10 is not in {tmp_path / 'given'}; put {NAME} or the folder {FOLDER} somewhere"
    act = lambda: datasets.load("cifar10", "test", tmp_path / "given", download=False)  # noqa: E731
    refuses(DataError, text, act)


def test_data_dir_may_be_the_batch_folder_or_hold_the_archive(tmp_path):
    inner = write(tmp_path / "a" / "renamed")
    assert len(datasets.load("cifar10", "test", inner)) == ROWS
    place = write(tmp_path / "b", {NAME: PACKED})
    assert len(datasets.load("cifar10", "test", place, download=False)) == ROWS
    assert sorted(os.listdir(place)) == [FOLDER, NAME]


def test_a_place_that_cannot_be_read_is_not_one_that_is_empty():
    with unprivileged() as folder:
        (folder / "data" / FOLDER).mkdir(parents=True)
        (folder / "data").chmod(0o600)
        text = f"{folder}/data cannot be searched: Permission denied"
        refuses(DataError, text, lambda: datasets.load("auto", "test", folder / "data"))
        (folder / "data").chmod(0o700)
        write(folder / "data" / FOLDER)
        (folder / "data" / FOLDER / "batches.meta").chmod(0)
        text = f"{folder}/data/{FOLDER}/batches.meta: cannot be read (Permission denied)"
        refuses(DataError, text, lambda: datasets.load("auto", "test", folder / "data"))


def test_the_folder_that_was_chosen(tmp_path, home, monkeypatch):
    cache = write(home / ".cache/minigrad" / FOLDER)
    folder = write(tmp_path / "given" / FOLDER)
    assert cifar10.CIFAR10.chosen_folder() is None
    assert cifar10.CIFAR10.chosen_folder(tmp_path / "given") == folder
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "empty"))
    assert cifar10.CIFAR10.chosen_folder() == cache
    assert cifar10.CIFAR10.holds(folder)
    assert not cifar10.CIFAR10.holds(tmp_path / "given")
    (folder / "test_batch").unlink()
    assert not cifar10.CIFAR10.holds(folder)

"""An archive is verified and unpacked whole or not at all; only its known files are written."""

from __future__ import annotations

import os
import tarfile
import threading
from concurrent import futures
from pathlib import Path

import pytest

from cifar import datasets
from cifar.datasets import archive, cifar10
from cifar.errors import DataError
from tests.cifar.datasets.tiny_cifar10 import (
    ARCHIVE,
    FILES,
    FOLDER,
    NAME,
    PACKED,
    ROWS,
    describe,
    pack,
    write,
)
from tests.common import refuses


@pytest.fixture(autouse=True)
def _home(home):
    pass


@pytest.fixture
def place(tmp_path):
    return tmp_path / "place"


def unpack(place: Path, packed: bytes) -> Path:
    """Unpack it there as an archive whose size and digest it meets."""
    return archive.unpack(write(place, {NAME: packed}), describe(packed))


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def without(name: str) -> dict[str, bytes]:
    return {other: raw for other, raw in FILES.items() if other != name}


@pytest.mark.parametrize(
    "name", ["../outside", "/tmp/minigrad-outside", f"{FOLDER}/../../outside", f"{FOLDER}/more"]
)
def test_unknown_members_are_not_written(place, name):
    folder = unpack(place, pack(FILES, (member(name), b"")))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert sorted(os.listdir(place)) == [FOLDER, NAME]
    assert not (place.parent / "outside").exists()
    assert not Path("/tmp/minigrad-outside").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_only_regular_members(tmp_path, place, kind):
    (tmp_path / "secret").write_bytes(FILES["test_batch"])
    link = member(f"{FOLDER}/test_batch", kind, str(tmp_path / "secret"))
    packed = pack(without("test_batch"), (link, b""))
    refuses(DataError, "is not a regular file", lambda: unpack(place, packed))
    assert os.listdir(place) == [NAME]


def test_a_link_is_not_written_through(tmp_path, place):
    """A folder member that is a link elsewhere, then a file through it."""
    (tmp_path / "elsewhere").mkdir()
    link = member(FOLDER, tarfile.SYMTYPE, str(tmp_path / "elsewhere"))
    folder = unpack(place, pack(FILES, (link, b"")))
    assert not folder.is_symlink()
    assert os.listdir(tmp_path / "elsewhere") == []


def test_missing_and_oversized_members(place, monkeypatch):
    text = f"no member '{FOLDER}/test_batch'"
    refuses(DataError, text, lambda: unpack(place, pack(without("test_batch"))))
    monkeypatch.setattr(archive, "MAX_FILE", 100)
    text = f"has {len(FILES['data_batch_1'])} bytes"
    refuses(DataError, text, lambda: unpack(place, PACKED))
    assert os.listdir(place) == [NAME]


@pytest.mark.parametrize("packed", [b"", b"not gzip", PACKED[:-2000], PACKED[:3000] * 2])
def test_a_damaged_archive_with_a_right_digest(place, packed):
    with pytest.raises(DataError, match=r"not a gzipped tar file|no member"):
        unpack(place, packed)
    assert os.listdir(place) == [NAME]


def test_an_archive_of_wrong_size_or_digest(place):
    for packed, text in (
        (PACKED[:-1], f"{len(PACKED) - 1} bytes, expected {len(PACKED)}; delete it and load"),
        (PACKED[:-1] + b"x", "SHA-256 "),
    ):
        write(place, {NAME: packed})
        refuses(DataError, f"{place / NAME}: {text}", lambda: archive.unpack(place, ARCHIVE))
        assert os.listdir(place) == [NAME]


def test_leftovers_of_a_killed_unpacking_are_removed(place):
    stray = write(place / ".unpacking-x1y2" / FOLDER)
    unpack(place, PACKED)
    assert not stray.exists()
    assert sorted(os.listdir(place)) == [FOLDER, NAME]


def test_two_unpackings_at_once_are_one(place, monkeypatch):
    """The second neither removes nor repeats the work of the first."""
    opened, entered, gate, really = [], threading.Event(), threading.Event(), tarfile.open

    def open_slowly(*given):
        opened.append(given)
        entered.set()
        assert gate.wait(30)
        return really(*given)

    monkeypatch.setattr(tarfile, "open", open_slowly)
    write(place, {NAME: PACKED})
    with futures.ThreadPoolExecutor(2) as pool:  # locks tell threads apart as they do processes
        first = pool.submit(datasets.load, "cifar10", "test", place)
        assert entered.wait(30)
        second = pool.submit(datasets.load, "cifar10", "train", place)
        with pytest.raises(futures.TimeoutError):
            second.result(0.2)
        gate.set()
        assert (len(first.result(30)), len(second.result(30))) == (ROWS, 5 * ROWS)
    assert len(opened) == 1
    assert sorted(os.listdir(place)) == [FOLDER, NAME]


def test_whether_it_is_unpacked(place):
    folder = unpack(place, PACKED)
    assert cifar10.ARCHIVE.is_unpacked_in(folder)
    assert not cifar10.ARCHIVE.is_unpacked_in(place)

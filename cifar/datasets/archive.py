"""Data sets published as one archive of a few files: search, unpacking and verification.

Every file has a published digest, and no file is used before its digest is checked.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import zlib
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from cifar import process
from cifar.errors import DataError

MAX_FILE: Final = 160 << 20  # bytes, of a member; CIFAR-100's training file has 148 MiB
_SCRATCH: Final = ".unpacking-"  # the start of the names of folders that files are unpacked into


@dataclass(frozen=True)
class File:
    """A published file: its name, its size in bytes (None where it is not known) and its MD5 in
    hex."""

    name: str
    size: int | None
    md5: str


@dataclass(frozen=True)
class Archive:
    """A published gzipped tar file.

    Attributes:
        title: of the data set, for messages.
        name, size, sha256: the archive's name, size in bytes and digest in hex.
        folder: the folder in the archive that holds the files.
        files: the files that are used.
        mirrors: URLs to download it from, the publisher's last.
        schemes: permitted schemes of URLs, also of redirections.
    """

    title: str
    name: str
    size: int
    sha256: str
    folder: str
    files: tuple[File, ...]
    mirrors: tuple[str, ...]
    schemes: tuple[str, ...] = ("https://",)

    @property
    def advice(self) -> str:
        """Advice for a machine on which it cannot be downloaded."""
        return (
            f"put {self.name} or the folder {self.folder} somewhere and point --data-dir or "
            "$MINIGRAD_DATA at it, or use --dataset synthetic"
        )

    def is_unpacked_in(self, folder: str | os.PathLike[str]) -> bool:
        """Whether the folder holds all the files, as regular ones."""
        return all(os.path.isfile(os.path.join(folder, file.name)) for file in self.files)


def find(places: tuple[Path, ...], archive: Archive) -> Path | None:
    """The folder of files in the first place that has one; an archive found there is unpacked.

    Raises:
        DataError: a place cannot be searched, or its archive is damaged.
    """
    for place in places:
        folder = place / archive.folder
        try:
            with suppress(FileNotFoundError, NotADirectoryError):
                folder.stat()  # raises where is_dir() is False: permission denied
            if folder.is_dir():
                return folder
            if archive.is_unpacked_in(place):  # not one name alone: "train" may be anything
                return place
            if (place / archive.name).exists():
                return unpack(place, archive)
        except OSError as error:
            raise DataError(f"{place} cannot be searched: {error.strerror}") from None
    return None


def in_turn(root: Path, archive: Archive) -> AbstractContextManager[None]:
    """Lock the archive in ``root``, waiting while another process downloads or unpacks it there."""
    waiting = f"waiting for another process that downloads or unpacks {archive.title} in {root}"
    return process.in_turn(root / f".{archive.name}.lock", waiting)


def read(folder: Path, file: File) -> bytes:
    """The bytes of a published file.

    Raises:
        DataError: it is missing, or differs from the published one in any byte.
    """
    path = folder / file.name
    try:
        if not path.is_file():
            _refuse(path, "not a regular file" if path.exists() else "missing")
        if (size := path.stat().st_size) != file.size is not None:
            _refuse(path, f"{size} bytes, expected {file.size}")
        raw = path.read_bytes()
    except OSError as error:
        _refuse(path, f"cannot be read ({error.strerror})")
    digest = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if digest != file.md5:
        _refuse(path, f"changed: MD5 {digest}, expected {file.md5}")
    return raw


def _refuse(path: Path, problem: str) -> NoReturn:
    raise DataError(
        f"{path}: {problem}; restore it, or move the folder {path.parent} away and load again"
    )


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def unpack(root: Path, archive: Archive) -> Path:
    """Verify the archive in ``root`` and unpack all its files next to it, unless another process
    just did; returns their folder.

    Only regular files with known names are written, to fixed paths. So no member of the archive,
    whatever its path or type, can write anything else.

    Raises:
        DataError: the archive is damaged, or ``root`` cannot be written.
    """
    folder, path = root / archive.folder, root / archive.name
    try:
        with in_turn(root, archive):
            if not folder.is_dir():
                for stray in root.glob(f"{_SCRATCH}*"):  # a killed process left it
                    shutil.rmtree(stray, ignore_errors=True)
                _verify(path, archive)
                _extract(path, archive)
    except (_DamagedError, tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        own = isinstance(error, _DamagedError)
        raise DataError(
            f"{path}: {error if own else f'not a gzipped tar file ({error})'}; delete it and load "
            f"again, or restore it from {archive.mirrors[-1]}"
        ) from None
    except OSError as error:
        raise DataError(
            f"cannot unpack {path}: {error.strerror}; copy it to a folder you can write and point "
            "--data-dir at that"
        ) from None
    return folder


class _DamagedError(Exception):
    """The archive is not the published one; the message says how it differs."""


def _verify(path: Path, archive: Archive) -> None:
    if not path.is_file():
        raise _DamagedError("not a regular file")
    if (size := path.stat().st_size) != archive.size:
        raise _DamagedError(f"{size} bytes, expected {archive.size}")
    if (digest := sha256(path)) != archive.sha256:
        raise _DamagedError(f"SHA-256 {digest}, expected {archive.sha256}")


def _extract(path: Path, archive: Archive) -> None:
    wanted = {f"{archive.folder}/{file.name}": file.name for file in archive.files}
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=path.parent) as scratch:
        unpacked = Path(scratch) / archive.folder
        unpacked.mkdir()
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                if member.size > MAX_FILE:
                    raise _DamagedError(f"member {member.name!r} has {member.size} bytes")
                name = wanted.pop(member.name, None)
                if name is None:
                    continue
                stream = tar.extractfile(member) if member.isreg() else None
                if stream is None:
                    raise _DamagedError(f"member {member.name!r} is not a regular file")
                (unpacked / name).write_bytes(stream.read())
        if wanted:
            raise _DamagedError(f"no member {min(wanted)!r}")
        unpacked.rename(path.parent / archive.folder)

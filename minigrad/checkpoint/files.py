"""Atomic writes: a crash cannot leave a half-written file."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .. import check
from ..console import decoded


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> None:
    """Call ``write`` with a temporary file next to ``path``, then rename it to ``path``.

    A reader, and a crash at any moment, finds either the old file or the complete new one, which
    keeps the mode and owner of the old one. Links are followed. Pipes, terminals, other devices,
    and a file to which standard output is redirected, are written to directly.

    Raises:
        OSError: the file system reports an error. The old file is unchanged, and the temporary file
            removed.
    """
    status = _status(path)
    if status is not None and (not stat.S_ISREG(status.st_mode) or _stream(status) is not None):
        _write_through(path, status, write)
        return
    target = Path(os.path.realpath(path))
    temporary = _beside(path, target, status)
    try:
        last = status or temporary.stat()  # a new file has the mode of the umask or the folder
        write(temporary)
        with temporary.open("rb") as file:
            if status is not None:
                with suppress(PermissionError):
                    os.fchown(file.fileno(), last.st_uid, last.st_gid)
            os.fchmod(file.fileno(), last.st_mode & 0o777)
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary.parent, ignore_errors=True)
    if hasattr(os, "O_DIRECTORY"):  # make the rename itself durable
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def writable(path: str | os.PathLike[str]) -> None:
    """Check, before a long computation, that a file can be written.

    Raises:
        OSError: :func:`write_atomically` would raise this error.
    """
    status = _status(path)
    if status is None or stat.S_ISREG(status.st_mode):
        shutil.rmtree(_beside(path, Path(os.path.realpath(path)), status).parent)
    elif not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _beside(path: str | os.PathLike[str], target: Path, status: os.stat_result | None) -> Path:
    """A new empty file that will become ``target``, the file to which ``path`` resolves. It is in
    its own folder, because libraries create temporary files next to it."""
    folder = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.part")
    temporary = folder / "whole"
    mode = 0o666 if status is None else 0o600 | status.st_mode & 0o777
    try:
        if status is not None:
            os.close(os.open(target, os.O_WRONLY))  # raises if the file is read-only
        folder.mkdir(0o700)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    except OSError as error:  # name the path that the caller gave
        shutil.rmtree(folder, ignore_errors=True)
        raise type(error)(error.errno, error.strerror, str(path)) from None
    return temporary


def _status(path: str | os.PathLike[str]) -> os.stat_result | None:
    """The status of the file that ``path`` resolves to, or None if there is none.

    Raises:
        OSError: the status is not accessible, or files cannot be written there.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISBLK(status.st_mode):
        raise OSError(errno.EINVAL, "Is a disk", str(path))
    return status


def _stream(status: os.stat_result) -> int | None:
    """1 or 2 if standard output or standard error goes to this very file, else None."""
    for number in (1, 2):
        with suppress(OSError):  # it is closed
            if os.path.samestat(os.fstat(number), status):
                return number
    return None


def _write_through(
    path: str | os.PathLike[str], status: os.stat_result, write: Callable[[Path], object]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "whole"
        write(temporary)
        number = _stream(status)
        for stream in (sys.stdout, sys.stderr):
            if number is not None and stream is not None:
                stream.flush()
        place = path if number is None else os.dup(number)
        with temporary.open("rb") as source, open(place, "wb") as sink:
            shutil.copyfileobj(source, sink)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """:func:`write_atomically` ``text`` as UTF-8 with unchanged line ends. Undecodable bytes of
    file names become "\ufffd"."""
    write_atomically(path, lambda file: file.write_bytes(decoded(text).encode()))


def keep(path: str | os.PathLike[str], name: str | os.PathLike[str]) -> None:
    """Keep the current file ``path`` as ``name``, in the same folder, when ``path`` is rewritten.
    This is a hard link, so it copies nothing.

    Links are followed. Nothing happens if ``path`` does not exist, or on file systems without hard
    links.
    """
    target = Path(os.path.realpath(name))
    temporary = target.with_name(f".{target.name[:40]}.link.part")
    temporary.unlink(missing_ok=True)
    with suppress(OSError):
        os.link(os.path.realpath(path), temporary)
        temporary.replace(target)
    temporary.unlink(missing_ok=True)  # replace() does nothing if both are one file already


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Delete temporary files that :func:`write_atomically` and :func:`keep` left in ``folder`` when
    they were killed, and nothing else. Neither may be running there."""
    for temporary in Path(folder).glob(".*.part"):
        if re.fullmatch(r"\..{0,40}\.([0-9a-f]{16}|link)\.part", temporary.name, re.DOTALL):
            if temporary.is_dir() and not temporary.is_symlink():
                shutil.rmtree(temporary)
            else:
                temporary.unlink(missing_ok=True)


def readable(path: str | os.PathLike[str]) -> Path:
    """``path``, which must be a regular file that this process can read.

    Raises:
        OSError: it is not; the subclass gives the reason (FileNotFoundError, PermissionError).
    """
    file = check.path("path", path)
    try:
        regular = stat.S_ISREG(os.stat(file).st_mode)
        if regular or file.is_dir():  # opening a pipe might wait for ever
            file.open("rb").close()
    except OSError as error:
        raise type(error)(f"path: cannot read {path}: {error.strerror}") from None
    if not regular:
        raise OSError(f"path: cannot read {path}: Not a regular file")
    return file

"""Files that a crash cannot leave half written."""

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
    """Let ``write`` fill a temporary file beside ``path``, then put it in place of ``path``.

    A reader, or a crash at any moment, finds either the old file or the whole new one, which keeps
    the old one's mode and owner. Links are followed. A pipe, a terminal or another device is
    written to and stays what it is, as does a file that standard output goes to.

    Raises:
        OSError: as the file system says; the old file is untouched and the temporary one gone.
    """
    status = _status(path)
    if status is not None and (not stat.S_ISREG(status.st_mode) or _stream(status) is not None):
        _write_through(path, status, write)
        return
    target = Path(os.path.realpath(path))
    temporary = _beside(path, target, status)
    try:
        last = status or temporary.stat()  # of a new file, as the umask or the folder has it
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
    """Tell before the work, not after it, that a file cannot be written.

    Raises:
        OSError: :func:`write_atomically` would raise it.
    """
    status = _status(path)
    if status is None or stat.S_ISREG(status.st_mode):
        shutil.rmtree(_beside(path, Path(os.path.realpath(path)), status).parent)
    elif not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _beside(path: str | os.PathLike[str], target: Path, status: os.stat_result | None) -> Path:
    """A new empty file to become ``target``, to which ``path`` leads. It is alone in a new folder,
    because libraries write to temporary files of their own beside it."""
    folder = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.part")
    temporary = folder / "whole"
    mode = 0o666 if status is None else 0o600 | status.st_mode & 0o777
    try:
        if status is not None:
            os.close(os.open(target, os.O_WRONLY))  # a file that may not be written to stays, too
        folder.mkdir(0o700)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    except OSError as error:  # of a name that nobody gave
        shutil.rmtree(folder, ignore_errors=True)
        raise type(error)(error.errno, error.strerror, str(path)) from None
    return temporary


def _status(path: str | os.PathLike[str]) -> os.stat_result | None:
    """What lies where ``path`` leads, or None if nothing does.

    Raises:
        OSError: it cannot be told, or is nothing that a file may be written to.
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
    """The number of this process's own output, 1 or 2, that goes to the very file, if one does."""
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
    """:func:`write_atomically` ``text`` as UTF-8; ends of line stay as they are in ``text``, and
    bytes of a file's name that are no text become "\ufffd"."""
    write_atomically(path, lambda file: file.write_bytes(decoded(text).encode()))


def keep(path: str | os.PathLike[str], name: str | os.PathLike[str]) -> None:
    """Let ``name``, in the same folder, be what ``path`` is now, whatever is written to ``path``
    afterwards. It costs no copy: both are names of one file until then.

    Links are followed. Nothing is kept where ``path`` does not exist, and on file systems without
    hard links.
    """
    target = Path(os.path.realpath(name))
    temporary = target.with_name(f".{target.name[:40]}.link.part")
    temporary.unlink(missing_ok=True)
    with suppress(OSError):
        os.link(os.path.realpath(path), temporary)
        temporary.replace(target)
    temporary.unlink(missing_ok=True)  # replace() does nothing if both are one file already


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Delete what :func:`write_atomically` and :func:`keep` left in ``folder`` when they were
    killed, and nothing else. None may be at work there."""
    for temporary in Path(folder).glob(".*.part"):
        if re.fullmatch(r"\..{0,40}\.([0-9a-f]{16}|link)\.part", temporary.name, re.DOTALL):
            if temporary.is_dir() and not temporary.is_symlink():
                shutil.rmtree(temporary)
            else:
                temporary.unlink(missing_ok=True)


def readable(path: str | os.PathLike[str]) -> Path:
    """``path``, which is a regular file that this process may read.

    Raises:
        OSError: of the kind that says why it is not, such as FileNotFoundError or PermissionError.
    """
    found = check.path("path", path)
    try:
        regular = stat.S_ISREG(os.stat(found).st_mode)
        if regular or found.is_dir():  # to open a pipe might wait for ever
            found.open("rb").close()
    except OSError as error:
        raise type(error)(f"path: cannot read {path}: {error.strerror}") from None
    if not regular:
        raise OSError(f"path: cannot read {path}: Not a regular file")
    return found

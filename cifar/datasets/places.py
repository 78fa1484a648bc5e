"""The folders that are searched for data: --data-dir, or $MINIGRAD_DATA and the cache."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from cifar.errors import DataError


def candidates(data_dir: str | os.PathLike[str] | None) -> tuple[Path, ...]:
    """The folders to search, in order; a download goes into the first.

    Raises:
        DataError: `data_dir` or `$MINIGRAD_DATA` is not a folder, or its home folder is unknown.
    """
    if data_dir is not None:
        folder = _expanded(data_dir)
        try:
            problem = "" if stat.S_ISDIR(folder.stat().st_mode) else "is not a folder"
        except FileNotFoundError:
            problem = "does not exist"
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        if problem:
            raise DataError(f"data folder {folder} {problem}; create it or name another --data-dir")
        return (folder,)
    folders = []
    if variable := os.environ.get("MINIGRAD_DATA"):
        folders = [_expanded(variable, "$MINIGRAD_DATA: ")]
        if folders[0].exists() and not folders[0].is_dir():
            raise DataError(f"$MINIGRAD_DATA: data folder {folders[0]} is not a folder")
    with suppress(RuntimeError):  # a user without a home has no cache
        folders.append(Path("~/.cache/minigrad").expanduser())
    return tuple(folders)


def _expanded(folder: str | os.PathLike[str], origin: str = "") -> Path:
    """`folder` with "~" or "~user" at its start replaced by the home folder."""
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        raise DataError(f"{origin}data folder {folder}: there is no such home folder") from None


def named_by(data_dir: str | os.PathLike[str] | None) -> str:
    """The option or variable that names the folder, or ""."""
    if data_dir is not None:
        return "--data-dir"
    return "$MINIGRAD_DATA" if os.environ.get("MINIGRAD_DATA") else ""


def join(folders: tuple[Path, ...]) -> str:
    """The folders as a phrase for a message."""
    return " or ".join(map(str, folders)) or "the usual places: there is no home folder"

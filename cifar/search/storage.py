"""The storage of a study: a journal file, or a database by its URL."""

from __future__ import annotations

import os
import time
from pathlib import Path

import filelock
import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalRedisBackend

from cifar.errors import UserError

ATTEMPTS = 5  # to make a database's tables, which other machines may be making too


class JournalLock(JournalFileOpenLock):
    """A lock on a journal for writing.

    It is a lock of the operating system, so a killed process leaves no lock (with Optuna's own
    lock, others would wait for half a minute). If a killed process left an incomplete line, it is
    removed; otherwise it would be joined to the next line, and neither could be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = filelock.FileLock(f"{path}.held", fallback_to_soft=False)

    def acquire(self) -> bool:
        self._lock.acquire()
        cut_torn_line(self._path)
        return True

    def release(self) -> None:
        self._lock.release()


def cut_torn_line(path: Path) -> int:
    """Remove the bytes after the last line feed of a file; returns their number."""
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - 4096)
            file.seek(begin)
            if position := file.read(end - begin).rfind(b"\n") + 1:
                end = begin + position
                break
            end = begin
        if end < size:
            file.truncate(end)
    return size - end


def open_storage(where: str) -> BaseStorage:
    """The storage in a file, which is created if necessary, or in the database of a URL.

    Raises:
        UserError: it cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if "://" not in where:
        return _journal(Path(where))
    if where.startswith("redis"):
        return JournalStorage(JournalRedisBackend(where))
    for attempt in range(ATTEMPTS):
        try:
            return optuna.storages.get_storage(RDBStorage(where))
        except ImportError as error:
            raise UserError(f"storage: its driver is missing: {error}") from None
        except Exception as error:  # of SQLAlchemy and of any driver
            if attempt + 1 == ATTEMPTS:
                first = str(error).strip().splitlines()[0]
                raise UserError(f"storage: the database cannot be used: {first}") from None
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError


def _journal(path: Path) -> BaseStorage:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.open("rb").read(1) not in (b"", b"{"):
            raise UserError(f"storage: {path} is not a journal of Optuna's")
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalLock(path)))
    except OSError as error:
        raise UserError(f"storage: cannot use {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, AssertionError) as error:
        raise UserError(f"storage: {path} is not a journal of Optuna's ({error!r:.80})") from None
    return storage

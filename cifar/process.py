"""Locks on folders and files, signals that stop a run at a step, output that survives the end of
its terminal, and advice when memory runs out."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import minigrad as mg
from cifar.errors import UserError

if TYPE_CHECKING:
    import filelock

LOCK: Final = ".lock"  # the file in a folder that alone_in holds
# What locking a file raises on a file system that has no locks.
_NO_LOCKS: Final = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lock the existing ``folder`` against all other runs.

    The folder contains the file ``.lock`` meanwhile. The operating system locks it, so the lock
    ends with the process in any case. The next run takes over a file that a killed process left.

    Raises:
        UserError: another run holds the folder.
        OSError: the folder cannot be written.
    """
    lock = _lock(folder / LOCK)
    if not _acquire(lock, blocking=False):
        raise UserError(
            f"out: another run is writing into {folder}; wait for it, or choose another --out"
        )
    try:
        yield
    finally:
        _release(lock)


@contextmanager
def in_turn(file: Path, waiting: str) -> Iterator[None]:
    """Lock ``file`` against all other processes; if another one holds it, print ``waiting`` and
    wait.

    The file is created for this and removed at the end. As in :func:`alone_in`, a process that was
    killed may leave the file, but no lock.
    """
    lock = _lock(file)
    if not _acquire(lock, blocking=False):
        print(f"note: {waiting}", file=sys.stderr)
        _acquire(lock)
    try:
        yield
    finally:
        _release(lock)


@contextmanager
def held(file: Path, wait: bool = False) -> Iterator[bool]:
    """Lock ``file`` and yield whether that succeeded.

    The file is created for this and removed at the end. As in :func:`alone_in`, a process that was
    killed may leave the file, but no lock.

    Args:
        wait: whether to wait until it is free.

    Raises:
        OSError: the file cannot be created.
        UserError: its file system has no locks.
    """
    import filelock

    lock = _lock(file)
    try:
        lock.acquire(blocking=wait)
    except filelock.Timeout:
        yield False
        return
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise UserError(
            f"out: {file.parent} cannot be locked ({error.strerror}), and two processes might do "
            "the same work; choose an --out on another file system"
        ) from None
    try:
        yield True
    finally:
        _release(lock)


def _lock(file: Path) -> filelock.FileLock:
    import filelock

    return filelock.FileLock(file, fallback_to_soft=False)


def _acquire(lock: filelock.FileLock, blocking: bool = True) -> bool:
    """Take the lock; returns whether it is held, or the file system has no locks (with a note).

    Raises:
        OSError: the file cannot be created.
    """
    import filelock

    try:
        lock.acquire(blocking=blocking)
    except filelock.Timeout:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        folder, reason = os.path.dirname(lock.lock_file), error.strerror
        print(
            f"note: {folder} cannot be locked ({reason}); let no other run write there",
            file=sys.stderr,
        )
    return True


def _release(lock: filelock.FileLock) -> None:
    Path(lock.lock_file).unlink(missing_ok=True)  # while it is held: a waiting process notices
    lock.release()


@contextmanager
def writing(name: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an OSError in the block, which writes ``path``, into a UserError that names the option
    ``name``."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{name}: cannot write {path}: {error.strerror or error}") from None


def files_below(folder: Path) -> list[Path]:
    """The regular files below a folder, at any depth, links to such files included, in order.

    Raises:
        UserError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:  # or os.walk skips it silently
        raise UserError(f"folder: cannot read {error.filename}: {error.strerror}")

    walk = os.walk(folder, onerror=refuse)
    paths = sorted(Path(place, name) for place, _, names in walk for name in names)
    return [path for path in paths if path.is_file()]  # opening a FIFO would wait


@contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """Yield a list to which the first Ctrl-C or SIGTERM appends its number; the second one raises
    KeyboardInterrupt.

    Outside the main thread, where Python handles no signals, the list stays empty.
    """
    stop: list[int] = []
    if not _in_main_thread():
        yield stop
        return

    def note(number: int, _: Any) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.append(number)

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_main_thread() -> bool:
    """Whether this thread may set signal handlers and streams, which belong to the process."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def outlive_terminal() -> Iterator[None]:
    """Continue when the terminal, or the reader of the output, closes: SIGHUP is ignored, and
    output that can no longer be written is dropped. Outside the main thread nothing changes."""
    if not _in_main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    out, err = (
        cast(TextIO, mg.console.Stream(stream, heedless=True))
        for stream in (sys.stdout, sys.stderr)
    )
    try:
        with redirect_stdout(out), redirect_stderr(err):
            yield
    finally:
        signal.signal(signal.SIGHUP, before)


def program() -> tuple[str, ...]:
    """The words of a command that starts this program again from the same folder."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None:
        return (_shortest(sys.executable), "-m", spec.name.removesuffix(".__main__"))
    if os.access(sys.argv[0], os.X_OK):
        return (_shortest(sys.argv[0]),)
    return (_shortest(sys.executable), sys.argv[0])


def shell_word(word: str) -> str:
    """``word`` quoted for a shell, in printable characters only, though a path may have others."""
    if word.isprintable():
        return shlex.quote(word)
    plain = set(range(ord(" "), 127)) - set(b"'\\")
    return "$'" + "".join(chr(b) if b in plain else f"\\x{b:02x}" for b in os.fsencode(word)) + "'"


def _shortest(program: str) -> str:
    """The program's name if a shell finds it by that, otherwise its path."""
    name = Path(program).name
    return name if shutil.which(name) == program else program


@contextmanager
def suggest_smaller_batch() -> Iterator[None]:
    """Suggest a smaller batch when memory runs out in the block of a command with a batch size."""
    try:
        yield
    except MemoryError as error:
        advice = "try a smaller --batch-size"
        raise mg.OutOfMemoryError(f"{error}; {advice}" if str(error) else advice) from error

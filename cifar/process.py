"""What commands need of the system: a folder or a download to themselves, signals that stop a run
at a step, a life longer than its terminal's, and what to do when memory runs out."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, TextIO, cast

import minigrad as mg
from cifar.errors import UserError

POLL = 0.05  # seconds between two looks at a lock that another process holds


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which exists, against every other run.

    The lock is the kernel's, on the open folder: no file tells of it, and it ends with the process,
    however that ends.

    Raises:
        UserError: another run holds the folder.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            _lock(handle, folder)
        except BlockingIOError:
            raise UserError(
                f"out: another run is writing into {folder}; wait for it, or choose another --out"
            ) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def writing(name: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """What may go wrong while the file ``path`` is written, which ``name`` gave, as a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{name}: cannot write {path}: {error.strerror or error}") from None


@contextmanager
def in_turn(file: Path, waiting: str) -> Iterator[None]:
    """Hold ``file``, which is made for this and removed at the end, against every other process;
    while another one holds it, say ``waiting`` and wait.

    As in :func:`alone_in`, a process that was killed may leave the file, but no lock.
    """
    said = False
    while True:
        with file.open("ab") as held:
            try:
                _lock(held.fileno(), file)
            except BlockingIOError:
                if not said:
                    print(f"note: {waiting}", file=sys.stderr)
                    said = True
                time.sleep(POLL)  # not inside flock, where a signal to another thread is not seen
                continue
            if not _is_at(held.fileno(), file):  # who held it removed it: others lock a new one
                continue
            try:
                yield
            finally:
                file.unlink(missing_ok=True)
            return


def _lock(handle: int, path: Path) -> None:
    """``flock`` without waiting, or a note where the file system has none.

    Raises:
        BlockingIOError: another process holds it.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:  # NFS locks no folders
        print(
            f"note: {path} cannot be locked ({error.strerror}); let no other run write there",
            file=sys.stderr,
        )


def _is_at(handle: int, path: Path) -> bool:
    """Whether ``path`` is the open file."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False


def files_below(folder: Path) -> list[Path]:
    """The regular files in a folder and in all within it, links to such ones too, in order.

    Raises:
        UserError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:  # not left out in silence
        raise UserError(f"folder: cannot read {error.filename}: {error.strerror}")

    walk = os.walk(folder, onerror=refuse)
    found = sorted(Path(place, name) for place, _, names in walk for name in names)
    return [path for path in found if path.is_file()]  # to open a FIFO is to wait


@contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """A list that a first Ctrl-C or SIGTERM makes non-empty; a second one acts at once.

    Outside the main thread, where Python handles no signals, it stays empty.
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
    """Whether signals and streams, which belong to the whole process, are this thread's to set."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def outliving_its_terminal() -> Iterator[None]:
    """Go on when the terminal, or whoever reads the output, goes away: SIGHUP is ignored, and what
    can no longer be shown is dropped. Outside the main thread nothing is changed."""
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
    """The words that started this program, as a person can type them again in the same folder."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None:
        return (_shortest(sys.executable), "-m", spec.name.removesuffix(".__main__"))
    if os.access(sys.argv[0], os.X_OK):
        return (_shortest(sys.argv[0]),)
    return (_shortest(sys.executable), sys.argv[0])


def shell_word(word: str) -> str:
    """``word`` as a shell takes it, in visible characters: a path may hold any others."""
    if word.isprintable():
        return shlex.quote(word)
    plain = set(range(ord(" "), 127)) - set(b"'\\")
    return "$'" + "".join(chr(b) if b in plain else f"\\x{b:02x}" for b in os.fsencode(word)) + "'"


def _shortest(program: str) -> str:
    """Its name alone, where a shell finds it by that."""
    name = Path(program).name
    return name if shutil.which(name) == program else program


@contextmanager
def batches_can_be_smaller() -> Iterator[None]:
    """Of a command that takes a batch size: where memory runs out, the error says so."""
    try:
        yield
    except MemoryError as error:
        advice = "try a smaller --batch-size"
        raise mg.OutOfMemoryError(f"{error}; {advice}" if str(error) else advice) from error

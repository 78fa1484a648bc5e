"""What a run needs of the system: a folder to itself, signals that stop it at a step, and a life
longer than its terminal's."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO, cast

from cifar.errors import UserError


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
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"out: another run is writing into {folder}; wait for it, or choose another --out"
            ) from None
        except OSError as error:  # NFS locks no folders
            print(
                f"note: {folder} cannot be locked ({error.strerror}); let no other run write there",
                file=sys.stderr,
            )
        yield
    finally:
        os.close(handle)


@contextmanager
def stop_on_signals() -> Iterator[list[int]]:
    """A list that a first Ctrl-C or SIGTERM makes non-empty; a second one acts at once."""
    stop: list[int] = []

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


@contextmanager
def outliving_its_terminal() -> Iterator[None]:
    """Go on when the terminal, or whoever reads the output, goes away: SIGHUP is ignored, and what
    can no longer be shown is dropped."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    out, err = (cast(TextIO, _Heedless(stream)) for stream in (sys.stdout, sys.stderr))
    try:
        with redirect_stdout(out), redirect_stderr(err):
            yield
    finally:
        signal.signal(signal.SIGHUP, before)


class _Heedless:
    """A stream that does not mind when nobody can be reached through it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._hush()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._hush()

    def _hush(self) -> None:
        """Send what the stream still holds, and all that follows, nowhere."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)

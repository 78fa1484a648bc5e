"""What a person reads: lines that steer no terminal, streams that may be closed, how to install."""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, TypeVar, cast

T = TypeVar("T")

READER_GONE = 128 + 13  # the exit code of a process that SIGPIPE ended
INTERRUPTED = 128 + 2  # likewise of SIGINT

_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # of characters, and of no file's name
_PLAIN = re.compile(r"[\n\r\t -~]*")  # needs no cleaning: most of what is printed


def install(extra: str) -> str:
    """How to install an optional part of minigrad, for the end of a message.

    It takes the checkout: the project called minigrad on PyPI is another one.
    """
    return f"run pip install -e '.[{extra}]' in the folder of the checkout"


def decoded(text: object) -> str:
    """``str(text)`` as text that UTF-8 can hold.

    A file's name is bytes. What Python took for no text, in the locale C all but ASCII, is read as
    UTF-8; what is none is "\ufffd".
    """
    whole = _HALVES.sub("\ufffd", str(text))
    return whole.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def clean(text: object, keep: str = "") -> str:
    """:func:`decoded` ``text`` without what steers a terminal or hides in a line: file names,
    files and servers may hold escape sequences, ends of line, marks that reverse the text.

    Any such character becomes "?", any space but the usual one " ", unless it is in ``keep``.
    """
    return "".join(
        c if c.isprintable() or c in keep else " " if c.isspace() else "?" for c in decoded(text)
    )


def one_line(text: object) -> str:
    """:func:`clean` ``text`` with all runs of spaces and ends of line made one space."""
    return clean(" ".join(str(text).split()))


def complain(message: object) -> int:
    """Say on stderr, in one line, what went wrong; returns the exit code of a mistake."""
    print("error:", one_line(message), file=sys.stderr)
    return 2


class Stream:
    """A stream that shows only what :func:`clean` leaves, once ``cleaning`` is set.

    ``heedless``: what can no longer be written, because the reader or the terminal is gone or a
    disk is full, is dropped. Otherwise the error names the stream.
    """

    def __init__(self, stream: TextIO, heedless: bool = False) -> None:
        self._stream, self._heedless, self.cleaning = stream, heedless, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if self.cleaning and not _PLAIN.fullmatch(text):
            text = clean(text, keep="\n\r\t")
        with self._failing():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._failing():
            self._stream.flush()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Send what the stream still holds after an error, and all that follows, nowhere: Python
        flushes it again at the end of the process, and would fail again."""
        try:
            yield
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
            if not self._heedless:
                raise OSError(error.errno, error.strerror, self._stream.name) from None


def run(
    parse: Callable[[], T], act: Callable[[T], int], mistakes: tuple[type[Exception], ...] = ()
) -> int:
    """A command's exit code: that of ``act(parse())``, or 2 after one line on stderr where the
    system, or one of ``mistakes``, says what has to be mended.

    Streams that were closed at the start lead nowhere. A reader of stdout who has seen enough ends
    the command quietly; one of stderr who is gone does not. What ``act`` prints is cleaned, while
    ``parse`` may colour its help. A warning is a note of one line.

    Raises:
        SystemExit: as ``parse`` does, after --help.
    """
    _open_closed()
    out, err = Stream(sys.stdout), Stream(sys.stderr, heedless=True)
    shown, warnings.showwarning = warnings.showwarning, _note
    try:
        with redirect_stdout(cast(TextIO, out)), redirect_stderr(cast(TextIO, err)):
            try:
                try:
                    asked = parse()
                    out.cleaning = err.cleaning = True
                    return act(asked)
                finally:
                    out.flush()
            except KeyboardInterrupt:
                return INTERRUPTED
            except BrokenPipeError:
                return READER_GONE
            except mistakes as error:
                return complain(error)
            except MemoryError as error:
                return complain(f"out of memory ({error})" if str(error) else "out of memory")
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                return complain(f"{where}{error.strerror or error}")
    finally:
        warnings.showwarning = shown


def _note(message: Warning | str, *_: Any, **__: Any) -> None:
    """In place of ``warnings.showwarning``, which shows two lines and a path."""
    print("note:", one_line(message), file=sys.stderr)


def _open_closed() -> None:
    """Let closed standard streams lead nowhere.

    Each takes the lowest number that is free, which is its own. Otherwise the next file that is
    opened would get that of, say, stderr, and what a library writes there would land in it.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # "?" where a terminal has no "×"

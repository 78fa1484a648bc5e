"""Terminal output: text without control characters, streams that may be closed, exit codes."""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, TypeVar, cast

__all__ = [
    "INTERRUPTED",
    "READER_GONE",
    "Stream",
    "aligned",
    "byte_count",
    "clean",
    "complain",
    "decoded",
    "dimensions",
    "install",
    "one_line",
    "run",
]

T = TypeVar("T")

READER_GONE = 128 + 13  #: the exit code of a process ended by SIGPIPE
INTERRUPTED = 128 + 2  #: the exit code of a process ended by SIGINT

_SURROGATES = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # except those of file names
_PLAIN = re.compile(r"[\n\r\t -~]*")  # needs no cleaning, like most text


def install(extra: str) -> str:
    """How to install an extra of minigrad, for the end of a message.

    It names the checkout, because the project called minigrad on PyPI is a different one.
    """
    return f"run pip install -e '.[{extra}]' in the folder of the checkout"


def decoded(text: object) -> str:
    """``str(text)`` as text that UTF-8 can encode.

    File names are bytes. Bytes that Python could not decode (in the locale C, all but ASCII) are
    decoded as UTF-8, and become "\ufffd" if they are not valid UTF-8.
    """
    whole = _SURROGATES.sub("\ufffd", str(text))
    return whole.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def clean(text: object, keep: str = "") -> str:
    """:func:`decoded` ``text`` without control characters: names, files and servers may contain
    escape sequences, line ends or marks that reverse the text.

    Characters that cannot be printed become "?", and unusual spaces become " ", except those in
    ``keep``.
    """
    return "".join(
        c if c.isprintable() or c in keep else " " if c.isspace() else "?" for c in decoded(text)
    )


def one_line(text: object) -> str:
    """:func:`clean` ``text`` with each run of spaces and line ends replaced by one space."""
    return clean(" ".join(str(text).split()))


def dimensions(shape: Sequence[int]) -> str:
    """A shape in words, such as "64×3×32×32"; "scalar" for a number."""
    return "×".join(map(str, shape)) or "scalar"


def byte_count(count: int) -> str:
    """A number of bytes with at most three digits, such as "1.8 MB"."""
    size, units = float(count), ["B", "KB", "MB", "GB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.{0 if units[0] == 'B' or size >= 99.95 else 1}f} {units[0]}"


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table with aligned columns: a heading, a rule, and the other rows. The columns with numbers
    in ``right`` are aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        padded = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(cells)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join([lines[0], "─" * max(map(len, lines)), *lines[1:]])


def complain(message: object) -> int:
    """Print ``message`` on stderr in one line; returns the exit code of a user's mistake."""
    print("error:", one_line(message), file=sys.stderr)
    return 2


class Stream:
    """A stream that passes text through :func:`clean` once ``cleaning`` is set.

    If ``heedless``, text that can no longer be written is dropped, because the reader or the
    terminal has closed or a disk is full. Otherwise the error names the stream.
    """

    def __init__(self, stream: TextIO, heedless: bool = False) -> None:
        self._stream, self._heedless, self.cleaning = stream, heedless, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write ``text`` without control characters."""
        if self.cleaning and not _PLAIN.fullmatch(text):
            text = clean(text, keep="\n\r\t")
        with self._failing():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        with self._failing():
            self._stream.flush()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """After an error, send the rest of the stream to /dev/null: Python flushes it again at the
        end of the process, and would fail again."""
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
    """Run a command; returns the exit code of ``act(parse())``, or 2 after one line on stderr if
    the system, or one of ``mistakes``, reports an error.

    Streams that were closed at the start go to /dev/null. If the reader of stdout closes it, the
    command ends quietly; a reader of stderr may close it at any time. The output of ``act`` is
    cleaned, while ``parse`` may colour its help. Each warning is shown as a note of one line.

    Raises:
        SystemExit: by ``parse``, after --help.
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
    """Replaces ``warnings.showwarning``, which shows two lines and a path."""
    print("note:", one_line(message), file=sys.stderr)


def _open_closed() -> None:
    """Open /dev/null in place of closed standard streams.

    Each gets the lowest free file descriptor, which is its own. Otherwise the next file that is
    opened would get the descriptor of stderr, for example, and a library's messages would land in
    it.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # "?" where a terminal has no "×"

"""Tables: for the terminal with columns aligned, and as comma-separated values."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

import minigrad as mg

# What makes a spreadsheet take a text for a formula (OWASP, *CSV Injection*), full width too.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def comma_separated(rows: Iterable[Sequence[object]]) -> str:
    """CSV text that is safe to open in a spreadsheet, whatever names are in it: an apostrophe
    before a text that would be a formula makes it shown, not computed."""
    return "".join(map(_line, rows))


def _line(row: Sequence[object]) -> str:
    text = io.StringIO()
    # The writer quotes what its line terminator is made of: a "\r" alone would end a line too.
    csv.writer(text, lineterminator="\r\n").writerow([_inert(value) for value in row])
    return text.getvalue().removesuffix("\r\n") + "\n"


def _inert(value: object) -> object:
    risky = isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value)
    return f"'{value}" if risky else value


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """``header`` and ``rows`` as aligned lines, a rule between them, no trailing blanks.

    Integers get thousands separators, None becomes a dash, anything else is its ``str``: round
    floats before, and put units into the header. A column without a letter is set to the right;
    the first one, which names the rows, never is. There must be a row.
    """
    texts = [[cell(value) for value in row] for row in rows]
    right = [False] + [not is_text(column) for column in list(zip(*texts, strict=True))[1:]]
    lines = [list(header), *texts]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["─" * width for width in widths])
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def cell(value: object) -> str:
    """The text of a value; without what would break a line or steer a terminal, since names come
    from files."""
    if value is None:
        return "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return mg.console.clean(value)


def is_text(column: Iterable[str]) -> bool:
    """Whether a column's texts are words, to be set to the left."""
    return any(c.isalpha() for text in column for c in text)

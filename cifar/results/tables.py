"""Tables with aligned columns for the terminal, and comma-separated values."""

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
    """CSV text that is safe to open in a spreadsheet: an apostrophe is put before text that would
    be a formula, so that it is shown and not computed."""
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
    """``header`` and ``rows`` as aligned lines with a rule between them, without trailing blanks.

    Integers get thousands separators, None becomes a dash, and other values their ``str``: round
    floats before, and put units into the header. Columns without letters are aligned to the right,
    except the first one, which names the rows. There must be at least one row.
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
    """The text of a value without line breaks and control characters, since names come from
    files."""
    if value is None:
        return "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return mg.console.clean(value)


def is_text(column: Iterable[str]) -> bool:
    """Whether a column contains words, and is aligned to the left."""
    return any(c.isalpha() for text in column for c in text)

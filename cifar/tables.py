"""Plain-text tables for the terminal: columns aligned, numbers to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import minigrad as mg


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

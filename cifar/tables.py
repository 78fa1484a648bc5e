"""Plain-text tables for the terminal: columns aligned, numbers to the right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_MISSING = "–"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """``header`` and ``rows`` as aligned lines, a rule between them, no trailing blanks.

    Integers get thousands separators, None becomes a dash, anything else is its ``str``: round
    floats before. A column is set to the right if all of its values are numbers or None or strings
    that begin with a digit, so formatted figures such as "81.25 %" line up too.
    """
    rows = [list(row) for row in rows]
    texts = [[_text(value) for value in row] for row in rows]
    lines = [[_line(name) for name in header], *texts]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    right = [all(_is_figure(row[i]) for row in texts) and bool(texts) for i in range(len(header))]
    lines.insert(1, ["─" * width for width in widths])
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _text(value: object) -> str:
    if value is None:
        return _MISSING
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return _line(str(value))


def _line(text: str) -> str:
    """``text`` without what would break a table or steer a terminal: names come from files."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _is_figure(text: str) -> bool:
    return text == _MISSING or text.lstrip("+-−±")[:1].isdigit()

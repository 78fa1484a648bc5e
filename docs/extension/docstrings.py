"""Docstrings of the house as reStructuredText: formulas are text, indented blocks are code.

The docstrings are written to be read in an editor. ``|x|`` means an absolute value there, and
``a * b`` a product; docutils would take them for a substitution and for emphasis.
"""

from __future__ import annotations

import re
from typing import Any

SECTION = re.compile(r"[A-Z]\w*( \w+)?:$")  # Args:, Returns:, Raises:
CODE = re.compile(r"(``.*?``|:\w+:`[^`]*`|`[^`]+`__?)", re.DOTALL)


def plain(lines: list[str]) -> list[str]:
    """``lines`` with marks that stand for themselves escaped, and indented blocks made literal."""
    found: list[str] = []
    before = ""
    for block in re.split(r"\n(?:[ \t]*\n)+", "\n".join(lines).strip("\n")):
        rows = block.split("\n")
        indented = all(row.startswith("    ") for row in rows)
        literal = before == "literal" or before.endswith("::")
        if indented and not literal and before and before != "section":
            found += ["::", ""]
            literal = True
        if indented and literal:
            found += [*rows, ""]
            before = "literal"
            continue
        if indented and before == "section":  # its later paragraphs
            found += [*escaped(block).split("\n"), ""]
            continue
        found += [*escaped(block).split("\n"), ""]
        before = "section" if SECTION.match(rows[0]) else rows[-1]
    return found


def escaped(text: str) -> str:
    parts = CODE.split(text)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"(?<!\\)([*|])", r"\\\1", parts[i])
        parts[i] = re.sub(r"(?<=\w)_(?!\w)", r"\\_", parts[i])
    # "C." at the start of a description is no item of a list.
    return re.sub(r"^(\s*)([A-Za-z]\w*: )?(\w)\.$", r"\1\2\\\3.", "".join(parts), flags=re.M)


def process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = plain(lines)


def setup(app: Any) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", process, priority=400)  # before Napoleon
    return {"parallel_read_safe": True}

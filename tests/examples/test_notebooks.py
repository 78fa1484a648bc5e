"""The lessons as notebooks: what jupytext makes of the files is whole. The site runs them."""

from __future__ import annotations

import re
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "examples" / "lessons").glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_lesson_is_a_whole_notebook(file):
    cells = jupytext.reads(file.read_text("utf-8"), fmt="py:percent").cells
    assert cells[0].source.startswith(f"# {int(file.stem[:2])}. ")
    last = cells[-1].source
    assert last.startswith("## Exercises")
    assert re.findall(r"^\d\. ", last, re.MULTILINE) == ["1. ", "2. "]
    assert f"`tests/examples/lessons/test_{file.name}`" in last
    assert all(len(cell.source.splitlines()) < 50 for cell in cells)
    # The code of the cells is that of the script, which tests/examples/lessons runs.
    code = [line for cell in cells if cell.cell_type == "code" for line in cell.source.splitlines()]
    script = [line for line in file.read_text("utf-8").splitlines() if not line.startswith("# ")]
    assert [line for line in code if line] == [line for line in script if line not in ("", "#")]


def test_lessons_are_numbered():
    assert [file.stem[:2] for file in FILES] == [f"{n:02}" for n in range(1, len(FILES) + 1)]

"""The lessons as notebooks: jupytext makes them of the files, and they run from top to bottom."""

from __future__ import annotations

import os
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "examples" / "lessons").glob("*.py"))
SECONDS = 60  # for a lesson; each takes a few on a quiet machine


def notebook(file):
    return jupytext.reads(file.read_text("utf-8"), fmt="py:percent")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_lesson_is_a_whole_notebook(file):
    cells = notebook(file).cells
    assert cells[0].source.startswith(f"# {int(file.stem[:2])}. ")
    last = cells[-1].source
    assert last.startswith("## Exercises")
    assert re.findall(r"^\d\. ", last, re.MULTILINE) == ["1. ", "2. "]
    assert f"`tests/examples/lessons/test_{file.name}`" in last
    assert all(len(cell.source.splitlines()) < 50 for cell in cells)


def test_lessons_are_numbered():
    assert [file.stem[:2] for file in FILES] == [f"{n:02}" for n in range(1, len(FILES) + 1)]


@pytest.fixture(scope="module")
def kernel():
    """One process for all notebooks: importing takes longer than most lessons."""
    manager = KernelManager(kernel_name="python3")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("MPLBACKEND", None)
    manager.start_kernel(env=environment)
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_notebooks_run(file, tmp_path, kernel):
    made = notebook(file)
    afresh = f"%reset -f\n%cd -q {tmp_path}\nimport minigrad\nminigrad.set_implementation('auto')"
    made.cells.insert(0, nbformat.v4.new_code_cell(afresh))
    NotebookClient(made, km=kernel, timeout=SECONDS).execute()  # raises the error of a cell
    outputs = [output for cell in made.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any(output.output_type == "stream" for output in outputs)

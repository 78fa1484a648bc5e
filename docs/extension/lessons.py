"""The lessons of ``examples/lessons`` as notebooks, run from top to bottom: MyST-NB makes pages of
them. One that raises an error stops the build.

They run one after the other in one process, because starting it and importing takes longer than
most lessons. A lesson runs again when its text changed. ``-D lessons_run=0`` runs none.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jupytext
import nbformat
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parents[2]
LESSONS = ROOT / "examples" / "lessons"
SECONDS = 180  # for a cell
AFRESH = "%reset -f\n%cd -q {folder}\nimport minigrad\nminigrad.set_implementation('auto')"


def notebook(source: Path) -> Any:
    """The notebook that jupytext makes of a lesson."""
    book = jupytext.read(source)
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    book.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for number, cell in enumerate(book.cells):
        cell["id"] = f"cell-{number}"  # jupytext draws others every time
    return book


@contextmanager
def kernel() -> Iterator[Any]:
    """A process that runs cells, with this checkout's minigrad."""
    manager = KernelManager(kernel_name="python3", transport="ipc")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("MPLBACKEND", None)  # pictures are shown in the notebook
    manager.start_kernel(env=environment)
    try:
        yield manager
    finally:
        manager.shutdown_kernel(now=True)


def run(book: Any, manager: Any, name: str, folder: Path) -> None:
    """Run the cells of ``book`` in the new ``folder``; their outputs are put into it."""
    folder.mkdir()
    first = nbformat.v4.new_code_cell(AFRESH.format(folder=folder))
    book.cells.insert(0, first)
    try:
        NotebookClient(book, km=manager, timeout=SECONDS).execute()
    except CellExecutionError as error:
        raise ExtensionError(f"lesson {name}: {error}") from error
    book.cells.remove(first)
    shown = {kind for cell in book.cells for out in cell.get("outputs", []) for kind in kinds(out)}
    if not {"image/png", "stdout"} <= shown:
        raise ExtensionError(f"lesson {name}: expected it to print and to draw, it shows {shown}")


def kinds(output: Any) -> list[str]:
    return [output["name"]] if output.output_type == "stream" else list(output.get("data", {}))


def write(app: Any) -> None:
    folder = Path(app.srcdir) / "lessons"
    folder.mkdir(exist_ok=True)
    sources = {path.stem: path for path in sorted(LESSONS.glob("[0-9]*.py"))}
    for old in folder.glob("*.ipynb"):
        if old.stem not in sources:
            old.unlink()
    books = {name: notebook(source) for name, source in sources.items()}
    changed = {name: book for name, book in books.items() if text(book) != shown(folder, name)}
    if not changed:
        return
    if not app.config.lessons_run:
        for name, book in changed.items():
            nbformat.write(book, folder / f"{name}.ipynb")
        return
    logging.getLogger("traitlets").setLevel(logging.ERROR)  # or it tells of every notebook
    with TemporaryDirectory() as scratch, kernel() as manager:
        for name, book in changed.items():
            run(book, manager, name, Path(scratch) / name)
            nbformat.write(book, folder / f"{name}.ipynb")


def text(book: Any) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in book.cells]


def shown(folder: Path, name: str) -> list[tuple[str, str]] | None:
    """The text of the notebook that was run last."""
    path = folder / f"{name}.ipynb"
    book = nbformat.read(path, as_version=4) if path.exists() else None
    ran = book is not None and any(cell.get("outputs") for cell in book.cells)
    return text(book) if ran else None


def setup(app: Any) -> dict[str, Any]:
    app.add_config_value("lessons_run", True, "env", bool)
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}

"""The lessons of ``examples/lessons`` as notebooks, which MyST-NB runs and makes pages of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jupytext

LESSONS = Path(__file__).parents[2] / "examples" / "lessons"


def write(app: Any) -> None:
    folder = Path(app.srcdir) / "lessons"
    folder.mkdir(exist_ok=True)
    sources = {path.stem: path for path in sorted(LESSONS.glob("[0-9]*.py"))}
    for old in folder.glob("*.ipynb"):
        if old.stem not in sources:
            old.unlink()
    for name, source in sources.items():
        book = jupytext.read(source)
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        book.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
        for number, cell in enumerate(book.cells):
            cell["id"] = f"cell-{number}"  # jupytext draws others every time
        path, text = folder / f"{name}.ipynb", jupytext.writes(book, "ipynb")
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}

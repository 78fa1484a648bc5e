"""See inside backprop: a page that replays a training step, a table of its tape, a drawing of it.

    mg.explore(lambda images, labels: F.cross_entropy(model(images), labels),
               inputs={"images": images, "labels": labels})

Importing this costs nothing: what does the work is imported by the first call.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .. import check

if TYPE_CHECKING:
    from ..tensor import Tensor


class Exploration:
    """The page of a training step; as the value of a notebook's cell it is shown there.

    Attributes:
        html: the page.
        path: the file that holds it, or None.
    """

    def __init__(self, page: str, path: Path | None) -> None:
        self.html, self.path = page, path

    def __repr__(self) -> str:
        size = len(self.html.encode()) / 1e6
        return f"<Exploration: {size:.1f} MB{f' in {self.path}' if self.path else ''}>"

    def _repr_html_(self) -> str:
        from html import escape

        return (
            '<iframe title="Explorer of a training step" sandbox="allow-scripts" '
            'style="width:100%;height:720px;border:1px solid #8888;border-radius:8px" '
            f'srcdoc="{escape(self.html)}"></iframe>'
        )


def explore(
    loss: Tensor | Callable[..., Tensor],
    path: str | os.PathLike[str] | None = "backprop.html",
    inputs: Any = None,
    title: str = "Backprop, step by step",
) -> Exploration:
    """Write a page on which a training step is replayed, forward and backward.

    The page shows the graph, module by module, and of every operation its formulas, values,
    gradients, memory, times and source. It is one file that needs no network.

    The step is run here. Afterwards gradients, buffers and random draws are what they were before.

    Args:
        loss: a function that computes the loss, which is called once; or the loss itself, whose
            graph stays usable. In that case forward has not been watched: the page has no modules
            and times of it, and the values that backward keeps.
        path: the file to write, or None for none.
        inputs: the function's arguments: a Tensor, a tuple, or a dict by name; or, of a loss that
            is a Tensor, the leaves by the names to show.
        title: of the page.

    Returns:
        What a notebook shows as the page.

    Raises:
        TypeError: ``loss`` is, or returns, no Tensor.
        ValueError: it has more than one element.
        RuntimeError: it does not require gradients, or its graph has been freed.
    """
    from ..checkpoint import write_text
    from .capture import record
    from .page import page

    file = None if path is None else check.path("path", path)
    text = page(record(loss, inputs), check.text("title", title))
    if file is not None:
        write_text(file, text)
    return Exploration(text, file)


def trace(
    loss: Tensor | Callable[..., Tensor], inputs: Any = None, file: TextIO | None = None
) -> None:
    """Print the tape of ``loss`` as a table: for each operation its inputs, the shape and dtype of
    its result, the bytes that backward keeps, and the norm of the result's gradient.

    Args:
        loss, inputs: as :func:`explore` takes them; with a function, modules are named too.
        file: where to print; standard output by default.
    """
    from .capture import record
    from .terminal import table

    print(table(record(loss, inputs, pictures=False)), file=file or sys.stdout)


def draw(loss: Tensor | Callable[..., Tensor], inputs: Any = None) -> Drawing:
    """A small SVG drawing of the graph of ``loss``, left to right, for a notebook or a README.

    Args:
        loss, inputs: as :func:`explore` takes them.

    Raises:
        ModuleNotFoundError: the extra ``explore`` is not installed.
    """
    from .capture import record
    from .drawing import drawn

    return Drawing(drawn(record(loss, inputs, pictures=False)))


class Drawing(str):
    """SVG as text; as the value of a notebook's cell it is shown as a picture."""

    def _repr_svg_(self) -> str:
        return str(self)

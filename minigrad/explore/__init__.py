"""Inspection of backprop: a page that replays a training step, a table of its tape, a drawing.

    mg.explore(lambda images, labels: F.cross_entropy(model(images), labels),
               inputs={"images": images, "labels": labels})

The modules that do the work are imported by the first call.
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
    """The page of a training step; a notebook displays it as the value of a cell.

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
    """Write a page that replays a training step, forward and backward.

    The page shows the graph, module by module, and for every operation its formulas, values,
    gradients, memory, times and source. It is one file that works without a network.

    The step is run here. Gradients, buffers and the state of the random numbers are restored.

    Args:
        loss: a function that computes the loss, which is called once; or the loss itself, whose
            graph stays usable. In the latter case forward was not recorded: the page has no modules
            and no times of forward, and only the values that backward keeps.
        path: the file to write, or None.
        inputs: the function's arguments: a Tensor, a tuple, or a dict by name; or, if ``loss`` is a
            Tensor, the leaves by the names to show.
        title: title of the page.

    Returns:
        An object that a notebook displays as the page.

    Raises:
        TypeError: ``loss`` is not, or does not return, a Tensor.
        ValueError: the loss has more than one element.
        RuntimeError: the loss does not require gradients, or its graph has been freed.
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
        loss, inputs: as in :func:`explore`; with a function, modules are named too.
        file: file to print to (default: standard output).
    """
    from .capture import record
    from .terminal import table

    print(table(record(loss, inputs, pictures=False)), file=file or sys.stdout)


def draw(loss: Tensor | Callable[..., Tensor], inputs: Any = None) -> Drawing:
    """A small SVG drawing of the graph of ``loss``, left to right, for a notebook or a README.

    Args:
        loss, inputs: as in :func:`explore`.

    Raises:
        ModuleNotFoundError: the extra ``explore`` is not installed.
    """
    from .capture import record
    from .drawing import drawn

    return Drawing(drawn(record(loss, inputs, pictures=False)))


class Drawing(str):
    """SVG as text; a notebook displays it as a picture."""

    def _repr_svg_(self) -> str:
        return str(self)

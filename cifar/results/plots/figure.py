"""Figures and axes without a display, with readable legends and numbers."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import minigrad as mg
from cifar import metadata
from cifar.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Okabe & Ito, *Color Universal Design* (2008)
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"

PURPLE, SKY, BLACK, GREY = "#CC79A7", "#56B4E9", "#000000", "#666666"

# Each panel's metric, axis label, factor, and the least that its vertical axis spans.
PANELS = (("loss", "loss (nats)", 1, 0.1), ("accuracy", "accuracy (%)", 100, 5.0))

PARTS = (("train", BLUE, "o"), ("validation", GREEN, "^"), ("test", VERMILION, "s"))


@contextmanager
def picture(
    path: Path, rows: int, cols: int, size: tuple[float, float], **options: Any
) -> Iterator[tuple[Figure, Any]]:
    """Context with a figure and its axes, which is written to ``path`` as a PNG file at the end.

    It is drawn in memory with Matplotlib's defaults, independent of display, backend, rc file and
    earlier drawing in this process.

    Args:
        size: width and height in inches.
        options: options of ``Figure.subplots``.

    Raises:
        UserError: Matplotlib cannot be imported.
        OSError: the file cannot be written.
    """
    matplotlib = _import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    defaults = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    with matplotlib.rc_context(defaults | {"text.parse_math": False}):  # "$" is a dollar sign
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(rows, cols, squeeze=False, **options)
        save(figure, path)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Draw a picture of a result. If drawing fails, a note reports it, and the result is kept."""
    try:
        yield path
    except Exception as error:  # whatever Matplotlib, its fonts or the file system come up with
        why = metadata.brief(getattr(error, "strerror", None) or error)
        print(f"note: {path} could not be drawn: {why}", file=sys.stderr)


def _import_matplotlib() -> Any:
    """Import Matplotlib, also if the environment names a backend that it does not know, such as
    that of a Jupyter kernel."""
    hidden = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    except Exception as error:  # an rc file that is no text, for one
        raise UserError(f"matplotlib cannot be imported: {error}") from None
    finally:
        if hidden is not None:
            os.environ["MPLBACKEND"] = hidden
    if hidden:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = hidden  # for whoever else draws in this process
    return matplotlib


def save(figure: Figure, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name in a script that the font lacks
        mg.checkpoint.write_atomically(
            path, lambda temporary: figure.savefig(temporary, dpi=120, format="png")
        )


def short(name: str, most: int = 24) -> str:
    """A name from a file, shortened to one line."""
    text = metadata.brief(name)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def legend_entry(label: str, **options: Any) -> Any:
    """An additional entry for a legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=short(label, 80), **options)


def add_legend(figure: Figure, entries: Sequence[Any]) -> None:
    """Add a legend below the axes, with as many columns as fit."""
    widest = max(len(str(entry.get_label())) for entry in entries)
    columns = int(figure.get_figwidth() / (0.075 * widest + 0.6))  # inches, of text and its sign
    columns = max(1, min(columns, len(entries)))
    figure.legend(handles=entries, loc="outside lower center", ncols=columns, fontsize=9)


def count_axis(axis: Any, what: str, last: int, logarithmic: bool = False) -> None:
    """Label the horizontal axis with integers from 1 to ``last``, for epochs or steps."""
    axis.set_xlabel(f"{what} (logarithmic)" if logarithmic else what)
    axis.grid(alpha=0.3)
    if logarithmic:
        axis.set_xscale("log")
        write_out(axis.xaxis)
    else:
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        if last <= 1:
            axis.set_xlim(0.5, 1.5)


def write_out(axis: Any, ticks: Sequence[float] = ()) -> None:
    """Label a logarithmic axis with 1, 2, 5, 10, not powers of ten; at ``ticks`` if given."""
    from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

    axis.set_major_locator(FixedLocator(ticks) if ticks else LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def zoom_out(axis: Any, least: float) -> None:
    """Let the vertical axis span at least ``least``, and a twentieth of its values, so that values
    that almost agree are seen to agree."""
    low, high = axis.get_ylim()
    least = max(least, 0.05 * max(abs(low), abs(high)))
    if high - low < least:
        low = max(min(low, 0), (low + high - least) / 2)
        axis.set_ylim(low, low + least)


def name_classes(axis: Any, names: list[str]) -> None:
    """Put class names at the ticks 0, 1, 2, …, rotated if they are too long."""
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    long = max(len(line) for name in names for line in name.split("\n")) > 12
    axis.set_xticks(range(len(names)), names, **turned if long else {})
    axis.set(xlabel="class", xlim=(-0.6, len(names) - 0.4))
    axis.grid(alpha=0.3, axis="y")
    axis.set_axisbelow(True)

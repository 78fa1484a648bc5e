"""``cifar search`` and ``cifar search show``: hyperparameter search, and its results."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

import minigrad as mg
from cifar import process
from cifar.cli.command import Command
from cifar.errors import UserError
from cifar.results import tables
from cifar.search import request

if TYPE_CHECKING:
    from cifar.search.show import Shown

MOST = 10  # trials in the table on the terminal


def require_optuna() -> None:
    """Check that the libraries of the extra ``search`` are installed.

    Raises:
        UserError: one is missing; the message says how to install it.
    """
    for name in ("optuna", "rich"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(
                f"search needs Optuna and rich ({error}); {mg.console.install('search')}"
            ) from None


def run_search(settings: request.Settings) -> int:
    """Search, and print the best trial."""
    require_optuna()
    from cifar.search import search, show

    study = search.search(settings)
    return _tell(show.show(study, study.out))


SEARCH = Command(request.Settings, run_search)


@dataclass(frozen=True)
class Show:
    """Show the results of a search so far: a table, pictures, one HTML page, and the best recipe.

    Attributes:
        place: the search's folder, a journal file, or the URL of a database.
        study: the study's name, if there are several.
        out: folder for index.html, the pictures, trials.json and best.py (default: the folder of
            the search, or the current one for a database).
    """

    place: tyro.conf.Positional[str]
    study: str | None = None
    out: str | None = None


def show_search(settings: Show) -> int:
    """Write the page, and print the best trials."""
    require_optuna()
    from cifar.search import show

    study = show.find(settings.place, settings.study)
    return _tell(show.show(study, Path(settings.out) if settings.out else study.out))


SHOW = Command(Show, show_search)


def _tell(shown: Shown) -> int:
    from cifar.search import show

    lines = show.rows(shown.study)
    print(tables.table(show.header(shown.study), lines[:MOST]))
    if len(lines) > MOST:
        print(f"and {len(lines) - MOST} more")
    if shown.best is None:
        print(f"no trial was trained to its end; index.html is in {shown.out}")
        return 0
    words = f"{shown.best.values[0]:.2%} of the validation images"
    if shown.test is not None:
        words += f", {shown.test:.2%} of the test images"
    print(f"best: trial {shown.best.number}, {words}")
    recipe = process.shell_word(str(shown.out / "best.py"))
    print(f"index.html and its pictures are in {shown.out}; next: cifar train {recipe}")
    return 0

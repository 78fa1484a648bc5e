"""A report as ``cifar report`` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import minigrad as mg
from cifar import process
from cifar.results.report.page import page
from cifar.results.report.runs import Group, find, group


@dataclass(frozen=True)
class Settings:
    """What to report on, and where to write it.

    Attributes:
        folder: every run below it is reported, from what training wrote and from the JSON files of
            benchmarks/collect.py.
        out: the HTML page; FOLDER/report.html unless given.
    """

    folder: str
    out: str | None = None


def run(settings: Settings) -> tuple[list[Group], Path]:
    """Report as ``settings`` say; returns the groups of runs and the page's path.

    Raises:
        UserError: there is no run below the folder, one is damaged, or the page cannot be written.
    """
    groups = group(find(Path(settings.folder)))
    out = Path(settings.out or Path(settings.folder) / "report.html")
    with process.writing("out", out):
        mg.checkpoint.writable(out)
    text = page(groups, str(settings.folder))
    with process.writing("out", out):
        mg.checkpoint.write_text(out, text)
    return groups, out

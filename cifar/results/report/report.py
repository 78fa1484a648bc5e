"""The report of ``cifar report``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import minigrad as mg
from cifar import process
from cifar.errors import UserError
from cifar.results import evaluate
from cifar.results.report.page import page
from cifar.results.report.runs import EVALUATION, Group, find, group


@dataclass(frozen=True)
class Settings:
    """Write an HTML page about all runs below a folder.

    Attributes:
        folder: the folder; runs are read from the files of training and from the JSON files of
            benchmarks/collect.py.
        out: the HTML page (default: FOLDER/report.html).
        evaluate: evaluate a run's last weights on its test images, for the confusion matrix and
            the mistakes, unless this is done already; of runs that differ only in their seed, only
            the first.
        progress: --no-progress hides the progress bar of a terminal.
    """

    folder: str
    out: str | None = None
    evaluate: bool = True
    progress: bool = True


def run(settings: Settings) -> tuple[list[Group], Path]:
    """Write the report; returns the groups of runs and the page's path.

    Raises:
        UserError: there is no run below the folder, one is damaged, or the page cannot be written.
    """
    folder = Path(settings.folder)
    groups = group(find(folder))
    out = Path(settings.out or folder / "report.html")
    with process.writing("out", out):
        mg.checkpoint.writable(out)
    if settings.evaluate and evaluate_first(groups, settings.progress):
        groups = group(find(folder))
    text = page(groups, str(settings.folder))
    with process.writing("out", out):
        mg.checkpoint.write_text(out, text)
    return groups, out


def evaluate_first(groups: Sequence[Group], progress: bool = False) -> bool:
    """Evaluate the first run of each group, as ``cifar evaluate --last`` does, unless this was done
    before; returns whether any was evaluated. A note on stderr says why one cannot be evaluated."""
    done = False
    for one in groups:
        run = one.furthest[0]
        out = run.source / EVALUATION
        if run.confusion or not run.source.is_dir() or out.is_symlink():
            continue
        try:
            trained = evaluate.load(run.source, "auto", last=True)
            data, _ = evaluate.labelled(trained, download=False)
            evaluate.write(trained, data, out, progress)
            done = True
        except (UserError, mg.DeviceError) as error:
            print(f"note: {run.source} is shown as training left it: {error}", file=sys.stderr)
    return done

"""Plots by class: confusion matrix, number of images, recall."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cifar.results.plots.figure import BLUE, add_legend, name_classes, picture, short
from cifar.results.plots.training import Look, looks


def confusion(counts: np.ndarray, classes: tuple[str, ...], title: str, path: Path) -> None:
    """Plot the confusion matrix, true classes in rows, shaded by the fraction of the row.

    Args:
        counts: integers (classes, classes).
    """
    side = 3.2 + 0.55 * len(classes)
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with picture(path, 1, 1, (side + 0.8, side)) as (figure, axes):
        axis = axes[0, 0]
        shades = axis.imshow(share, cmap="Blues", vmin=0, vmax=100)
        places, names = range(len(classes)), [*map(short, classes)]
        axis.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticks(places, names)
        axis.set_xticks(np.arange(0.5, len(classes) - 1), minor=True)
        axis.set_yticks(np.arange(0.5, len(classes) - 1), minor=True)
        axis.grid(which="minor", color="white", lw=1)
        axis.tick_params(which="minor", length=0)
        axis.set(xlabel="predicted class", ylabel="true class")
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if share[row, column] > 55 else "black"
                weight = "bold" if row == column else "normal"
                axis.text(
                    column, row, f"{count}", ha="center", va="center", color=colour,
                    fontsize=8, fontweight=weight,
                )  # fmt: skip
        figure.colorbar(shades, ax=axis, label="share of the true class's images (%)", shrink=0.8)
        right = int(counts.trace())
        accuracy = right / max(1, int(counts.sum()))
        figure.suptitle(f"{title}\n{right:,} of {int(counts.sum()):,} right: {accuracy:.2%}")


def class_counts(counts: Mapping[str, int], title: str, path: Path, colour: str = BLUE) -> None:
    """Plot the number of training images of each class as bars."""
    with picture(path, 1, 1, (max(6.0, 0.9 * len(counts)), 4)) as (figure, axes):
        axis = axes[0, 0]
        bars = axis.bar(range(len(counts)), list(counts.values()), 0.8, color=colour)
        axis.bar_label(bars, [f"{count:,}" for count in counts.values()], padding=2, fontsize=9)
        name_classes(axis, [*map(short, counts)])
        axis.set(ylabel="training images")
        axis.yaxis.set_major_formatter("{x:,.0f}")
        axis.margins(y=0.1)  # room for the tallest bar's number
        if title:
            figure.suptitle(f"{title}: {sum(counts.values()):,} training images by class")


def recalls(
    runs: Mapping[str, list[dict[str, float]]],
    title: str,
    path: Path,
    counts: Mapping[str, int],
    known: Mapping[str, Look] | None = None,
) -> None:
    """Plot the recall of every class as bars: for each label, the mean over its runs with ± std.

    Args:
        runs: for each label, the recalls by class name of each run.
        counts: number of training images by class name, written below the names.
        known: looks by label (default: :func:`looks`).
    """
    known = looks(runs) if known is None else known
    names = list(dict.fromkeys(name for own in runs.values() for run in own for name in run))
    with picture(path, 1, 1, (max(6.0, 1.1 * len(names)), 4.6)) as (figure, axes):
        axis = axes[0, 0]
        width = 0.8 / len(runs)
        entries = []
        for i, (label, own) in enumerate(runs.items()):
            values = [[100 * run[name] for run in own if name in run] for name in names]
            places = np.arange(len(names)) + (i - (len(runs) - 1) / 2) * width
            bars = axis.bar(
                places,
                [np.mean(v) if v else 0 for v in values],
                0.9 * width,
                yerr=[np.std(v, ddof=1) if len(v) > 1 else 0 for v in values],
                error_kw={"lw": 1},
                color=known[label].colour,
                hatch=known[label].hatch,
                label=short(label, 80),
            )
            entries.append(bars)
        name_classes(
            axis, [f"{short(n)}\n{counts[n]:,}" if n in counts else short(n) for n in names]
        )
        if counts:
            axis.set_xlabel("class, and its number of training images")
        axis.set(ylabel="recall (%)", ylim=(0, 100))
        add_legend(figure, entries)
        if title:
            figure.suptitle(title)

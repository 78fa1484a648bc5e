"""Curves of training, of one run or of many."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from cifar.results.metrics import EpochMetrics
from cifar.results.plots.figure import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PANELS,
    PARTS,
    PURPLE,
    SKY,
    VERMILION,
    add_legend,
    count_axis,
    legend_entry,
    picture,
    zoom_out,
)
from cifar.results.record import Record

Course: TypeAlias = Mapping[int, Mapping[str, float]]  # figures by epochs done and metric

NO_COURSE: Course = MappingProxyType({})


def curves(
    metrics: Sequence[EpochMetrics], record: Record, path: Path, course: Course = NO_COURSE
) -> None:
    """Plot loss and accuracy of all parts of the data by epoch, with a study's final figures as
    dashed lines and those during training as diamonds, in the colour of their part."""
    history = [one.as_dict() for one in metrics]
    claim = record.claim
    course = course if claim else NO_COURSE
    last = history[-1]
    keys = [
        legend_entry(part, color=colour, marker=marker, markersize=4)
        for part, colour, marker in PARTS
        if any(f"{part}_loss" in line for line in history)
    ]
    studied = set()
    with picture(path, 1, 2, (10, 4.4)) as (figure, axes):
        for axis, (metric, label, scale, least) in zip(axes[0], PANELS, strict=True):
            for part, colour, marker in PARTS:
                name = f"{part}_{metric}"
                points = [(line["epoch"], line[name] * scale) for line in history if name in line]
                if not points:
                    continue
                axis.plot(
                    *zip(*points, strict=True), color=colour, marker=marker, markersize=4,
                    label=part,
                )  # fmt: skip
                _augmented(axis, history, part, metric, scale, colour)
                for claimed in {name, f"{part}_tta_{metric}"} & claim.keys():
                    axis.axhline(claim[claimed] * scale, color=colour, ls="--", lw=1)
                    studied.add("in the end")
                if name in claim and _course(axis, course, name, scale, last["epoch"], colour):
                    studied.add("on its way")
            axis.set(ylabel=label, title=metric.capitalize())
            count_axis(axis, "epoch", last["epoch"])
            zoom_out(axis, least)
        keys += _stars(history)
        if "in the end" in studied:
            keys.append(legend_entry("the study in the end", color=GREY, ls="--", lw=1))
        if "on its way" in studied:
            keys.append(_diamond())
        add_legend(figure, keys)
        val = "test" if "test_accuracy" in last else "validation"
        figure.suptitle(
            f"{record.recipe.name} on {record.dataset}, seed {record.seed}: "
            f"{val} accuracy {last[f'{val}_accuracy']:.2%} after epoch {last['epoch']}\n"
            "(training figures: running mean over the epoch, in training mode)",
            fontsize=10,
        )


def _augmented(
    axis: Any, history: Sequence[dict[str, Any]], part: str, metric: str, scale: float, colour: str
) -> None:
    """Plot figures with test-time augmentation of a part of the data as stars."""
    name = f"{part}_tta_{metric}"
    points = [(line["epoch"], line[name] * scale) for line in history if name in line]
    if points:
        axis.plot(*zip(*points, strict=True), "*", color=colour, ms=11, zorder=3)


def _stars(lines: Iterable[Mapping[str, Any]]) -> list[Any]:
    """The legend's entry for stars, if there are any."""
    if not any(name.endswith("_tta_accuracy") for line in lines for name in line):
        return []
    return [legend_entry("with test-time augmentation", color=GREY, marker="*", ms=11, ls="")]


def _course(axis: Any, course: Course, name: str, scale: float, last: int, colour: str) -> bool:
    """Plot a study's figures of that name up to epoch ``last`` as diamonds; returns whether there
    are any."""
    points = [(n, scale * line[name]) for n, line in course.items() if n <= last and name in line]
    if points:
        axis.plot(*zip(*points, strict=True), "D", color=colour, mfc="none", ms=8)
    return bool(points)


def _diamond() -> Any:
    return legend_entry("the study on its way", color=GREY, marker="D", mfc="none", ls="")


class Look(NamedTuple):
    """Colour, line style and marker of a label, the same in every picture of a page."""

    colour: str
    marker: str = "o"
    hatch: str = ""


_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK, GREY)

_MARKS = tuple(zip("os^Dv", ("", "//", "..", "xx", "++"), strict=True))


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """A look for each label; the first 40 are distinct."""
    by_label: dict[str, Look] = {}
    for label in labels:
        number = len(by_label)
        marks = _MARKS[number // len(_COLOURS) % len(_MARKS)]
        by_label.setdefault(label, Look(_COLOURS[number % len(_COLOURS)], *marks))
    return by_label


def shades(labels: Iterable[str], look: Look) -> dict[str, Look]:
    """Looks for runs of one kind, with the same colour and different markers."""
    marks = itertools.cycle(_MARKS)
    return {label: Look(look.colour, *next(marks)) for label in labels}


def overlaid(
    runs: Sequence[tuple[str, Sequence[EpochMetrics]]],
    title: str,
    path: Path,
    claim: Mapping[str, float] | None = None,
    training: bool = True,
    course: Course = NO_COURSE,
    known: Mapping[str, Look] | None = None,
) -> None:
    """Plot loss and accuracy of many runs by epoch: held-out images as solid lines, training as
    dotted ones.

    Args:
        runs: (label, metrics by epoch); runs with the same label share a look and a legend entry.
        claim: the study's final figures by metric, for dashed lines.
        training: whether to plot the training figures too.
        course: the study's figures during training, by epoch and metric, for diamonds.
        known: looks by label (default: :func:`looks`).
    """
    known = looks(label for label, _ in runs) if known is None else known
    lines_of = [(label, [one.as_dict() for one in metrics]) for label, metrics in runs]
    lengths = [history[-1]["epoch"] for _, history in lines_of]
    last = max(lengths)
    logarithmic = last > 4 * min(lengths)  # or ten epochs vanish beside two hundred
    with picture(path, 1, 2, (11, 4.8)) as (figure, axes):
        for axis, (metric, unit, scale, least) in zip(axes[0], PANELS, strict=True):
            for label, history in lines_of:
                look = known[label]
                parts = ((_val_part(history), "-", 1.8), ("train", ":", 1.2))
                for part, style, width in parts if training else parts[:1]:
                    name = f"{part}_{metric}"
                    points = [
                        (line["epoch"], line[name] * scale) for line in history if name in line
                    ]
                    if points:
                        axis.plot(
                            *zip(*points, strict=True), ls=style, lw=width, color=look.colour,
                            marker=look.marker, markersize=4 if len(points) < 30 else 0,
                            mfc="white" if part == "train" else look.colour,
                        )  # fmt: skip
                _augmented(axis, history, _val_part(history), metric, scale, look.colour)
            for name in {name for line in course.values() for name in line}:
                if name.endswith(metric):
                    _course(axis, course, name, scale, last, GREY)
            axis.set(ylabel=unit, title=metric.capitalize())
            count_axis(axis, "epoch", last, logarithmic)
            _claims(axis, claim or {}, metric, scale)
            zoom_out(axis, least)
        entries = [
            legend_entry(label, color=known[label].colour, marker=known[label].marker, markersize=4)
            for label in dict.fromkeys(label for label, _ in runs)
        ]
        entries.append(legend_entry("held-out images", color=GREY, marker="o", markersize=4))
        entries += _stars(line for _, history in lines_of for line in history)
        if training:
            entries.append(
                legend_entry("training", color=GREY, ls=":", marker="o", markersize=4, mfc="white")
            )
        if claim:
            entries.append(legend_entry("the study in the end", color=GREY, ls="--", lw=1))
        if any(epoch <= last for epoch in course):
            entries.append(_diamond())
        add_legend(figure, entries)
        if title:
            figure.suptitle(title)


def _claims(axis: Any, claim: Mapping[str, float], metric: str, scale: float) -> None:
    """Plot a study's figures of one metric as dashed lines, with their parts named next to the
    axes."""
    values = sorted((v * scale, k) for k, v in claim.items() if k.endswith(metric))
    for i, (value, name) in enumerate(values):
        axis.axhline(value, color=GREY, ls="--", lw=1)
        axis.annotate(
            name.removesuffix(f"_{metric}").replace("_tta", ", TTA"),
            (1, value),
            (3, 0),
            ("axes fraction", "data"),
            "offset points",
            # Two may lie close: the lower one's name is set below its line.
            va="center" if len(values) == 1 else "bottom" if i else "top",
            annotation_clip=False,
            fontsize=8,
            color=GREY,
        )


def _val_part(history: list[dict[str, Any]]) -> str:
    """The part evaluated after every epoch: "validation" if images are held out, or "test"."""
    return "validation" if "validation_loss" in history[0] else "test"

"""Plots of a comparison of two engines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cifar.results.plots.figure import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PANELS,
    PARTS,
    PURPLE,
    add_legend,
    count_axis,
    legend_entry,
    picture,
    zoom_out,
)

# By contestant: minigrad's thin line must be seen on top of PyTorch's, which it mostly covers.
STROKES = (
    {"color": BLUE, "lw": 1.3, "zorder": 3},
    {"color": ORANGE, "lw": 4, "zorder": 2},
    {"color": GREY, "lw": 1.3, "ls": ":", "zorder": 2.5},
)

# Colours that no contestant has.
QUANTITIES = (("logits", PURPLE, "o"), ("gradients", BLACK, "s"), ("weights", GREEN, "^"))


def comparison(results: Mapping[str, Any], path: Path) -> None:
    """Plot a :class:`cifar.twins.lockstep.Comparison`, given as a dict: loss and accuracy by step
    and by epoch, differences by step, time and memory."""
    record = results["record"]
    names = list(results["losses"])
    steps = len(results["losses"][names[0]])
    with picture(path, 2, 3, (15, 9)) as (figure, axes):
        series = (results["losses"], results["accuracies"])
        for row, values, panel in zip(axes, series, PANELS, strict=True):
            _by_step(row[0], values, panel)
            _by_epoch(row[1], results, panel)
        _differences(axes[0, 2], results["differences"])
        _speed(axes[1, 2], results["speed"])
        figure.suptitle(
            f"{record['recipe']['name']} on {record['dataset']} by minigrad and by PyTorch: "
            f"the same weights, batches and dropout masks\n"
            f"{record['dtype']} on {record['device']}, seed {record['seed']}, {steps:,} "
            f"step{'s' * (steps > 1)} of {record['recipe']['batch_size']} images"
        )
        add_legend(
            figure, [*_contestants(names), *_parts(results, names[0]), *_quantities(results)]
        )


def _stroke(index: int) -> dict[str, Any]:
    return STROKES[min(index, len(STROKES) - 1)]


def _contestants(names: Sequence[str]) -> list[Any]:
    """The legend's entries, with one for all further runs of PyTorch."""
    threads = [name.removeprefix("PyTorch, ").split()[0] for name in names[2:]]
    shown = list(names[:2])
    if threads:
        shown.append(f"PyTorch, {', '.join(threads)} thread{'s' * (threads != ['1'])}")
    return [legend_entry(name, **_stroke(i)) for i, name in enumerate(shown)]


def _parts(results: Mapping[str, Any], name: str) -> list[Any]:
    """The legend's entries for the marks of the panels by epoch."""
    return [
        legend_entry(f"{part}, by epoch", color=GREY, marker=marker, ls="")
        for part, _, marker in PARTS
        if any(f"{part}_loss" in line[name] for line in results["epochs"])
    ]


def _quantities(results: Mapping[str, Any]) -> list[Any]:
    """The legend's entries for the quantities compared at each step."""
    return [
        legend_entry(f"difference of {quantity}", color=colour, marker=marker, markersize=3, lw=1.3)
        for quantity, colour, marker in QUANTITIES
        if any(line[f"{quantity}_relative"] > 0 for line in results["differences"]["minigrad"])
    ]


def _by_step(axis: Any, series: Mapping[str, list[float]], panel: tuple[Any, ...]) -> None:
    """Plot a line per contestant, smoothed by a running mean if there are hundreds of steps."""
    metric, label, scale, least = panel
    steps = len(next(iter(series.values())))
    window = max(1, steps // 100)
    for i, values in enumerate(series.values()):
        means = scale * np.convolve(values, np.full(window, 1 / window), "valid")
        marker = "o" if len(means) < 3 else None
        axis.plot(np.arange(window, steps + 1), means, marker=marker, **_stroke(i))
    mean = f", mean of the last {window}" if window > 1 else ""
    axis.set(ylabel=label, title=f"{metric} of the batch by step{mean}")
    count_axis(axis, "step", steps)
    zoom_out(axis, least)


def _by_epoch(axis: Any, results: Mapping[str, Any], panel: tuple[Any, ...]) -> None:
    """Plot training and held-out figures of every contestant."""
    metric, label, scale, least = panel
    for part, _, marker in PARTS:
        name = f"{part}_{metric}"
        for i, contestant in enumerate(results["losses"]):
            lines = [(line["epoch"], line[contestant]) for line in results["epochs"]]
            points = [(epoch, scale * line[name]) for epoch, line in lines if name in line]
            if points:
                size = 9 if i == 1 else 5
                axis.plot(*zip(*points, strict=True), marker=marker, markersize=size, **_stroke(i))
    axis.set(ylabel=label, title=f"{metric} by epoch")
    count_axis(axis, "epoch", len(results["epochs"]))
    zoom_out(axis, least)


def _differences(axis: Any, differences: Mapping[str, list[dict[str, float]]]) -> None:
    """Plot relative differences from PyTorch on a logarithmic scale: minigrad's as solid lines,
    PyTorch's on other numbers of threads as dotted ones."""
    from matplotlib.ticker import LogLocator, NullLocator

    shown = []
    for i, lines in enumerate(differences.values()):
        for quantity, colour, marker in QUANTITIES:
            points = [
                (line["step"], line[f"{quantity}_relative"])
                for line in lines
                if line[f"{quantity}_relative"] > 0  # which a logarithm can show
            ]
            if points:
                axis.plot(
                    *zip(*points, strict=True), color=colour, ls=":" if i else "-", lw=1.3,
                    marker=marker, markersize=3, zorder=2.5 if i else 3,
                )  # fmt: skip
                shown += [value for _, value in points]
    dotted = "\n(dotted: PyTorch on other numbers of threads)" if len(differences) > 1 else ""
    axis.set(
        ylabel="largest difference / largest value",
        title=f"difference from PyTorch by step{dotted}",
    )
    steps = (int(line["step"]) for lines in differences.values() for line in lines)
    last = max(steps, default=1)
    count_axis(axis, "step", last, logarithmic=last > 200)
    if not shown:
        _say(axis, "none")
        return
    axis.set_yscale("log")
    low, high = math.log10(min(shown)) - 0.1, math.log10(max(shown)) + 0.1
    axis.set_ylim(10.0 ** math.floor(low), 10.0 ** math.ceil(high))
    axis.yaxis.set_major_locator(LogLocator())
    axis.yaxis.set_major_formatter("{x:.0e}")
    axis.yaxis.set_minor_locator(NullLocator())


def _say(axis: Any, words: str) -> None:
    """Write words into an empty panel."""
    axis.text(0.5, 0.5, words, ha="center", va="center", transform=axis.transAxes)
    axis.set(xticks=[], yticks=[], xlabel="", ylabel="")


def _speed(axis: Any, speed: Mapping[str, Mapping[str, float | None]]) -> None:
    """Plot time per step and memory as bars relative to PyTorch's, labelled with the figures."""
    axis.set_title("time and memory, relative to PyTorch")
    if not speed:
        _say(axis, "not measured")
        return
    metrics = (
        ("seconds_per_step", "time\nper step", "{:.3g} s"),
        ("peak_memory_mb", "peak\nmemory", "{:.0f} MB"),
    )
    shown = [m for m in metrics if all(figures[m[0]] for figures in speed.values())]
    for i, figures in enumerate(speed.values()):
        for place, (metric, _, form) in enumerate(shown):
            value, base = float(figures[metric] or 0), float(speed["PyTorch"][metric] or 1)
            bar = axis.barh(place + 0.4 * i, value / base, 0.38, color=_stroke(i)["color"])
            axis.bar_label(bar, [form.format(value)], padding=3)
    axis.set_yticks([place + 0.2 for place in range(len(shown))], [words for _, words, _ in shown])
    axis.set_ylim(len(shown), -0.4)  # downwards
    axis.margins(x=0.25)  # room for the longest bar's figure
    axis.grid(alpha=0.3, axis="x")
    axis.set_axisbelow(True)

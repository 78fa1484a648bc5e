"""The runs' figures compared with the studies', as rows of text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from cifar import recipes
from cifar.results.report.runs import Group, Run

HEADER: Final = (
    "recipe",
    "runs",
    "epochs",
    "figure",
    "study",
    "here",
    "± std",
    "difference",
    "minutes per run",
    "MB memory",
)

PARTS: Final = ("train", "validation", "test")  # of the data, as metrics name them


def rows(groups: Sequence[Group]) -> list[tuple[object, ...]]:
    """A row of text for each group and each figure of its study; see :data:`HEADER`.

    Accuracies and their differences are in percent and percentage points.
    """
    lines: list[tuple[object, ...]] = []
    for group in groups:
        for metric in _shown(group):
            values = group.values(metric)
            mean, (study, when) = mean_of(values), _study(group, metric)
            std = statistics.stdev(values) if len(values) > 1 else None
            lines.append(
                (
                    group.label,
                    _count(group),
                    _epochs(group),
                    named(metric),
                    f"{figure(metric, study)}{when}" if study is not None else None,
                    figure(metric, mean),
                    apart(metric, std),
                    None if when.endswith("end") else apart(metric, difference(mean, study), "+"),
                    f"{statistics.mean(run.minutes for run in group.furthest):.1f}",
                    _largest(group.runs, "peak_memory_mb"),
                )
            )
    return lines


def _shown(group: Group) -> list[str]:
    """The metrics of a group's rows: those of its study, and the test accuracy without test-time
    augmentation if the study uses it."""
    metrics = list(group.claims) or ["test_accuracy"]
    plain = "test_tta_accuracy" in metrics and "test_accuracy" not in metrics
    return ["test_accuracy"] * plain + metrics


def named(metric: str) -> str:
    """A metric in words: "test accuracy, TTA"."""
    return metric.replace("_tta_accuracy", " accuracy, TTA").replace("_", " ")


def _study(group: Group, metric: str) -> tuple[float | None, str]:
    """The study's figure to compare with, and its epoch in words. Shorter runs are compared with
    the study's figure after as many epochs, if known, otherwise with its last one."""
    claim, done = group.claims.get(metric), group.furthest[0].final["epoch"]
    name = group.first.recipe.name
    if name not in recipes.names() or done >= recipes.load(name).epochs or claim is None:
        return claim, ""
    on_its_way = group.course.get(done, {}).get(metric)
    return (claim, " in the end") if on_its_way is None else (on_its_way, f" at epoch {done}")


def figure(metric: str, value: float | None) -> str | None:
    """A figure as text: accuracies in percent with two decimals, others with four decimals."""
    if value is None:
        return None
    return f"{100 * value:.2f} %" if metric.endswith("accuracy") else f"{value:.4f}"


def apart(metric: str, value: float | None, sign: str = "-") -> str | None:
    """The difference of two figures as text: accuracies in points with two decimals, others with
    four decimals."""
    if value is None:
        return None
    if metric.endswith("accuracy"):
        return f"{100 * value:{sign}.2f} points"
    return f"{value:{sign}.4f}"


def _count(group: Group) -> int | str:
    """The number of runs that are averaged, with "of" all if there are more."""
    averaged, all_of_them = len(group.furthest), len(group.runs)
    return averaged if averaged == all_of_them else f"{averaged} of {all_of_them}"


def _epochs(group: Group) -> str:
    """Epochs done by the runs that are averaged, with "of" their number if there are more."""
    done, whole = group.furthest[0].final["epoch"], group.first.recipe.epochs
    return str(done) if done == whole else f"{done} of {whole}"


def _largest(runs: Sequence[Run], metric: str) -> int | None:
    values = [run.final[metric] for run in runs if metric in run.final]
    return round(max(values)) if values else None


def mean_of(values: Sequence[float]) -> float | None:
    return statistics.mean(values) if values else None


def difference(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else ours - theirs

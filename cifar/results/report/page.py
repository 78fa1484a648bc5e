"""One HTML page of all runs: pictures are within it, nothing is fetched, no script runs."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from cifar import recipes
from cifar.results import html, plots
from cifar.results.metrics import EpochMetrics
from cifar.results.report.figures import HEADER, PARTS, apart, difference, figure, mean_of, rows
from cifar.results.report.runs import Group, Run, command

Looks: TypeAlias = Mapping[str, plots.Look]  # of groups or runs, by label


def page(groups: Sequence[Group], folder: str) -> str:
    """The whole HTML page, well-formed as XML too."""
    count = sum(len(one.runs) for one in groups)
    title = f"CIFAR-10 studies: {count} {'run' if count == 1 else 'runs'} in {folder}"
    body = [
        f"<h1>{html.text(title)}</h1>",
        "<p>Figures are those of the last epoch; mean and standard deviation (n − 1) over seeds. "
        "A difference is ours less the study's, in percentage points where it is of accuracies; "
        "tta accuracy is with test-time augmentation. Minutes are those of training steps.</p>",
        html.table(HEADER, rows(groups)),
    ]
    looks = plots.looks(one.label for one in groups)
    if len(groups) > 1:
        everything = [(one.label, run.history) for one in groups for run in one.runs]
        body.append(_curves(everything, "All runs", looks, training=False))
    body += _classes([one for one in groups if any(run.recalls for run in one.runs)], looks)
    for one in groups:
        body += _section(one, looks[one.label])
    return html.document(title, body)


def _classes(groups: Sequence[Group], looks: Looks) -> list[str]:
    """Recall by class of all groups that know theirs: side by side those that were trained on
    classes as unlike in size."""
    together: dict[str, list[Group]] = {}
    for one in groups:
        if any(run.recalls for run in one.runs):
            shares = [one.first.dataset, one.first.recipe.long_tail]
            together.setdefault(json.dumps(shares), []).append(one)
    return [part for members in together.values() for part in _recalls(members, looks)]


def _recalls(groups: Sequence[Group], looks: Looks) -> list[str]:
    """A table and a picture of recall by class, a group beside the other."""
    recalls = {one.label: [run.recalls for run in one.runs if run.recalls] for one in groups}
    names = list(dict.fromkeys(name for runs in recalls.values() for run in runs for name in run))
    first, counts = groups[0].first, _tail(groups)
    title = f"Recall by class on {first.dataset}"
    columns: dict[str, list[Any]] = {"class": [*names, "all classes"]}
    if counts:
        title += f", trained on {max(counts.values()):,} to {min(counts.values()):,} images of each"
        columns["training images"] = [*map(counts.get, names), sum(counts.values())]
    elif first.recipe.long_tail != 1:
        title += f", trained on a long tail of {first.recipe.long_tail}"
    found = [
        [
            *([run[name] for run in runs if name in run] for name in names),
            [statistics.mean(run.values()) for run in runs],
        ]
        for runs in recalls.values()
    ]
    for label, cells in zip(recalls, found, strict=True):
        columns[label] = [_with_deviation(values) for values in cells]
    words = "mean ± standard deviation over seeds."
    if len(found) == 2:
        words += " The difference is the first column's less the second's."
        columns["difference"] = [
            apart("accuracy", difference(mean_of(first), mean_of(second)), "+")
            for first, second in zip(*found, strict=True)
        ]
    return [
        f"<h2>{html.text(title)}</h2>",
        f"<p>Share of a class's test images that are recognised, after the last epoch: {words}</p>",
        html.table(list(columns), zip(*columns.values(), strict=True)),
        html.drawn(
            f"{title}: mean, and standard deviation where there are several runs",
            lambda path: plots.recalls(recalls, "", path, counts, looks),
        ),
    ]


def _tail(groups: Sequence[Group]) -> dict[str, int]:
    """Training images by class of groups that share one long tail, else nothing."""
    counts = [run.counts for one in groups for run in one.runs]
    tailed = groups[0].first.recipe.long_tail < 1
    return counts[0] if tailed and all(one == counts[0] for one in counts) else {}


def _with_deviation(values: Sequence[float]) -> str | None:
    """The mean in percent, and the standard deviation if there is one."""
    if len(values) < 2:
        return figure("accuracy", mean_of(values))
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f} %"


def _section(one: Group, look: plots.Look) -> list[str]:
    """A group's curves, its runs in a table, and what they ran on."""
    metrics = [f"{part}_{k}" for part in PARTS for k in ("accuracy", "tta_accuracy", "loss")]
    metrics = [metric for metric in metrics if one.values(metric)]
    header = ("seed", "epochs", *(metric.replace("_", " ") for metric in metrics))
    lines = [
        (
            str(run.record.seed),
            run.final["epoch"],
            *(figure(metric, run.final.get(metric)) for metric in metrics),
            f"{run.minutes:.1f}",
            _rounded(run.final.get("images_per_second")),
            _rounded(run.final.get("peak_memory_mb")),
        )
        for run in one.runs
    ]
    if len(one.runs) > 1:
        values = [one.values(metric) for metric in metrics]
        means = [figure(m, statistics.mean(v)) for m, v in zip(metrics, values, strict=True)]
        stds = [
            apart(m, statistics.stdev(v)) if len(v) > 1 else None
            for m, v in zip(metrics, values, strict=True)
        ]
        lines.append(("mean", None, *means, None, None, None))
        lines.append(("± std", None, *stds, None, None, None))
    seeds = [(f"seed {run.record.seed}", run.history) for run in one.runs]
    details = [_note(run) for run in one.runs]
    counts = _tail([one])
    recipe = json.dumps(recipes.plain(one.first.recipe), indent=1, ensure_ascii=False)
    return [
        f"<h2>{html.text(one.label)}</h2>",
        _curves(
            seeds,
            one.label,
            plots.shades((label for label, _ in seeds), look),
            one.claims,
            course=one.course,
        ),
        *(
            [
                html.drawn(
                    f"{one.label}: training images by class",
                    lambda path: plots.class_counts(counts, "", path, look.colour),
                )
            ]
            if counts
            else []
        ),
        html.table((*header, "minutes", "images/s", "MB memory"), lines),
        *(html.picture(path) for path in _pictures(one.runs[0].source)),
        "<details><summary>Commands, machines, recipe</summary>",
        *(f"<pre>{html.text(words)}</pre>" for words in details),
        f"<pre>{html.text(recipe)}</pre>",
        "</details>",
    ]


def _note(run: Run) -> str:
    versions = run.record.versions
    known = {
        "machine": run.machine,
        "device": run.record.device,
        "threads": run.record.threads,
        "parameters": run.record.parameters,
        "versions": ", ".join(f"{k} {v}" for k, v in versions.items()) if versions else None,
        "source": run.source,
    }
    lines = [f"{name}: {value}" for name, value in known.items() if value not in (None, "")]
    return "\n".join([command(run.record), *lines])


def _pictures(source: Path) -> list[Path]:
    """What training and ``cifar evaluate`` drew of a run, but for what is drawn here anew."""
    if not source.is_dir():
        return []
    found = sorted([*source.glob("*.png"), *source.glob("evaluation-*/*.png")])
    found = [path for path in found if path.name not in ("curves.png", "classes.png")]
    for path in found:
        if not _is_picture_in(source, path):
            print(f"note: {path} is left out: it is not a PNG file of this run", file=sys.stderr)
    return [path for path in found if _is_picture_in(source, path)]


def _is_picture_in(source: Path, path: Path) -> bool:
    """Whether it is a PNG file within the run's folder: a link may lead to what is no one else's
    business."""
    if not path.is_file() or not path.resolve().is_relative_to(source.resolve()):
        return False
    with path.open("rb") as file:
        return file.read(8) == b"\x89PNG\r\n\x1a\n"


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _curves(
    runs: list[tuple[str, list[EpochMetrics]]],
    title: str,
    looks: Looks,
    claim: dict[str, float] | None = None,
    training: bool = True,
    course: plots.Course = plots.NO_COURSE,
) -> str:
    words = f"{title}: loss and accuracy by epoch"
    return html.drawn(
        words, lambda path: plots.overlaid(runs, "", path, claim, training, course, looks)
    )

"""An HTML page about all runs, with embedded pictures and without scripts."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from cifar import recipes
from cifar.results import html, plots
from cifar.results.metrics import scores
from cifar.results.report import words
from cifar.results.report.figures import (
    HEADER,
    PARTS,
    apart,
    difference,
    figure,
    mean_of,
    named,
    rows,
)
from cifar.results.report.runs import EVALUATION, Group, Run, command

Looks: TypeAlias = Mapping[str, plots.Look]  # of groups or runs, by label


def page(groups: Sequence[Group], folder: str) -> str:
    """The HTML page, also well-formed as XML."""
    count = sum(len(group.runs) for group in groups)
    title = f"CIFAR-10 studies: {count} {'run' if count == 1 else 'runs'} in {folder}"
    body = [
        f"<h1>{html.text(title)}</h1>",
        "<h2>Beside the studies</h2>",
        f"<p>{html.text(words.FIGURES)}</p>",
        html.table(HEADER, rows(groups)),
        "<details open=''><summary>What the words mean</summary>",
        html.terms(words.TERMS),
        "</details>",
    ]
    looks = plots.looks(group.label for group in groups)
    if len(groups) > 1:
        everything = [(group.label, run) for group in groups for run in group.runs]
        body.append(_curves(everything, looks, training=False))
    body += _classes(groups, looks)
    for group in groups:
        body += _section(group, looks[group.label])
    return html.document(title, body)


def _classes(groups: Sequence[Group], looks: Looks) -> list[str]:
    """Recall by class of all groups for which it is known; groups with the same class sizes are
    shown together."""
    together: dict[str, list[Group]] = {}
    for group in groups:
        if any(run.recalls for run in group.furthest):
            shares = [group.first.dataset, group.first.recipe.long_tail]
            together.setdefault(json.dumps(shares), []).append(group)
    return [part for members in together.values() for part in _recalls(members, looks)]


def _recalls(groups: Sequence[Group], looks: Looks) -> list[str]:
    """A table and a picture of recall by class, for several groups."""
    recalls = {
        group.label: [run.recalls for run in group.furthest if run.recalls] for group in groups
    }
    names = list(dict.fromkeys(name for runs in recalls.values() for run in runs for name in run))
    first, counts = groups[0].first, _tail(groups)
    title = f"Recall by class on {first.dataset}"
    columns: dict[str, list[Any]] = {"class": [*names, "all classes"]}
    if counts:
        title += f", trained on {max(counts.values()):,} to {min(counts.values()):,} images of each"
        columns["training images"] = [*map(counts.get, names), sum(counts.values())]
    elif first.recipe.long_tail != 1:
        title += f", trained on a long tail of {first.recipe.long_tail}"
    lines = [
        [
            *([run[name] for run in runs if name in run] for name in names),
            [statistics.mean(run.values()) for run in runs],
        ]
        for runs in recalls.values()
    ]
    for label, cells in zip(recalls, lines, strict=True):
        columns[label] = [_with_deviation(values) for values in cells]
    text = "mean ± standard deviation over seeds."
    if len(lines) == 2:
        text += " The difference is the first column's less the second's."
        columns["difference"] = [
            apart("accuracy", difference(mean_of(first), mean_of(second)), "+")
            for first, second in zip(*lines, strict=True)
        ]
    caption = f"{title}: the higher a bar, the more of the class is recognised."
    if counts:
        caption += " From left to right the classes have fewer and fewer training images."
    if any(len(runs) > 1 for runs in recalls.values()):
        caption += " Thin lines: standard deviation over seeds."
    return [
        f"<h2>{html.text(title)}</h2>",
        f"<p>Share of a class's test images that are recognised, after the last epoch: {text}</p>",
        html.table(list(columns), zip(*columns.values(), strict=True)),
        html.drawn(caption, lambda path: plots.recalls(recalls, "", path, counts, looks)),
    ]


def _tail(groups: Sequence[Group]) -> dict[str, int]:
    """Training images by class, if all groups have the same long tail."""
    counts = [run.counts for one in groups for run in one.runs]
    tailed = groups[0].first.recipe.long_tail < 1
    return counts[0] if tailed and all(one == counts[0] for one in counts) else {}


def _with_deviation(values: Sequence[float]) -> str | None:
    """The mean in percent, and the standard deviation if there is one."""
    if len(values) < 2:
        return figure("accuracy", mean_of(values))
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f} %"


def _section(group: Group, look: plots.Look) -> list[str]:
    """The section of a group: description, curves, table of runs, confusion matrix and mistakes of
    one run, and machines."""
    seeds = [(f"seed {run.record.seed}", run) for run in group.runs]
    shades = plots.shades((label for label, _ in seeds), look)
    counts = _tail([group])
    recipe = json.dumps(recipes.plain(group.first.recipe), indent=1, ensure_ascii=False)
    body = [
        f"<h2>{html.text(group.label)}</h2>",
        f"<p>{html.text(words.introduction(group))} {html.text(words.differences(group))}</p>",
        _curves(seeds, shades, group.claims, course=group.course),
        _table_of_runs(group),
    ]
    if counts:
        body.append(
            html.drawn(
                "Training images of each class: a long tail. All classes have as many test images.",
                lambda path: plots.class_counts(counts, "", path, look.colour),
            )
        )
    body += _scores(group)
    return [
        *body,
        *(html.picture(path, text) for path, text in _pictures(group.furthest[0])),
        "<details><summary>Commands, machines, recipe</summary>",
        *(f'<pre tabindex="0">{html.text(_note(run))}</pre>' for run in group.runs),
        f'<pre tabindex="0">{html.text(recipe)}</pre>',
        "</details>",
    ]


def _table_of_runs(group: Group) -> str:
    metrics = [f"{part}_{k}" for part in PARTS for k in ("accuracy", "tta_accuracy", "loss")]
    metrics = [metric for metric in metrics if group.values(metric)]
    lines = [
        (
            str(run.record.seed),
            run.final["epoch"],
            *(figure(metric, run.final.get(metric)) for metric in metrics),
            f"{run.minutes:.1f}",
            _rounded(run.final.get("images_per_second")),
            _rounded(run.final.get("peak_memory_mb")),
        )
        for run in group.runs
    ]
    if len(group.runs) > 1:
        values = [group.values(metric) for metric in metrics]
        means = [figure(m, statistics.mean(v)) for m, v in zip(metrics, values, strict=True)]
        stds = [
            apart(m, statistics.stdev(v)) if len(v) > 1 else None
            for m, v in zip(metrics, values, strict=True)
        ]
        lines.append(("mean", None, *means, None, None, None))
        lines.append(("± std", None, *stds, None, None, None))
    header = ("seed", "epochs", *map(named, metrics), "minutes", "images/s", "MB memory")
    return html.table(header, lines)


def _scores(group: Group) -> list[str]:
    """The classification report and the confusion matrix of the first run that has them."""
    run = next((run for run in group.furthest if run.confusion), None)
    if run is None:
        return []
    counts, classes = np.array(run.confusion), run.record.classes
    per_class, macro, weighted = scores(counts, classes)
    rows = {**per_class, "mean": macro, "mean, weighted by support": weighted}
    lines = [
        (name, *(f"{100 * share:.2f} %" for share in (s.precision, s.recall, s.f1)), s.support)
        for name, s in rows.items()
    ]
    title = f"{plots.short(run.record.recipe.name)}, seed {run.record.seed}"
    return [
        f"<h3>{html.text(f'By class, seed {run.record.seed}')}</h3>",
        f"<p>{html.text(words.SCORES)}</p>",
        html.table(("class", "precision", "recall", "F1", "support"), lines),
        html.drawn(
            words.confusion(counts, classes),
            lambda path: plots.confusion(counts, classes, title, path),
            widest="44rem",
        ),
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


def _pictures(run: Run) -> list[tuple[Path, str]]:
    """The pictures of a run from training and ``cifar evaluate``, with captions, except those that
    are drawn anew here."""
    source = run.source
    if not source.is_dir():
        return []
    anew = {source / name for name in ("curves.png", "classes.png")}
    if run.confusion:
        anew.add(source / EVALUATION / "confusion.png")
    pictures = []
    for path in sorted([*source.glob("*.png"), *source.glob("evaluation-*/*.png")]):
        if path in anew:
            continue
        if not _is_picture_in(source, path):
            print(f"note: {path} is left out: it is not a PNG file of this run", file=sys.stderr)
            continue
        place = path.parent.relative_to(source.parent)
        pictures.append((path, f"{words.PICTURES.get(path.stem, path.stem)} ({place})"))
    return pictures


def _is_picture_in(source: Path, path: Path) -> bool:
    """Whether it is a PNG file within the run's folder; a link may lead to private files."""
    if not path.is_file() or not path.resolve().is_relative_to(source.resolve()):
        return False
    with path.open("rb") as file:
        return file.read(8) == b"\x89PNG\r\n\x1a\n"


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _curves(
    runs: list[tuple[str, Run]],
    looks: Looks,
    claim: dict[str, float] | None = None,
    training: bool = True,
    course: plots.Course = plots.NO_COURSE,
) -> str:
    caption = words.curves([run for _, run in runs], bool(claim), bool(course), training)
    histories = [(label, run.history) for label, run in runs]
    return html.drawn(
        caption, lambda path: plots.overlaid(histories, "", path, claim, training, course, looks)
    )

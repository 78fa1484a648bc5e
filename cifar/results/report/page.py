"""One HTML page of all runs: pictures are within it, nothing is fetched, no script runs."""

from __future__ import annotations

import base64
import html
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import minigrad as mg
from cifar import recipes
from cifar.results import plots, tables
from cifar.results.metrics import EpochMetrics
from cifar.results.report.figures import HEADER, PARTS, difference, figure, mean_of, rows
from cifar.results.report.runs import Group, Run, command

Looks: TypeAlias = Mapping[str, plots.Look]  # of groups or runs, by label

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #ddd; --soft: #f5f6f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181c; --line: #3a3f47;
  --soft: #1f2329; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 72rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th { background: var(--soft); vertical-align: bottom; white-space: normal; }
th.text, td.text { text-align: left; }
td.text { white-space: normal; min-width: 7rem; }
figure { margin: 1rem 0; overflow-x: auto; } figcaption { font-size: .9rem; opacity: .8; }
img { width: 100%; min-width: 34rem; height: auto; background: #fff; border-radius: .4rem; }
pre { background: var(--soft); padding: .7rem; border-radius: .4rem; overflow-x: auto; }
summary { cursor: pointer; }
"""


def page(groups: Sequence[Group], folder: str) -> str:
    """The whole HTML page, well-formed as XML too."""
    count = sum(len(one.runs) for one in groups)
    title = f"CIFAR-10 studies: {count} {'run' if count == 1 else 'runs'} in {folder}"
    body = [
        f"<h1>{_text(title)}</h1>",
        "<p>Figures are those of the last epoch; mean and standard deviation (n − 1) over seeds. "
        "A difference is ours less the study's.</p>",
        _table(HEADER, rows(groups)),
    ]
    looks = plots.looks(one.label for one in groups)
    if len(groups) > 1:
        everything = [(one.label, run.history) for one in groups for run in one.runs]
        body.append(_curves(everything, "All runs", looks, training=False))
    body += _classes([one for one in groups if any(run.recalls for run in one.runs)], looks)
    for one in groups:
        body += _section(one, looks[one.label])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


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
            figure("accuracy", difference(mean_of(first), mean_of(second)), "+")
            for first, second in zip(*found, strict=True)
        ]
    return [
        f"<h2>{_text(title)}</h2>",
        f"<p>Share of a class's test images that are recognised, after the last epoch: {words}</p>",
        _table(list(columns), zip(*columns.values(), strict=True)),
        _drawn(
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
    metrics = [f"{part}_{kind}" for part in PARTS for kind in ("accuracy", "loss")]
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
            figure(m, statistics.stdev(v)) if len(v) > 1 else None
            for m, v in zip(metrics, values, strict=True)
        ]
        lines.append(("mean", None, *means, None, None, None))
        lines.append(("± std", None, *stds, None, None, None))
    seeds = [(f"seed {run.record.seed}", run.history) for run in one.runs]
    details = [_note(run) for run in one.runs]
    counts = _tail([one])
    recipe = json.dumps(recipes.plain(one.first.recipe), indent=1, ensure_ascii=False)
    return [
        f"<h2>{_text(one.label)}</h2>",
        _curves(
            seeds,
            one.label,
            plots.shades((label for label, _ in seeds), look),
            one.claims,
            course=one.course,
        ),
        *(
            [
                _drawn(
                    f"{one.label}: training images by class",
                    lambda path: plots.class_counts(counts, "", path, look.colour),
                )
            ]
            if counts
            else []
        ),
        _table((*header, "minutes", "images/s", "MB memory"), lines),
        *(_picture(path) for path in _pictures(one.runs[0].source)),
        "<details><summary>Commands, machines, recipe</summary>",
        *(f"<pre>{_text(words)}</pre>" for words in details),
        f"<pre>{_text(recipe)}</pre>",
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


def _table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    texts = [[tables.cell(value) for value in line] for line in lines]
    kinds = [
        ' class="text"' if tables.is_text(column) else "" for column in zip(*texts, strict=True)
    ]

    def row(tag: str, values: Iterable[str]) -> str:
        cells = (f"<{tag}{k}>{_text(v)}</{tag}>" for k, v in zip(kinds, values, strict=True))
        return f"<tr>{''.join(cells)}</tr>"

    body = "\n".join(row("td", line) for line in texts)
    return (
        f'<div class="wide"><table>\n<thead>{row("th", header)}</thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _curves(
    runs: list[tuple[str, list[EpochMetrics]]],
    title: str,
    looks: Looks,
    claim: dict[str, float] | None = None,
    training: bool = True,
    course: plots.Course = plots.NO_COURSE,
) -> str:
    words = f"{title}: loss and accuracy by epoch"
    return _drawn(
        words, lambda path: plots.overlaid(runs, "", path, claim, training, course, looks)
    )


def _drawn(words: str, draw: Callable[[Path], None]) -> str:
    """The picture that ``draw`` writes to the path it is given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        draw(path)
        return _picture(path, words)


def _picture(path: Path, words: str | None = None) -> str:
    """The picture within the page itself."""
    caption = _text(words or f"{path.stem} ({path.parent.name})")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"/>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _text(value: object) -> str:
    """Text that HTML takes as text, without characters that XML forbids."""
    return html.escape(mg.console.clean(value, keep="\n"))

"""All runs below a folder: their figures beside the studies' own, as rows and as one HTML page.

The page is one file: pictures are within it, nothing is fetched, and no script runs.
"""

from __future__ import annotations

import base64
import collections
import html
import json
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import minigrad as mg
from cifar import metadata, process, recipes
from cifar.errors import UserError
from cifar.recipes import Recipe
from cifar.results import plots, tables
from cifar.results.metrics import ClassRecall, EpochMetrics
from cifar.results.record import Record, SavedRecord, decode

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
ALL: Final = "all classes"
PARTS: Final = ("train", "validation", "test")  # of the data, as metrics name them

Looks: TypeAlias = Mapping[str, plots.Look]  # of groups or runs, by label


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


@dataclass(frozen=True)
class Run:
    """One run of a recipe.

    Attributes:
        source: the folder or the file that it was read from.
        record: what training noted of it.
        history: metrics by epoch, at least one.
        machine: what it ran on, in words; "" if nothing says.
        recalls: by class name, after the last epoch on the test set; empty where nothing says.
    """

    source: Path
    record: Record
    history: list[EpochMetrics]
    machine: str
    recalls: dict[str, float] = field(default_factory=dict)

    @property
    def final(self) -> dict[str, Any]:
        """The last epoch's metrics. The best epoch's would be chosen on what they are judged by."""
        return self.history[-1].as_dict()

    @property
    def minutes(self) -> float:
        return sum(metrics.seconds for metrics in self.history) / 60

    @property
    def counts(self) -> dict[str, int]:
        """Training images by class name; empty where the record does not say."""
        return dict(zip(self.record.classes, self.record.images_per_class, strict=False))

    @property
    def identity(self) -> str:
        """What seeds of one recipe share: its settings, data and device."""
        recipe = {k: v for k, v in recipes.plain(self.record.recipe).items() if k != "claim"}
        rest = [getattr(self.record, k) for k in ("dataset", "data_fingerprint", "device")]
        return json.dumps([recipe, rest], sort_keys=True)


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seed, by seed; ``label`` tells groups apart."""

    label: str
    runs: list[Run]

    @property
    def first(self) -> Record:
        """The first run's record."""
        return self.runs[0].record

    @property
    def claims(self) -> dict[str, float]:
        """The study's figures by metric, for runs on the data that it used."""
        return dict(self.first.recipe.claim) if self.first.dataset == "cifar10" else {}

    @property
    def course(self) -> plots.Course:
        """The study's figures on its way, likewise, by epoch."""
        return recipes.course(self.first.recipe) if self.claims else plots.NO_COURSE

    def values(self, metric: str) -> list[float]:
        """The final figure of each run that has it."""
        return [run.final[metric] for run in self.runs if metric in run.final]


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


# ---------------------------------------------------------------------------- reading


def find(folder: Path) -> list[Run]:
    """Every run below ``folder``, each once, in the order of their paths.

    Raises:
        UserError: there is none, or a file of one is damaged; the message names it.
    """
    if not folder.is_dir():
        raise UserError(f"folder: {folder} is not a folder; name one that holds runs")
    found: dict[str, Run] = {}
    for path in process.files_below(folder):
        runs: Iterable[Run] = ()
        if path.name == "metrics.jsonl":
            runs = [_from_folder(path.parent)]
        elif path.suffix == ".json":
            runs = _from_json(path)
        for one in runs:
            # A run may lie there as a folder and, collected, in a JSON file.
            history = [metrics.as_dict() for metrics in one.history]
            found.setdefault(json.dumps([one.identity, one.record.seed, history]), one)
    if not found:
        raise UserError(f"folder: there is no run in {folder}; name one that training wrote into")
    return list(found.values())


def _from_folder(folder: Path) -> Run:
    metrics, weights = folder / "metrics.jsonl", folder / "last.safetensors"
    try:
        history = [metadata.parse(line) for line in metrics.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"{metrics}: cannot be read ({error!s:.80})") from None
    try:
        _, note = metadata.read(weights)
    except ValueError as error:
        raise UserError(f"{weights}: cannot be read ({error!s:.120})") from None
    return _decoded(folder, note, history, None, per_class(folder, note))


def per_class(folder: Path, note: dict[str, Any]) -> Any:
    """Scores by class name of a run's last epoch on the test set, {} where nothing says: what
    training noted with the weights, or else what ``cifar evaluate --last`` found.

    Raises:
        UserError: the file of such an evaluation is damaged.
    """
    evaluated = folder / "evaluation-last-test" / "evaluation.json"
    if "per_class" not in note and evaluated.is_file():
        note = _json(evaluated)
    return note.get("per_class", {})


def _json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; an empty one for a file of anything else."""
    try:
        content = metadata.parse(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error!s:.80})") from None
    return content if isinstance(content, dict) else {}


def _from_json(path: Path) -> list[Run]:
    """The runs in a file of benchmarks/collect.py; none in any other JSON file."""
    content = _json(path)
    runs = content.get("runs")
    if not isinstance(runs, list) or not all(isinstance(one, dict) for one in runs):
        return []
    machine = content.get("machine")
    words = ""
    if isinstance(machine, dict):
        words = "{cpu}, {cores} cores, {system}, commit {commit}".format_map(
            collections.defaultdict(lambda: "?", machine)
        )
    return [
        _decoded(path, one["record"], one["epochs"], words, one.get("per_class", {}))
        for one in runs
        if "record" in one and "epochs" in one
    ]


def _decoded(source: Path, note: Any, history: Any, machine: str | None, scores: Any) -> Run:
    try:
        record = decode(note, SavedRecord)
        metrics = decode(history, list[EpochMetrics])
        recalls = {k: one.recall for k, one in decode(scores, dict[str, ClassRecall]).items()}
        if not metrics:
            raise ValueError("no epoch")
    except ValueError as error:
        raise UserError(f"{source}: is not a run that training wrote ({error})") from None
    machine = (record.machine or "") if machine is None else machine
    return Run(source, record, metrics, machine, recalls)


def group(runs: Sequence[Run]) -> list[Group]:
    """Runs that differ only in their seed together, in the order of their labels."""
    together: dict[str, list[Run]] = {}
    for one in runs:
        together.setdefault(one.identity, []).append(one)
    groups: list[Group] = []
    for members in sorted(together.values(), key=lambda members: _label(members[0].record)):
        label = _label(members[0].record)
        same = sum(label in (other.label, other.label.rpartition(" #")[0]) for other in groups)
        members.sort(key=lambda one: str(one.record.seed).rjust(20))
        groups.append(Group(f"{label} #{same + 1}" if same else label, members))
    return groups


def _label(record: Record) -> str:
    """The recipe's name, and what is out of the ordinary."""
    odd = [f"{name}={_brief(value)}" for name, value in record.overrides.items()]
    if record.dataset != "cifar10":
        odd.append(f"on {record.dataset}")
    if record.device not in (None, "cpu"):
        odd.append(f"on {record.device}")
    name = record.recipe.name
    return f"{name} ({', '.join(odd)})" if odd else name


def _brief(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def command(record: Record) -> str:
    """The command line that repeats a run."""
    words = ["cifar", "train", record.recipe.name]
    for name in ("seed", "dataset", "device"):
        if (value := getattr(record, name)) is not None:
            words += [f"--{name}", str(value)]
    for name, value in {**record.overrides, **_schedule_apart(record.recipe)}.items():
        words += ["--set", f"{name}={_brief(value)}"]
    return shlex.join(words)


def _schedule_apart(recipe: Recipe) -> dict[str, Any]:
    """What a run's schedule has that is not its recipe's for so many epochs: runs of earlier
    versions, which left the schedule as it was, have."""
    if recipe.name not in recipes.names():  # a recipe that is no longer there
        return {}
    apart = recipes.changes(recipe)
    if "restarts" in apart:
        apart["restarts"] = [one for one in recipe.restarts if one[0] < recipe.epochs]
    return {name: recipes.plain(apart[name]) for name in recipes.SCHEDULE if name in apart}


# ---------------------------------------------------------------------------- figures


def rows(groups: Sequence[Group]) -> list[tuple[object, ...]]:
    """A row of text per group and figure of its study, under :data:`HEADER`.

    Accuracies and their differences are in percent and percentage points.
    """
    found: list[tuple[object, ...]] = []
    for one in groups:
        for metric in one.claims or ("test_accuracy",):
            values = one.values(metric)
            mean, (study, when) = _mean(values), _study(one, metric)
            std = statistics.stdev(values) if len(values) > 1 else None
            found.append(
                (
                    one.label,
                    len(one.runs),
                    _epochs(one),
                    metric.replace("_", " "),
                    f"{figure(metric, study)}{when}" if study is not None else None,
                    figure(metric, mean),
                    figure(metric, std),
                    None if when.endswith("end") else figure(metric, _apart(mean, study), "+"),
                    f"{statistics.mean(run.minutes for run in one.runs):.1f}",
                    _largest(one.runs, "peak_memory_mb"),
                )
            )
    return found


def _study(one: Group, metric: str) -> tuple[float | None, str]:
    """The study's figure to hold against the group's, and of what epoch it is where that is not
    plain: for runs that were cut short, of theirs if the study tells it, else of its end."""
    claim, done = one.claims.get(metric), max(run.final["epoch"] for run in one.runs)
    name = one.first.recipe.name
    if name not in recipes.names() or done >= recipes.load(name).epochs or claim is None:
        return claim, ""
    on_its_way = one.course.get(done, {}).get(metric)
    return (claim, " in the end") if on_its_way is None else (on_its_way, f" at epoch {done}")


def figure(metric: str, value: float | None, sign: str = "-") -> str | None:
    """Two decimals of a percentage for accuracies, four of anything else."""
    if value is None:
        return None
    if metric.endswith("accuracy"):
        return f"{100 * value:{sign}.2f} %"
    return f"{value:{sign}.4f}"


def _epochs(one: Group) -> str:
    """Epochs done, "of" how many where that is not all."""
    done = sorted({run.final["epoch"] for run in one.runs})
    whole = one.first.recipe.epochs
    shown = "–".join(str(n) for n in ({done[0], done[-1]} if len(done) > 1 else done))
    return shown if done == [whole] else f"{shown} of {whole}"


def _largest(runs: Sequence[Run], metric: str) -> int | None:
    values = [run.final[metric] for run in runs if metric in run.final]
    return round(max(values)) if values else None


# ---------------------------------------------------------------------------- the page

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
            figure("accuracy", _apart(_mean(first), _mean(second)), "+")
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
        return figure("accuracy", _mean(values))
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f} %"


def _mean(values: Sequence[float]) -> float | None:
    return statistics.mean(values) if values else None


def _apart(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else ours - theirs


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

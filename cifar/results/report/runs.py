"""The runs below a folder, grouped by recipe."""

from __future__ import annotations

import collections
import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cifar import datasets, metadata, process, recipes
from cifar.errors import UserError
from cifar.recipes import Recipe
from cifar.results import plots
from cifar.results.metrics import ClassRecall, EpochMetrics
from cifar.results.record import Record, SavedRecord, decode

EVALUATION: Final = "evaluation-last-test"  # where `cifar evaluate --last` writes in a run's folder
FULL: Final = "fp32"  # the precision of runs whose record does not name it
MAX_IMAGES: Final = 10**9  # of a class in a confusion


@dataclass(frozen=True)
class Run:
    """One run of a recipe.

    Attributes:
        source: the folder or file that it was read from.
        record: its record.
        history: metrics by epoch, at least one.
        machine: the machine it ran on, in words; "" if unknown.
        recalls: by class name, after the last epoch on the test set; empty if unknown.
        confusion: test images by true class (row) and predicted class (column) after the last
            epoch; empty if unknown.
    """

    source: Path
    record: Record
    history: list[EpochMetrics]
    machine: str
    recalls: dict[str, float] = field(default_factory=dict)
    confusion: list[list[int]] = field(default_factory=list)

    @property
    def final(self) -> dict[str, Any]:
        """The last epoch's metrics; the best epoch is chosen by the metrics, so its are biased."""
        return self.history[-1].as_dict()

    @property
    def minutes(self) -> float:
        return sum(metrics.seconds for metrics in self.history) / 60

    @property
    def counts(self) -> dict[str, int]:
        """Number of training images by class name; empty if unknown."""
        return dict(zip(self.record.classes, self.record.images_per_class, strict=False))

    @property
    def identity(self) -> str:
        """The settings, data and device that runs with different seeds share."""
        recipe = {k: v for k, v in recipes.plain(self.record.recipe).items() if k != "claim"}
        record = self.record
        names = ("dataset", "data_fingerprint", "device", "freeze", "ranks", "sync_batch_norm")
        rest = [getattr(record, name) for name in names]
        rest += [record.init and record.init.sha256, record.precision or FULL]
        return json.dumps([recipe, rest], sort_keys=True)


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed and in how far they are, in the order of seeds;
    ``label`` is unique."""

    label: str
    runs: list[Run]

    @property
    def first(self) -> Record:
        """The first run's record."""
        return self.runs[0].record

    @property
    def claims(self) -> dict[str, float]:
        """The study's figures by metric, for runs of its network on the data that it used."""
        return self.first.claim

    @property
    def course(self) -> plots.Course:
        """The study's figures during its training, by epoch."""
        return recipes.course(self.first.recipe) if self.claims else plots.NO_COURSE

    @property
    def furthest(self) -> list[Run]:
        """The runs with the most epochs done: others are not finished, and not to be averaged with
        these."""
        most = max(run.final["epoch"] for run in self.runs)
        return [run for run in self.runs if run.final["epoch"] == most]

    def values(self, metric: str) -> list[float]:
        """The final value of a metric, for each of the furthest runs that has it."""
        return [run.final[metric] for run in self.furthest if metric in run.final]


def find(folder: Path) -> list[Run]:
    """All runs below ``folder``, without duplicates, in the order of their paths.

    Raises:
        UserError: there is none, or a file is damaged; the message names it.
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
        for run in runs:
            # A run may lie there as a folder and, collected, in a JSON file.
            history = [metrics.as_dict() for metrics in run.history]
            found.setdefault(json.dumps([run.identity, run.record.seed, history]), run)
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
    evaluated = evaluation(folder, note)
    return _decoded(folder, note, history, None, per_class(evaluated, note), evaluated)


def evaluation(folder: Path, note: dict[str, Any]) -> dict[str, Any]:
    """The results of ``cifar evaluate --last`` on the run's own test set with its last weights, as
    in JSON; {} if it was not run, or only after an earlier epoch, on other images or with
    test-time augmentation.

    Raises:
        UserError: the file of the evaluation is damaged.
    """
    path = folder / EVALUATION / "evaluation.json"
    figures = _json(path) if path.is_file() else {}
    record = figures.get("record")
    now, then = (one.get("metrics") if isinstance(one, dict) else None for one in (note, record))
    other = figures.get("own_images") is False or figures.get("accuracy_without_tta") is not None
    return figures if (now == then or record is None) and not other else {}


def per_class(evaluated: dict[str, Any], note: dict[str, Any]) -> Any:
    """Scores by class name of a run's last epoch on the test set, from the weights' file or the
    :func:`evaluation`; {} if unknown."""
    return note.get("per_class", evaluated.get("per_class", {}))


def _json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; an empty one for a file of anything else."""
    try:
        content = metadata.parse(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error!s:.80})") from None
    return content if isinstance(content, dict) else {}


def _from_json(path: Path) -> list[Run]:
    """The runs in a file of benchmarks/collect.py; none in any other JSON file."""
    try:
        content = _json(path)
    except UserError as error:  # it need not be about runs at all
        print(f"note: left out: {error}", file=sys.stderr)
        return []
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
        _decoded(path, one["record"], one["epochs"], words, one.get("per_class", {}), one)
        for one in runs
        if "record" in one and "epochs" in one
    ]


def _decoded(
    source: Path,
    note: Any,
    history: Any,
    machine: str | None,
    scores: Any,
    evaluated: dict[str, Any],
) -> Run:
    try:
        record = decode(note, SavedRecord)
        metrics = decode(history, list[EpochMetrics])
        recalls = {k: one.recall for k, one in decode(scores, dict[str, ClassRecall]).items()}
        confusion = decode(evaluated.get("confusion", []), list[list[int]])
        if not metrics:
            raise ValueError("no epoch")
        sizes = {len(confusion), *map(len, confusion)} - {0}
        if confusion and sizes != {len(record.classes)}:
            raise ValueError(f"confusion of {len(record.classes)} classes")
        if any(not 0 <= n <= MAX_IMAGES for row in confusion for n in row):
            raise ValueError("confusion of fewer images than none, or of too many")
    except ValueError as error:
        raise UserError(f"{source}: is not a run that training wrote ({error})") from None
    machine = (record.machine or "") if machine is None else machine
    return Run(source, record, metrics, machine, recalls, confusion)


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
    """The recipe's name, and settings that differ from it. A setting that has since become the
    recipe's own is left out."""
    name = record.recipe.name
    own = recipes.plain(recipes.load(name)) if name in recipes.names() else {}
    given = recipes.plain(record.overrides)
    odd = [f"{k}={brief_value(value)}" for k, value in given.items() if own.get(k, ...) != value]
    if record.init is not None:
        odd.append(f"init={os.path.basename(record.init.path)}")
    odd += [f"freeze={pattern}" for pattern in record.freeze]
    if record.dataset != "cifar10":
        odd.append(f"on {record.dataset}")
    if record.device not in (None, "cpu"):
        odd.append(f"on {record.device}")
    if record.precision not in (None, FULL):
        odd.append(f"in {record.precision}")
    if record.ranks != 1:
        odd.append(f"on {record.ranks} ranks")
    if record.sync_batch_norm:
        odd.append("with synchronised batch norm")
    return f"{name} ({', '.join(odd)})" if odd else name


def brief_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def command(record: Record) -> str:
    """The command line that repeats a run."""
    many = ["mpirun", "-n", str(record.ranks)] if record.ranks > 1 else []
    words = [*many, "cifar", "train", record.recipe.name]
    for name in ("seed", "dataset", "device"):
        if (value := getattr(record, name)) is not None:
            words += [f"--{name}", str(value)]
    if record.precision is not None and record.device not in (None, "cpu"):
        words += ["--precision", record.precision]
    for name, given in (
        ("capture", record.captured),
        ("distributed", record.ranks > 1),
        ("sync-batch-norm", record.sync_batch_norm),
    ):
        words += [f"--{name}"] * given
    plain = datasets.Options(datasets.SIDE)
    for name in ("image_size", "test_share", "split_seed"):
        if (value := getattr(record, name)) != getattr(plain, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    if record.init is not None:
        words += ["--init", record.init.path]
    for pattern in record.freeze:
        words += ["--freeze", pattern]
    if record.dataset in datasets.OWN:
        words += ["--data-dir", "DIR"]
    for name, value in {**record.overrides, **_schedule_apart(record.recipe)}.items():
        words += ["--set", f"{name}={brief_value(value)}"]
    return shlex.join(words)


def _schedule_apart(recipe: Recipe) -> dict[str, Any]:
    """Differences of a run's schedule from its recipe's for the same number of epochs, as in runs
    of earlier versions, which did not scale the schedule."""
    if recipe.name not in recipes.names():  # a recipe that is no longer there
        return {}
    apart = recipes.changes(recipe)
    if "restarts" in apart:
        apart["restarts"] = [one for one in recipe.restarts if one[0] < recipe.epochs]
    return {name: recipes.plain(apart[name]) for name in recipes.SCHEDULE if name in apart}

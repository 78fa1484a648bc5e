"""Pictures of a run, drawn with Matplotlib in colours that colour-blind readers can tell apart."""

from __future__ import annotations

import itertools
import math
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

import minigrad as mg
from cifar import metadata
from cifar.datasets import Dataset
from cifar.datasets.augment import Augmentation, augmented
from cifar.errors import UserError
from cifar.results.metrics import EpochMetrics
from cifar.results.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito, *Color Universal Design* (2008)
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK, GREY = "#CC79A7", "#56B4E9", "#000000", "#666666"


Course: TypeAlias = Mapping[int, Mapping[str, float]]  # figures by epochs done and metric
NO_COURSE: Course = MappingProxyType({})

# Each panel's metric, axis label, factor, and the least that its vertical axis spans.
PANELS = (("loss", "loss (nats)", 1, 0.1), ("accuracy", "accuracy (%)", 100, 5.0))
PARTS = (("train", BLUE, "o"), ("validation", GREEN, "^"), ("test", VERMILION, "s"))


# ---------------------------------------------------------------------------- figures and axes


@contextmanager
def picture(
    path: Path, rows: int, cols: int, size: tuple[float, float], **options: Any
) -> Iterator[tuple[Figure, Any]]:
    """A figure and its axes, which are written to ``path`` as a PNG file at the end.

    It is drawn in memory under Matplotlib's own defaults: no display, backend, rc file or earlier
    drawing in this process changes it.

    Args:
        size: width and height in inches.
        options: of ``Figure.subplots``.

    Raises:
        UserError: Matplotlib cannot be imported.
        OSError: the file cannot be written.
    """
    matplotlib = _import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    defaults = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    with matplotlib.rc_context(defaults | {"text.parse_math": False}):  # "$" is a dollar sign
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(rows, cols, squeeze=False, **options)
        _save(figure, path)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Draw a picture that accompanies a result: where it cannot be drawn, a note says so, and the
    result stands."""
    try:
        yield path
    except Exception as error:  # whatever Matplotlib, its fonts or the file system come up with
        why = metadata.brief(getattr(error, "strerror", None) or error)
        print(f"note: {path} could not be drawn: {why}", file=sys.stderr)


def _import_matplotlib() -> Any:
    """The module; a backend in the environment that it does not know, such as that of a Jupyter
    kernel, does not stop its import."""
    hidden = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    except Exception as error:  # an rc file that is no text, for one
        raise UserError(f"matplotlib cannot be imported: {error}") from None
    finally:
        if hidden is not None:
            os.environ["MPLBACKEND"] = hidden
    if hidden:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = hidden  # for whoever else draws in this process
    return matplotlib


def _save(figure: Figure, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name in a script that the font lacks
        mg.checkpoint.write_atomically(
            path, lambda temporary: figure.savefig(temporary, dpi=120, format="png")
        )


def _short(name: str, most: int = 24) -> str:
    """A name from a file, as one line that leaves room for the picture."""
    text = metadata.brief(name)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _key(label: str, **options: Any) -> Any:
    """A legend's entry of its own, a line that is drawn nowhere else."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=_short(label, 80), **options)


def _legend(figure: Figure, entries: Sequence[Any]) -> None:
    """A legend below the axes, in as many columns as the figure's width holds."""
    widest = max(len(str(entry.get_label())) for entry in entries)
    columns = int(figure.get_figwidth() / (0.075 * widest + 0.6))  # inches, of text and its sign
    columns = max(1, min(columns, len(entries)))
    figure.legend(handles=entries, loc="outside lower center", ncols=columns, fontsize=9)


def _count(axis: Any, what: str, last: int, logarithmic: bool = False) -> None:
    """Let the horizontal axis count epochs or steps from 1 to ``last``, in whole numbers."""
    axis.set_xlabel(f"{what} (logarithmic)" if logarithmic else what)
    axis.grid(alpha=0.3)
    if logarithmic:
        axis.set_xscale("log")
        write_out(axis.xaxis)
    else:
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        if last <= 1:
            axis.set_xlim(0.5, 1.5)


def write_out(axis: Any, ticks: Sequence[float] = ()) -> None:
    """Numbers on a logarithmic axis as 1, 2, 5, 10, not as powers of ten; at ``ticks`` if given."""
    from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

    axis.set_major_locator(FixedLocator(ticks) if ticks else LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _zoom_out(axis: Any, least: float) -> None:
    """Let the vertical axis span at least ``least``, and a twentieth of what it shows: values that
    all but agree are to be seen to."""
    low, high = axis.get_ylim()
    least = max(least, 0.05 * max(abs(low), abs(high)))
    if high - low < least:
        low = max(min(low, 0), (low + high - least) / 2)
        axis.set_ylim(low, low + least)


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """softmax over the classes of (images, classes)."""
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------------------- training


def curves(
    metrics: Sequence[EpochMetrics], record: Record, path: Path, course: Course = NO_COURSE
) -> None:
    """Loss and accuracy of all parts of the data by epoch; a study's figures in the end as dashed
    lines, those on its way as diamonds, in the colour of their part."""
    history = [one.as_dict() for one in metrics]
    claim = record.recipe.claim if record.dataset == "cifar10" else {}
    course = course if claim else NO_COURSE
    last = history[-1]
    keys = [
        _key(part, color=colour, marker=marker, markersize=4)
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
                if name in claim:
                    axis.axhline(claim[name] * scale, color=colour, ls="--", lw=1)
                    studied.add("in the end")
                    if _course(axis, course, name, scale, last["epoch"], colour):
                        studied.add("on its way")
            axis.set(ylabel=label, title=metric.capitalize())
            _count(axis, "epoch", last["epoch"])
            _zoom_out(axis, least)
        if "in the end" in studied:
            keys.append(_key("the study in the end", color=GREY, ls="--", lw=1))
        if "on its way" in studied:
            keys.append(_diamond())
        _legend(figure, keys)
        held = "test" if "test_accuracy" in last else "validation"
        figure.suptitle(
            f"{record.recipe.name} on {record.dataset}, seed {record.seed}: "
            f"{held} accuracy {last[f'{held}_accuracy']:.2%} after epoch {last['epoch']}\n"
            "(training figures: running mean over the epoch, in training mode)",
            fontsize=10,
        )


def _course(axis: Any, course: Course, name: str, scale: float, last: int, colour: str) -> bool:
    """Diamonds for a study's figures of that name up to epoch ``last``; whether there are any."""
    found = [(n, scale * line[name]) for n, line in course.items() if n <= last and name in line]
    if found:
        axis.plot(*zip(*found, strict=True), "D", color=colour, mfc="none", ms=8)
    return bool(found)


def _diamond() -> Any:
    return _key("the study on its way", color=GREY, marker="D", mfc="none", ls="")


def predictions(data: Dataset, logits: np.ndarray, record: Record, path: Path) -> None:
    """The first images of ``data`` with true and predicted class and its probability.

    Args:
        logits: (count, classes).
    """
    guesses = logits.argmax(axis=1)
    hits = int((guesses == data.labels[: len(logits)]).sum())
    title = (
        f"{record.recipe.name} on {data.name} test images: {hits} of {len(logits)} right\n"
        "Predicted class and its confidence; mistakes in bold, with the true class"
    )
    with _grid(data, logits, range(len(logits)), path, ".0%", "bold") as figure:
        figure.suptitle(title)


@contextmanager
def _grid(
    data: Dataset, logits: np.ndarray, shown: Sequence[int], path: Path, form: str, weight: str
) -> Iterator[Figure]:
    """Images of ``data``, those ``shown`` by number, below what ``logits`` say of each: the
    confidence in this form, mistakes in this weight."""
    scores = _probabilities(logits)
    columns = 8
    rows = max(1, -(-len(shown) // columns))
    with picture(path, rows, columns, (12, 1.95 * rows + 0.8)) as (figure, axes):
        for axis in axes.flat:
            axis.axis("off")
        for axis, i in zip(axes.flat, shown, strict=False):
            axis.imshow(data.images[i].transpose(1, 2, 0), interpolation="nearest")
            guess, truth = int(scores[i].argmax()), int(data.labels[i])
            right = guess == truth
            text = f"{_short(data.classes[guess])} {scores[i, guess]:{form}}"
            axis.set_title(
                text if right else f"{text}\nis: {_short(data.classes[truth])}",
                fontsize=9,
                fontweight="normal" if right else weight,
            )
        yield figure


# ---------------------------------------------------------------------------- evaluation


def confusion(counts: np.ndarray, classes: tuple[str, ...], title: str, path: Path) -> None:
    """Images by true class (row) and predicted class (column), shaded by their share of the row.

    Args:
        counts: integers (classes, classes).
    """
    side = 3.2 + 0.55 * len(classes)
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with picture(path, 1, 1, (side + 0.8, side)) as (figure, axes):
        axis = axes[0, 0]
        shades = axis.imshow(share, cmap="Blues", vmin=0, vmax=100)
        places, names = range(len(classes)), [*map(_short, classes)]
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


def mistakes(data: Dataset, logits: np.ndarray, title: str, path: Path, count: int = 32) -> None:
    """The mistakes that the model is surest of, with guess, its probability, and the true class.

    Args:
        logits: (images, classes) of all of ``data``.
        count: pictures at most.
    """
    wrong = np.flatnonzero(logits.argmax(axis=1) != data.labels)
    surety = _probabilities(logits).max(axis=1)[wrong]
    surest = wrong[np.argsort(-surety, kind="stable")][:count]
    shown = f"the {len(surest)} surest of {len(wrong):,}" if len(wrong) else "none"
    with _grid(data, logits, surest.tolist(), path, ".1%", "normal") as figure:
        figure.suptitle(f"{title}\nMistakes: {shown}, with predicted class and its confidence")


# ---------------------------------------------------------------------------- augmentation


def augmentations(
    data: Dataset,
    augmentation: Augmentation,
    title: str,
    path: Path,
    images: int = 6,
    versions: int = 7,
    seed: int = 0,
) -> None:
    """A contact sheet: images of different classes, and beside each what augmentation makes of it.

    Args:
        images: rows at most, each the first image of another class.
        versions: columns beside the original's.
        seed: of what is drawn.
    """
    _, first = np.unique(data.labels, return_index=True)
    first = first[:images]
    originals = data.images[first]
    copies = mg.tensor(np.repeat(originals, versions, axis=0))
    changed = augmented(copies, augmentation, mg.data.replayable(seed)).numpy()
    shown = changed.round().astype(np.uint8).reshape(len(first), versions, *originals.shape[1:])
    size = (1.35 * versions + 2, 1.4 * len(first) + 0.9)
    with picture(path, len(first), versions + 1, size) as (figure, axes):
        for i, (row, label) in enumerate(zip(axes, data.labels[first], strict=True)):
            for axis, image in zip(row, (originals[i], *shown[i]), strict=True):
                axis.imshow(image.transpose(1, 2, 0), interpolation="nearest")
                axis.set_xticks([])
                axis.set_yticks([])
                axis.spines[:].set_visible(False)
            row[0].spines[:].set(visible=True, color=BLUE, linewidth=3)
            row[0].set_ylabel(_short(data.classes[label]))
        axes[0, 0].set_title("original", fontsize=10, color=BLUE)
        for number, axis in enumerate(axes[0, 1:], 1):
            axis.set_title(f"version {number}", fontsize=10)
        figure.suptitle(f"{title}\nAugmentation: {augmentation}")


# ---------------------------------------------------------------------------- two engines

# By contestant: minigrad's thin line must be seen on top of PyTorch's, which it mostly covers.
STROKES = (
    {"color": BLUE, "lw": 1.3, "zorder": 3},
    {"color": ORANGE, "lw": 4, "zorder": 2},
    {"color": GREY, "lw": 1.3, "ls": ":", "zorder": 2.5},
)
# Colours that no contestant has.
QUANTITIES = (("logits", PURPLE, "o"), ("gradients", BLACK, "s"), ("weights", GREEN, "^"))


def comparison(found: Mapping[str, Any], path: Path) -> None:
    """What :class:`cifar.twins.lockstep.Comparison` holds, as its dict: loss and accuracy by
    step and by epoch, differences by step, time and memory."""
    record = found["record"]
    names = list(found["losses"])
    steps = len(found["losses"][names[0]])
    with picture(path, 2, 3, (15, 9)) as (figure, axes):
        series = (found["losses"], found["accuracies"])
        for row, values, panel in zip(axes, series, PANELS, strict=True):
            _by_step(row[0], values, panel)
            _by_epoch(row[1], found, panel)
        _differences(axes[0, 2], found["differences"])
        _speed(axes[1, 2], found["speed"])
        figure.suptitle(
            f"{record['recipe']['name']} on {record['dataset']} by minigrad and by PyTorch: "
            f"the same weights, batches and dropout masks\n"
            f"{record['dtype']} on {record['device']}, seed {record['seed']}, {steps:,} "
            f"step{'s' * (steps > 1)} of {record['recipe']['batch_size']} images"
        )
        _legend(figure, [*_contestants(names), *_parts(found, names[0]), *_quantities(found)])


def _stroke(index: int) -> dict[str, Any]:
    return STROKES[min(index, len(STROKES) - 1)]


def _contestants(names: Sequence[str]) -> list[Any]:
    """The legend's entries: one for all further runs of PyTorch together."""
    threads = [name.removeprefix("PyTorch, ").split()[0] for name in names[2:]]
    shown = list(names[:2])
    if threads:
        shown.append(f"PyTorch, {', '.join(threads)} thread{'s' * (threads != ['1'])}")
    return [_key(name, **_stroke(i)) for i, name in enumerate(shown)]


def _parts(found: Mapping[str, Any], name: str) -> list[Any]:
    """The legend's entries for the marks of the panels by epoch."""
    return [
        _key(f"{part}, by epoch", color=GREY, marker=marker, ls="")
        for part, _, marker in PARTS
        if any(f"{part}_loss" in line[name] for line in found["epochs"])
    ]


def _quantities(found: Mapping[str, Any]) -> list[Any]:
    """The legend's entries for what is compared step by step."""
    return [
        _key(f"difference of {quantity}", color=colour, marker=marker, markersize=3, lw=1.3)
        for quantity, colour, marker in QUANTITIES
        if any(line[f"{quantity}_relative"] > 0 for line in found["differences"]["minigrad"])
    ]


def _by_step(axis: Any, series: Mapping[str, list[float]], panel: tuple[Any, ...]) -> None:
    """One line per contestant, smoothed by a running mean where there are hundreds of steps."""
    metric, label, scale, least = panel
    steps = len(next(iter(series.values())))
    window = max(1, steps // 100)
    for i, values in enumerate(series.values()):
        means = scale * np.convolve(values, np.full(window, 1 / window), "valid")
        marker = "o" if len(means) < 3 else None
        axis.plot(np.arange(window, steps + 1), means, marker=marker, **_stroke(i))
    mean = f", mean of the last {window}" if window > 1 else ""
    axis.set(ylabel=label, title=f"{metric} of the batch by step{mean}")
    _count(axis, "step", steps)
    _zoom_out(axis, least)


def _by_epoch(axis: Any, found: Mapping[str, Any], panel: tuple[Any, ...]) -> None:
    """Training and held-out figures of every contestant."""
    metric, label, scale, least = panel
    for part, _, marker in PARTS:
        name = f"{part}_{metric}"
        for i, contestant in enumerate(found["losses"]):
            lines = [(line["epoch"], line[contestant]) for line in found["epochs"]]
            points = [(epoch, scale * line[name]) for epoch, line in lines if name in line]
            if points:
                size = 9 if i == 1 else 5
                axis.plot(*zip(*points, strict=True), marker=marker, markersize=size, **_stroke(i))
    axis.set(ylabel=label, title=f"{metric} by epoch")
    _count(axis, "epoch", len(found["epochs"]))
    _zoom_out(axis, least)


def _differences(axis: Any, differences: Mapping[str, list[dict[str, float]]]) -> None:
    """Relative differences from PyTorch on a logarithmic scale: minigrad's solid, PyTorch's own on
    other numbers of threads dotted."""
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
    _count(axis, "step", last, logarithmic=last > 200)
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
    """Words in place of a panel's drawing."""
    axis.text(0.5, 0.5, words, ha="center", va="center", transform=axis.transAxes)
    axis.set(xticks=[], yticks=[], xlabel="", ylabel="")


def _speed(axis: Any, speed: Mapping[str, Mapping[str, float | None]]) -> None:
    """Time per step and memory as bars relative to PyTorch's, with the figures themselves."""
    axis.set_title("time and memory, relative to PyTorch")
    if not speed:
        _say(axis, "not measured")
        return
    metrics = (
        ("seconds_per_step", "time\nper step", "{:.3g} s"),
        ("peak_memory_mb", "peak\nmemory", "{:.0f} MB"),
    )
    shown = [m for m in metrics if all(one[m[0]] for one in speed.values())]
    for i, one in enumerate(speed.values()):
        for place, (metric, _, form) in enumerate(shown):
            value, base = float(one[metric] or 0), float(speed["PyTorch"][metric] or 1)
            bar = axis.barh(place + 0.4 * i, value / base, 0.38, color=_stroke(i)["color"])
            axis.bar_label(bar, [form.format(value)], padding=3)
    axis.set_yticks([place + 0.2 for place in range(len(shown))], [words for _, words, _ in shown])
    axis.set_ylim(len(shown), -0.4)  # downwards
    axis.margins(x=0.25)  # room for the longest bar's figure
    axis.grid(alpha=0.3, axis="x")
    axis.set_axisbelow(True)


# ---------------------------------------------------------------------------- many runs


class Look(NamedTuple):
    """What one of many runs is drawn in, in every picture of a page."""

    colour: str
    marker: str = "o"
    hatch: str = ""


_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK, GREY)
_MARKS = tuple(zip("os^Dv", ("", "//", "..", "xx", "++"), strict=True))


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """A look of its own for each of the first 40 labels."""
    found: dict[str, Look] = {}
    for label in labels:
        number = len(found)
        marks = _MARKS[number // len(_COLOURS) % len(_MARKS)]
        found.setdefault(label, Look(_COLOURS[number % len(_COLOURS)], *marks))
    return found


def shades(labels: Iterable[str], look: Look) -> dict[str, Look]:
    """Looks of runs of one kind: its colour, and a marker of each run's own."""
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
    """Loss and accuracy of many runs by epoch: held-out images solid, training dotted.

    Args:
        runs: (label, metrics by epoch); runs of one label share a look and a legend entry.
        claim: the study's figures by metric, for dashed lines.
        training: draw the training figures too.
        course: the study's figures on its way, by epoch and metric, for diamonds.
        known: looks by label; :func:`looks` unless given.
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
                parts = ((_held(history), "-", 1.8), ("train", ":", 1.2))
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
            for name in {name for line in course.values() for name in line}:
                if name.endswith(metric):
                    _course(axis, course, name, scale, last, GREY)
            axis.set(ylabel=unit, title=metric.capitalize())
            _count(axis, "epoch", last, logarithmic)
            _claims(axis, claim or {}, metric, scale)
            _zoom_out(axis, least)
        entries = [
            _key(label, color=known[label].colour, marker=known[label].marker, markersize=4)
            for label in dict.fromkeys(label for label, _ in runs)
        ]
        entries.append(_key("held-out images", color=GREY, marker="o", markersize=4))
        if training:
            entries.append(
                _key("training", color=GREY, ls=":", marker="o", markersize=4, mfc="white")
            )
        if claim:
            entries.append(_key("the study in the end", color=GREY, ls="--", lw=1))
        if any(epoch <= last for epoch in course):
            entries.append(_diamond())
        _legend(figure, entries)
        if title:
            figure.suptitle(title)


def _claims(axis: Any, claim: Mapping[str, float], metric: str, scale: float) -> None:
    """A study's figures of one metric as dashed lines, with their parts named beside the axes."""
    values = sorted((v * scale, k) for k, v in claim.items() if k.endswith(metric))
    for i, (value, name) in enumerate(values):
        axis.axhline(value, color=GREY, ls="--", lw=1)
        axis.annotate(
            name.removesuffix(f"_{metric}"),
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


def _held(history: list[dict[str, Any]]) -> str:
    """What was evaluated after every epoch: "validation" where images were held out."""
    return "validation" if "validation_loss" in history[0] else "test"


def class_counts(counts: Mapping[str, int], title: str, path: Path, colour: str = BLUE) -> None:
    """Training images of each class as bars, with their numbers."""
    with picture(path, 1, 1, (max(6.0, 0.9 * len(counts)), 4)) as (figure, axes):
        axis = axes[0, 0]
        bars = axis.bar(range(len(counts)), list(counts.values()), 0.8, color=colour)
        axis.bar_label(bars, [f"{count:,}" for count in counts.values()], padding=2, fontsize=9)
        _name_classes(axis, [*map(_short, counts)])
        axis.set(ylabel="training images")
        axis.yaxis.set_major_formatter("{x:,.0f}")
        axis.margins(y=0.1)  # room for the tallest bar's number
        if title:
            figure.suptitle(f"{title}: {sum(counts.values()):,} training images by class")


def _name_classes(axis: Any, names: list[str]) -> None:
    """Class names below the places 0, 1, 2, …; turned where they are too long to stand abreast."""
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    long = max(len(line) for name in names for line in name.split("\n")) > 12
    axis.set_xticks(range(len(names)), names, **turned if long else {})
    axis.set(xlabel="class", xlim=(-0.6, len(names) - 0.4))
    axis.grid(alpha=0.3, axis="y")
    axis.set_axisbelow(True)


def recalls(
    runs: Mapping[str, list[dict[str, float]]],
    title: str,
    path: Path,
    counts: Mapping[str, int],
    known: Mapping[str, Look] | None = None,
) -> None:
    """Recall of every class as bars, one look per label: the mean over its runs, with ± std.

    Args:
        runs: label → recall by class name, of each run.
        counts: training images by class name, written below those names that it has.
        known: looks by label; :func:`looks` unless given.
    """
    known = looks(runs) if known is None else known
    names = list(dict.fromkeys(name for found in runs.values() for run in found for name in run))
    with picture(path, 1, 1, (max(6.0, 1.1 * len(names)), 4.6)) as (figure, axes):
        axis = axes[0, 0]
        width = 0.8 / len(runs)
        entries = []
        for i, (label, found) in enumerate(runs.items()):
            values = [[100 * run[name] for run in found if name in run] for name in names]
            places = np.arange(len(names)) + (i - (len(runs) - 1) / 2) * width
            bars = axis.bar(
                places,
                [np.mean(v) if v else 0 for v in values],
                0.9 * width,
                yerr=[np.std(v, ddof=1) if len(v) > 1 else 0 for v in values],
                error_kw={"lw": 1},
                color=known[label].colour,
                hatch=known[label].hatch,
                label=_short(label, 80),
            )
            entries.append(bars)
        _name_classes(
            axis, [f"{_short(n)}\n{counts[n]:,}" if n in counts else _short(n) for n in names]
        )
        if counts:
            axis.set_xlabel("class, and its number of training images")
        axis.set(ylabel="recall (%)", ylim=(0, 100))
        _legend(figure, entries)
        if title:
            figure.suptitle(title)

"""Pictures of a run, drawn with matplotlib in colours that colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import minigrad as mg
from cifar.augment import Augmentation, augmented
from cifar.datasets import Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito, *Color Universal Design* (2008)
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"


Course: TypeAlias = Mapping[int, Mapping[str, float]]  # figures by epochs done and metric
NO_COURSE: Course = MappingProxyType({})

PANELS = (("loss", "loss (nats)", 1), ("accuracy", "accuracy (%)", 100))
PARTS = (("train", BLUE, "o"), ("validation", GREEN, "^"), ("test", VERMILION, "s"))


def _figure(rows: int, cols: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    """A figure and its axes, made without pyplot so that no display or global state is needed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, cols, squeeze=False)


def _legend(figure: Figure, entries: list[Any]) -> None:
    """A legend below the axes, in as many columns as the figure's width holds."""
    widest = max(len(str(entry.get_label())) for entry in entries)
    columns = int(figure.get_figwidth() / (0.075 * widest + 0.6))  # inches, of text and its sign
    columns = max(1, min(columns, len(entries)))
    figure.legend(handles=entries, loc="outside lower center", ncols=columns, fontsize=9)


def _save(figure: Figure, path: Path) -> None:
    mg.checkpoint.write_atomically(
        path, lambda temporary: figure.savefig(temporary, dpi=120, format="png")
    )


def _probabilities(logits: np.ndarray) -> np.ndarray:
    """softmax over the classes of (images, classes)."""
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def curves(
    history: list[dict[str, Any]], record: dict[str, Any], path: Path, course: Course = NO_COURSE
) -> None:
    """Loss and accuracy, training and test, by epoch; the study's figure in the end as a dashed
    line, those on its way as diamonds."""
    figure, axes = _figure(1, 2, (10, 4))
    claim = record["recipe"]["claim"]
    for axis, (metric, label, scale) in zip(axes[0], PANELS, strict=True):
        for part, colour, marker in PARTS:
            lines = [line for line in history if f"{part}_{metric}" in line]
            if not lines:
                continue
            epochs = [line["epoch"] for line in lines]
            values = [line[f"{part}_{metric}"] * scale for line in lines]
            axis.plot(epochs, values, color=colour, marker=marker, markersize=4, label=part)
            reference = claim.get(f"{part}_{metric}")
            if reference is not None and record["dataset"] == "cifar10":
                axis.axhline(
                    reference * scale, color=colour, ls="--", lw=1,
                    label=f"{part}, the study's in the end",
                )  # fmt: skip
                way = f"{part}, the study's on its way"
                _course(axis, course, f"{part}_{metric}", scale, epochs[-1], colour, way)
        axis.set(xlabel="epoch", ylabel=label, title=metric.capitalize())
        axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(
        f"{record['recipe']['name']} on {record['dataset']}, seed {record['seed']}: "
        f"test accuracy {history[-1]['test_accuracy']:.2%} after epoch {history[-1]['epoch']}\n"
        "(training figures: running mean over the epoch, augmented, with dropout)",
        fontsize=10,
    )
    _save(figure, path)


def _course(
    axis: Any,
    course: Course,
    name: str,
    scale: float,
    last: int,
    colour: str,
    label: str | None = None,
) -> None:
    """Diamonds for a study's figures of that name up to epoch ``last``."""
    found = [(n, scale * line[name]) for n, line in course.items() if n <= last and name in line]
    if found:
        axis.plot(*zip(*found, strict=True), "D", color=colour, mfc="none", ms=8, label=label)


def predictions(data: Dataset, logits: np.ndarray, record: dict[str, Any], path: Path) -> None:
    """The first images of ``data`` with true and predicted class and its probability.

    Args:
        logits: (count, classes).
    """
    count = len(logits)
    scores = _probabilities(logits)
    columns = 8
    rows = -(-count // columns)
    figure, axes = _figure(rows, columns, (12, 1.95 * rows + 0.6))
    for i, axis in enumerate(axes.flat):
        axis.axis("off")
        if i >= count:
            continue
        guess, truth = int(scores[i].argmax()), int(data.labels[i])
        axis.imshow(data.images[i].transpose(1, 2, 0), interpolation="nearest")
        right = guess == truth
        text = f"{data.classes[guess]} {scores[i, guess]:.0%}"
        text += "\n" if right else f"\nis: {data.classes[truth]}"
        axis.set_title(text, fontsize=9, color=BLUE if right else VERMILION)
    hits = int((scores.argmax(axis=1) == data.labels[:count]).sum())
    figure.suptitle(
        f"{record['recipe']['name']} on {data.name} test images: {hits} of {count} right "
        "(blue; orange: wrong, with the true class), and its confidence"
    )
    _save(figure, path)


# ---------------------------------------------------------------------------- evaluation


def confusion(counts: np.ndarray, classes: tuple[str, ...], title: str, path: Path) -> None:
    """Images by true class (row) and predicted class (column), shaded by their share of the row.

    Args:
        counts: integers (classes, classes).
    """
    side = 3.2 + 0.55 * len(classes)
    figure, axes = _figure(1, 1, (side + 0.8, side))
    axis = axes[0, 0]
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    picture = axis.imshow(share, cmap="Blues", vmin=0, vmax=100)
    names, places = [_plain(name) for name in classes], range(len(classes))
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
    figure.colorbar(picture, ax=axis, label="share of the true class's images (%)", shrink=0.8)
    right = int(counts.trace())
    accuracy = right / max(1, int(counts.sum()))
    figure.suptitle(f"{_plain(title)}\n{right:,} of {int(counts.sum()):,} right: {accuracy:.2%}")
    _save(figure, path)


def mistakes(data: Dataset, logits: np.ndarray, title: str, path: Path, count: int = 32) -> None:
    """The mistakes that the model is surest of, with guess, its probability, and the true class.

    Args:
        logits: (images, classes) of all of ``data``.
        count: pictures at most.
    """
    scores = _probabilities(logits)
    guesses = logits.argmax(axis=1)
    wrong = np.flatnonzero(guesses != data.labels)
    surest = wrong[np.argsort(-scores.max(axis=1)[wrong], kind="stable")][:count]
    columns = 8
    rows = max(1, -(-len(surest) // columns))
    figure, axes = _figure(rows, columns, (12, 1.95 * rows + 0.8))
    for axis in axes.flat:
        axis.axis("off")
    for axis, i in zip(axes.flat, surest, strict=False):
        axis.imshow(data.images[i].transpose(1, 2, 0), interpolation="nearest")
        guess, truth = _plain(data.classes[guesses[i]]), _plain(data.classes[data.labels[i]])
        axis.set_title(
            f"{guess} {scores[i, guesses[i]]:.1%}\nis: {truth}", fontsize=9, color=VERMILION
        )
    shown = f"the {len(surest)} surest of {len(wrong):,}" if len(wrong) else "none"
    figure.suptitle(f"{_plain(title)}\nMistakes: {shown}, with predicted class and its confidence")
    _save(figure, path)


def _plain(text: str) -> str:
    """``text`` that matplotlib will not read as mathematics."""
    return text.replace("$", r"\$")


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
    figure, axes = _figure(len(first), versions + 1, (1.35 * versions + 2, 1.4 * len(first) + 0.9))
    for i, (row, label) in enumerate(zip(axes, data.labels[first], strict=True)):
        for axis, image in zip(row, (originals[i], *shown[i]), strict=True):
            axis.imshow(image.transpose(1, 2, 0), interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
        row[0].spines[:].set(visible=True, color=BLUE, linewidth=3)
        row[0].set_ylabel(_plain(data.classes[label]))
    axes[0, 0].set_title("original", fontsize=10, color=BLUE)
    for number, axis in enumerate(axes[0, 1:], 1):
        axis.set_title(f"version {number}", fontsize=10)
    figure.suptitle(f"{_plain(title)}\nAugmentation: {augmentation}")
    _save(figure, path)


# ---------------------------------------------------------------------------- two engines

# By contestant: minigrad's thin line must be seen on top of PyTorch's, which it mostly covers.
STROKES = (
    {"color": BLUE, "lw": 1.3, "zorder": 3},
    {"color": ORANGE, "lw": 4, "zorder": 2},
    {"color": GREY, "lw": 1.3, "ls": ":", "zorder": 2.5},
)


def comparison(found: Mapping[str, Any], path: Path) -> None:
    """What :class:`cifar.compare.Comparison` holds, as its dict: loss and accuracy by step and by
    epoch, differences by step, time and memory."""
    figure, axes = _figure(2, 3, (15, 8.4))
    for axis, metric in zip(axes[:, 0], ("losses", "accuracies"), strict=True):
        _by_step(axis, found[metric], "loss" if metric == "losses" else "accuracy")
    for axis, metric in zip(axes[:, 1], ("loss", "accuracy"), strict=True):
        _by_epoch(axis, found, metric)
    _differences(axes[0, 2], found["differences"])
    _speed(axes[1, 2], found["speed"])
    record = found["record"]
    steps = len(next(iter(found["losses"].values())))
    figure.suptitle(
        f"{_plain(record['recipe']['name'])} on {record['dataset']} by minigrad and by PyTorch: "
        f"the same weights, batches and dropout masks\n"
        f"{record['dtype']} on {record['device']}, seed {record['seed']}, {steps:,} steps of "
        f"{record['recipe']['batch_size']} images"
    )
    _save(figure, path)


def _stroke(index: int) -> dict[str, Any]:
    return STROKES[min(index, len(STROKES) - 1)]


def _labels(names: Iterable[str]) -> dict[str, str]:
    """The legend's text for each contestant: one for all further runs of PyTorch together, and _,
    which matplotlib leaves out with what follows it, for the rest of them."""
    labels = {name: _plain(name) for name in names}
    reruns = [name for name in labels if name.startswith("PyTorch, ")]
    if len(reruns) > 1:
        numbers = [name.removeprefix("PyTorch, ").split()[0] for name in reruns]
        labels |= dict.fromkeys(reruns, "_")
        labels[reruns[0]] = f"PyTorch, {', '.join(numbers)} threads"
    return labels


def _by_step(axis: Any, series: Mapping[str, list[float]], metric: str) -> None:
    """One line per contestant, smoothed by a running mean where there are hundreds of steps."""
    window = max(1, len(next(iter(series.values()))) // 100)
    scale = 100 if metric == "accuracy" else 1
    labels = _labels(series)
    for i, (name, values) in enumerate(series.items()):
        means = scale * np.convolve(values, np.full(window, 1 / window), "valid")
        marker = "o" if len(means) < 3 else None
        steps = np.arange(window, len(values) + 1)
        axis.plot(steps, means, label=labels[name], marker=marker, **_stroke(i))
    unit = "accuracy (%)" if metric == "accuracy" else "loss (nats)"
    mean = f", mean of the last {window}" if window > 1 else ""
    axis.set(xlabel="step", ylabel=f"{unit} of the batch{mean}", title=f"{metric} by step")
    axis.grid(alpha=0.3)
    axis.legend()


def _by_epoch(axis: Any, found: Mapping[str, Any], metric: str) -> None:
    """Training and held-out figures of every contestant."""
    scale = 100 if metric == "accuracy" else 1
    labels = _labels(found["losses"])
    for part, _, marker in PARTS:
        for i, name in enumerate(found["losses"]):
            points = [
                (line["epoch"], scale * line[name][f"{part}_{metric}"])
                for line in found["epochs"]
                if f"{part}_{metric}" in line[name]
            ]
            if points:
                axis.plot(
                    *zip(*points, strict=True), marker=marker, markersize=9 if i == 1 else 5,
                    label=f"{labels[name]}, {part}", **_stroke(i),
                )  # fmt: skip
    axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axis.set_xlim(0.5, len(found["epochs"]) + 0.5)
    unit = "accuracy (%)" if metric == "accuracy" else "loss (nats)"
    axis.set(xlabel="epoch", ylabel=unit, title=f"{metric} by epoch")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)


def _differences(axis: Any, differences: Mapping[str, list[dict[str, float]]]) -> None:
    """Relative differences from PyTorch on a logarithmic scale: minigrad's solid, PyTorch's own on
    other numbers of threads dotted."""
    quantities = (("logits", BLUE, "o"), ("gradients", ORANGE, "s"), ("weights", GREEN, "^"))
    labels = _labels(differences)
    for i, (name, lines) in enumerate(differences.items()):
        for quantity, colour, marker in quantities:
            label = "_" if labels[name] == "_" else f"{quantity}, {labels[name]}"
            points = [
                (line["step"], line[f"{quantity}_relative"])
                for line in lines
                if line[f"{quantity}_relative"] > 0  # which a logarithm can show
            ]
            if points:
                axis.plot(
                    *zip(*points, strict=True), color=colour, ls=":" if i else "-", lw=1.3,
                    marker=marker, markersize=3, label=label, zorder=2.5 if i else 3,
                )  # fmt: skip
    axis.set_yscale("log")
    if max((line["step"] for lines in differences.values() for line in lines), default=1) > 200:
        axis.set_xscale("log")
    axis.set(
        xlabel="step",
        ylabel="largest difference from PyTorch / largest value",
        title="difference by step",
    )
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8)


def _speed(axis: Any, speed: Mapping[str, Mapping[str, float | None]]) -> None:
    """Time per step and memory as bars relative to PyTorch's, with the figures themselves."""
    axis.set(title="time and memory", xlabel="relative to PyTorch")
    if not speed:
        axis.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axis.transAxes)
        axis.set(xticks=[], yticks=[])
        return
    metrics = (
        ("seconds_per_step", "time\nper step", "{:.3g} s"),
        ("peak_memory_mb", "peak\nmemory", "{:.0f} MB"),
    )
    shown = [m for m in metrics if all(one[m[0]] for one in speed.values())]
    for i, (name, one) in enumerate(speed.items()):
        for place, (metric, _, form) in enumerate(shown):
            value, base = float(one[metric] or 0), float(speed["PyTorch"][metric] or 1)
            bar = axis.barh(
                place + 0.4 * i, value / base, 0.38, color=_stroke(i)["color"],
                label=_plain(name) if place == 0 else None,
            )  # fmt: skip
            axis.bar_label(bar, [form.format(value)], padding=3)
    axis.set_yticks([place + 0.2 for place in range(len(shown))], [words for _, words, _ in shown])
    axis.margins(0.2)
    axis.set_ylim(len(shown) + 0.1, -0.4)  # downwards, with room for the legend
    axis.grid(alpha=0.3, axis="x")
    axis.set_axisbelow(True)
    axis.legend(loc="lower center", ncols=2)


# ---------------------------------------------------------------------------- many runs

OVERLAY = (BLUE, VERMILION, GREEN, ORANGE, "#CC79A7", "#56B4E9", "#000000", GREY)


def overlaid(
    runs: list[tuple[str, list[dict[str, Any]]]],
    title: str,
    path: Path,
    claim: Mapping[str, float] | None = None,
    training: bool = True,
    course: Course = NO_COURSE,
) -> None:
    """Loss and accuracy of many runs by epoch: held-out images solid, training dotted.

    Args:
        runs: (label, metrics by epoch); runs of one label share a colour and a legend entry.
        claim: the study's figures by metric, for dashed lines.
        training: draw the training figures too.
        course: the study's figures on its way, by epoch and metric, for diamonds.
    """
    figure, axes = _figure(1, 2, (11, 4.6))
    labels = list(dict.fromkeys(label for label, _ in runs))
    lengths = [history[-1]["epoch"] for _, history in runs]
    logarithmic = max(lengths) > 4 * min(lengths)  # or ten epochs vanish beside two hundred
    for axis, (metric, unit, scale) in zip(axes[0], PANELS, strict=True):
        for label, history in runs:
            colour = OVERLAY[labels.index(label) % len(OVERLAY)]
            marker = "os^Dv"[labels.index(label) // len(OVERLAY) % 5]
            parts = ((_held(history), "-", 1.8), ("train", ":", 1.2))
            for part, style, width in parts if training else parts[:1]:
                points = [
                    (line["epoch"], line[f"{part}_{metric}"] * scale)
                    for line in history
                    if f"{part}_{metric}" in line
                ]
                if points:
                    axis.plot(
                        *zip(*points, strict=True), ls=style, lw=width, color=colour,
                        marker=marker, markersize=3 if len(points) < 30 else 0,
                        mfc="white" if part == "train" else colour,
                    )  # fmt: skip
        studies = [(v, name) for name, v in (claim or {}).items() if name.endswith(metric)]
        for name in {name for line in course.values() for name in line if name.endswith(metric)}:
            _course(axis, course, name, scale, max(lengths), GREY)
        for i, (value, name) in enumerate(sorted(studies)):
            axis.axhline(value * scale, color=GREY, ls="--", lw=1)
            axis.annotate(
                f"{name.removesuffix(f'_{metric}')}, the study's in the end",
                (0, value * scale),
                # Points, below or above the line: two may lie close, the lower one below.
                (4, -10 if i == 0 and len(studies) > 1 else 3),
                ("axes fraction", "data"),
                "offset points",
                fontsize=8,
                color=GREY,
            )
        if logarithmic:
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
        else:
            axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        x = "epoch (logarithmic)" if logarithmic else "epoch"
        axis.set(xlabel=x, ylabel=unit, title=metric.capitalize())
        axis.grid(alpha=0.3)
    entries = [
        figure.axes[0].plot(
            [], [], color=OVERLAY[i % len(OVERLAY)], marker="os^Dv"[i // len(OVERLAY) % 5],
            markersize=3, label=_plain(label),
        )[0]
        for i, label in enumerate(labels)
    ]  # fmt: skip
    kinds = (("held-out images", "-", GREY), ("training", ":", "white"))
    for label, style, fill in kinds[: 1 + training]:
        entries += figure.axes[0].plot(
            [], [], color=GREY, ls=style, marker="o", markersize=3, mfc=fill, label=label
        )
    if any(epoch <= max(lengths) for epoch in course):
        entries += figure.axes[0].plot(
            [], [], "D", color=GREY, mfc="none", label="the study on its way"
        )
    _legend(figure, entries)
    figure.suptitle(_plain(title))
    _save(figure, path)


def _held(history: list[dict[str, Any]]) -> str:
    """What was evaluated after every epoch: "validation" where images were held out."""
    return "validation" if "validation_loss" in history[0] else "test"


def class_counts(counts: Mapping[str, int], title: str, path: Path) -> None:
    """Training images of each class as bars, with their numbers."""
    figure, axes = _figure(1, 1, (max(6.0, 0.9 * len(counts)), 4))
    axis = axes[0, 0]
    bars = axis.bar(range(len(counts)), list(counts.values()), 0.8, color=BLUE)
    axis.bar_label(bars, [f"{count:,}" for count in counts.values()], padding=2, fontsize=9)
    _name_classes(axis, list(counts))
    axis.set(ylabel="training images")
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.margins(y=0.1)  # room for the tallest bar's number
    figure.suptitle(f"{_plain(title)}: {sum(counts.values()):,} training images by class")
    _save(figure, path)


def _name_classes(axis: Any, names: list[str]) -> None:
    """Class names below the places 0, 1, 2, …; turned where they are too long to stand abreast."""
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    long = max(len(line) for name in names for line in name.split("\n")) > 12
    axis.set_xticks(range(len(names)), [_plain(name) for name in names], **turned if long else {})
    axis.set(xlabel="class", xlim=(-0.6, len(names) - 0.4))
    axis.grid(alpha=0.3, axis="y")
    axis.set_axisbelow(True)


def recalls(
    runs: Mapping[str, list[dict[str, float]]],
    title: str,
    path: Path,
    counts: Mapping[str, int],
) -> None:
    """Recall of every class as bars, one colour per label: the mean over its runs, with ± std.

    Args:
        runs: label → recall by class name, of each run.
        counts: training images by class name, written below those names that it has.
    """
    names = list(dict.fromkeys(name for found in runs.values() for run in found for name in run))
    figure, axes = _figure(1, 1, (max(6.0, 1.1 * len(names)), 4.6))
    axis = axes[0, 0]
    width = 0.8 / len(runs)
    for i, (label, found) in enumerate(runs.items()):
        values = [[100 * run[name] for run in found if name in run] for name in names]
        places = np.arange(len(names)) + (i - (len(runs) - 1) / 2) * width
        axis.bar(
            places,
            [np.mean(v) if v else 0 for v in values],
            0.9 * width,
            yerr=[np.std(v, ddof=1) if len(v) > 1 else 0 for v in values],
            error_kw={"lw": 1},
            color=OVERLAY[i % len(OVERLAY)],
            hatch=("", "//", "..", "xx")[i // len(OVERLAY) % 4],
            label=_plain(label),
        )
    _name_classes(axis, [f"{n}\n{counts[n]:,}" if n in counts else n for n in names])
    if counts:
        axis.set_xlabel("class, and its number of training images")
    axis.set(ylabel="recall (%)", ylim=(0, 100))
    _legend(figure, axis.get_legend_handles_labels()[0])
    figure.suptitle(_plain(title))
    _save(figure, path)

"""Pictures of a run, drawn with matplotlib in colours that colour-blind readers can tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import minigrad as mg
from cifar.datasets import Dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito, *Color Universal Design* (2008)
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"


PARTS = (("train", BLUE, "o"), ("validation", GREEN, "^"), ("test", VERMILION, "s"))


def _figure(rows: int, cols: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    """A figure and its axes, made without pyplot so that no display or global state is needed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, cols, squeeze=False)


def _save(figure: Figure, path: Path) -> None:
    mg.checkpoint.write_atomically(
        path, lambda temporary: figure.savefig(temporary, dpi=120, format="png")
    )


def curves(history: list[dict[str, Any]], record: dict[str, Any], path: Path) -> None:
    """Loss and accuracy, training and test, by epoch; the study's figure as a dashed line."""
    figure, axes = _figure(1, 2, (10, 4))
    claim = record["recipe"]["claim"]
    panels = (("loss", "cross-entropy (nats)", 1), ("accuracy", "accuracy (%)", 100))
    for axis, (metric, label, scale) in zip(axes[0], panels, strict=True):
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
                    reference * scale, color=colour, ls="--", lw=1, label=f"{part}, in the study"
                )
        axis.set(xlabel="epoch", ylabel=label, title=metric.capitalize())
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle(
        f"{record['recipe']['name']} on {record['dataset']}, seed {record['seed']}: "
        f"test accuracy {history[-1]['test_accuracy']:.2%} after epoch {history[-1]['epoch']} "
        "(training figures: running mean over the epoch, augmented, with dropout)",
        fontsize=10,
    )
    _save(figure, path)


def predictions(data: Dataset, logits: np.ndarray, record: dict[str, Any], path: Path) -> None:
    """The first images of ``data`` with true and predicted class and its probability.

    Args:
        logits: (count, classes).
    """
    count = len(logits)
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
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
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
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
            f"{guess} {scores[i, guesses[i]]:.0%}\nis: {truth}", fontsize=9, color=VERMILION
        )
    shown = f"the {len(surest)} surest of {len(wrong):,}" if len(wrong) else "none"
    figure.suptitle(f"{_plain(title)}\nMistakes: {shown}, with predicted class and its confidence")
    _save(figure, path)


def _plain(text: str) -> str:
    """``text`` that matplotlib will not read as mathematics."""
    return text.replace("$", r"\$")


# ---------------------------------------------------------------------------- many runs

OVERLAY = (BLUE, VERMILION, GREEN, ORANGE, "#CC79A7", "#56B4E9", "#000000", GREY)


def overlaid(runs: list[tuple[str, list[dict[str, Any]]]], title: str, path: Path) -> None:
    """Loss and accuracy of many runs by epoch: held-out images solid, training dotted.

    Args:
        runs: (label, metrics by epoch); runs of one label share a colour and a legend entry.
    """
    figure, axes = _figure(1, 2, (11, 4.6))
    labels = list(dict.fromkeys(label for label, _ in runs))
    lengths = [history[-1]["epoch"] for _, history in runs]
    logarithmic = max(lengths) > 4 * min(lengths)  # or ten epochs vanish beside two hundred
    panels = (("loss", "loss (nats)", 1), ("accuracy", "accuracy (%)", 100))
    for axis, (metric, unit, scale) in zip(axes[0], panels, strict=True):
        for label, history in runs:
            colour = OVERLAY[labels.index(label) % len(OVERLAY)]
            marker = "os^Dv"[labels.index(label) // len(OVERLAY) % 5]
            for part, style, width in ((_held(history), "-", 1.8), ("train", ":", 1.2)):
                points = [
                    (line["epoch"], line[f"{part}_{metric}"] * scale)
                    for line in history
                    if f"{part}_{metric}" in line
                ]
                if points:
                    axis.plot(
                        *zip(*points, strict=True), ls=style, lw=width, color=colour,
                        marker=marker, markersize=3 if len(points) < 30 else 0,
                    )  # fmt: skip
        if logarithmic:
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter("{x:g}")
        else:
            axis.xaxis.get_major_locator().set_params(integer=True)
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
    for label, style in (("held-out images", "-"), ("training", ":")):
        entries += figure.axes[0].plot([], [], color=GREY, ls=style, label=label)
    figure.legend(handles=entries, loc="outside lower center", ncols=4, fontsize=9)
    figure.suptitle(_plain(title))
    _save(figure, path)


def _held(history: list[dict[str, Any]]) -> str:
    """What was evaluated after every epoch: "validation" where images were held out."""
    return "validation" if "validation_loss" in history[0] else "test"

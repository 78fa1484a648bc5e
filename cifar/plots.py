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
    epochs = [line["epoch"] for line in history]
    claim = record["recipe"]["claim"]
    panels = (("loss", "cross-entropy (nats)", 1), ("accuracy", "accuracy (%)", 100))
    for axis, (metric, label, scale) in zip(axes[0], panels, strict=True):
        for part, colour, marker in (("train", BLUE, "o"), ("test", VERMILION, "s")):
            values = [line[f"{part}_{metric}"] * scale for line in history]
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
        f"test accuracy {history[-1]['test_accuracy']:.2%} after epoch {epochs[-1]} "
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
